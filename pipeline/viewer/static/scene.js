// The flight in space, in metres, z up: body, its uncertainty, the way it took, board and water.

import {
  BoxGeometry, BufferAttribute, BufferGeometry, Color, CylinderGeometry, DirectionalLight, DoubleSide,
  DynamicDrawUsage, GridHelper, HemisphereLight, InstancedMesh, Line, LineBasicMaterial, Matrix4, Mesh,
  MeshBasicMaterial, MeshLambertMaterial, OrbitControls, PerspectiveCamera, PlaneGeometry, Quaternion, Scene,
  SphereGeometry, Vector3, WebGLRenderer,
} from "./three.min.js";
import { colour } from "./theme.js";
import { LEFT, MIDDLE, RIGHT } from "./skeleton.js";

const UP = new Vector3(0, 1, 0); // axis of three's cylinders
const EYE = new Vector3(0.16, -1, 0.13); // direction from what is looked at: beside the board, a little ahead and above
const NEAR_M = 6.5; // distance from an athlete of whose surroundings nothing is known
const OVER_BOARD_M = 2.6; // how high heads go over the board
const SETTLES_MS = 180; // how long the view takes to follow
const MOST_WAY = 600;
const BONE_M = 0.032;
const JOINT_M = 0.046;
const DEVIATIONS = 2;

export class Space {
  constructor(canvas) {
    this.canvas = canvas;
    this.renderer = new WebGLRenderer({ canvas, antialias: true, alpha: false });
    this.scene = new Scene();
    this.camera = new PerspectiveCamera(38, 1, 0.05, 200);
    this.camera.up.set(0, 0, 1);
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.enableDamping = true;
    this.controls.maxDistance = 40;
    this.controls.minDistance = 1;
    this.follows = null; // null: nobody has chosen; then only where the whole flight cannot be in view
    this.showsDoubt = true;
    this.placed = false;
    this.drawn = 0;
    this.sun = new DirectionalLight(0xffffff, 1.6);
    this.sun.position.set(3, -6, 9);
    this.sky = new HemisphereLight(0xffffff, 0x8899aa, 1.9);
    this.scene.add(this.sun, this.sky);
    this.#furnish();
    new ResizeObserver(() => this.#fit()).observe(canvas);
    this.paint();
  }

  /** What stands there whatever happens: board, water, grid, hidden until it is known where they are. */
  #furnish() {
    this.water = new Mesh(
      new PlaneGeometry(16, 12),
      new MeshLambertMaterial({ transparent: true, opacity: 0.55, side: DoubleSide, depthWrite: false }),
    );
    this.board = new Mesh(new BoxGeometry(1, 1, 1), new MeshLambertMaterial());
    this.way = new Line(new BufferGeometry(), new LineBasicMaterial());
    this.way.geometry.setAttribute("position", new BufferAttribute(new Float32Array(3 * MOST_WAY), 3).setUsage(DynamicDrawUsage));
    this.way.frustumCulled = false;
    this.dots = this.#many(new SphereGeometry(0.028, 10, 8), new MeshBasicMaterial(), MOST_WAY);
    this.scene.add(this.water, this.board, this.way);
    this.water.visible = this.board.visible = false;
  }

  #many(geometry, material, count) {
    const mesh = new InstancedMesh(geometry, material, count);
    mesh.instanceMatrix.setUsage(DynamicDrawUsage);
    mesh.frustumCulled = false;
    mesh.count = 0;
    this.scene.add(mesh);
    return mesh;
  }

  /** The body that is drawn, from the hello. */
  setBody(body) {
    this.body = body;
    for (const old of [this.bones, this.joints, this.doubts]) {
      if (!old) continue;
      this.scene.remove(old);
      old.geometry.dispose();
      old.material.dispose();
      old.dispose();
    }
    this.bones = this.#many(new CylinderGeometry(BONE_M, BONE_M, 1, 12), new MeshLambertMaterial(), body.bones.length);
    this.joints = this.#many(new SphereGeometry(JOINT_M, 18, 12), new MeshLambertMaterial(), body.count);
    const veil = new MeshBasicMaterial({ transparent: true, opacity: 0.13, depthWrite: false });
    this.doubts = this.#many(new SphereGeometry(1, 20, 14), veil, body.count);
    this.paint();
  }

  /** Colours of the theme. */
  paint() {
    this.scene.background = new Color(colour("scene"));
    this.water.material.color.set(colour("scene-water"));
    this.board.material.color.set(colour("scene-board"));
    for (const one of [this.way, this.dots]) one.material.color.set(colour("accent"));
    if (this.grid) this.scene.remove(this.grid);
    this.grid = new GridHelper(16, 16, colour("scene-grid"), colour("scene-grid"));
    this.grid.rotation.x = Math.PI / 2;
    this.grid.material.transparent = true;
    this.grid.material.opacity = 0.55;
    this.scene.add(this.grid);
    this.#lay();
    if (!this.bones) return;
    const side = { [LEFT]: LEFT, [RIGHT]: RIGHT, [MIDDLE]: colour("scene-mid") };
    this.body.colours.forEach((name, joint) => {
      this.joints.setColorAt(joint, new Color(side[name]));
      this.doubts.setColorAt(joint, new Color(side[name]));
    });
    this.body.bones.forEach(([, joint], i) => this.bones.setColorAt(i, new Color(side[this.body.colours[joint]])));
    for (const mesh of [this.bones, this.joints, this.doubts]) mesh.instanceColor.needsUpdate = true;
  }

  /**
   * Where board and water are: `edge` the middle of the board's front edge, [x, y, z], `out` the level direction over
   * the water, `height`, `width` and `length` of the board, m; without `edge` only the water at `water`. Null: unknown.
   */
  furnish(place) {
    if (!this.place !== !place) this.placed = false;
    this.place = place;
    this.#lay();
  }

  #lay() {
    const place = this.place;
    this.water.visible = this.board.visible = Boolean(place);
    const level = place?.water ?? this.floor ?? 0;
    const [x, y] = place ? [place.edge[0] + 4 * place.out[0], place.edge[1] + 4 * place.out[1]] : [0, 0];
    this.grid.position.set(x, y, level + 0.004);
    if (!place) return;
    const turn = Math.atan2(place.out[1], place.out[0]);
    this.water.position.set(x, y, level);
    this.water.rotation.z = turn;
    this.grid.rotation.z = 0;
    this.grid.rotation.y = turn;
    const thick = place.kind === "platform" ? 0.2 : 0.06;
    this.board.scale.set(place.length, place.width, thick);
    const back = place.length / 2;
    this.board.position.set(
      place.edge[0] - back * place.out[0], place.edge[1] - back * place.out[1], place.edge[2] - thick / 2,
    );
    this.board.rotation.z = turn;
  }

  /** Draw a pose (mm, as `Frames.poseAt` gives it; null: nobody) and the poses of the way there. */
  draw(moment, way, now) {
    const passed = Math.min(now - this.drawn, 1000);
    this.drawn = now;
    if (moment) this.#pose(moment);
    else for (const mesh of [this.bones, this.joints, this.doubts]) if (mesh) mesh.count = 0;
    this.#way(way);
    this.#look(moment, passed);
    this.canvas.shown = moment && { seq: moment.pose.seq, mm: moment.mm };
    this.controls.update();
    this.renderer.render(this.scene, this.camera);
  }

  #pose({ pose, mm }) {
    const at = (joint) => new Vector3(mm[3 * joint] / 1000, mm[3 * joint + 1] / 1000, mm[3 * joint + 2] / 1000);
    const matrix = new Matrix4();
    const joints = Array.from({ length: this.body.count }, (_, joint) => at(joint));
    joints.forEach((point, joint) => this.joints.setMatrixAt(joint, this.#sized(matrix, point, joint)));
    this.body.bones.forEach(([a, b], i) => {
      const along = joints[b].clone().sub(joints[a]);
      const turn = new Quaternion().setFromUnitVectors(UP, along.clone().normalize());
      const middle = joints[a].clone().add(joints[b]).multiplyScalar(0.5);
      this.bones.setMatrixAt(i, matrix.compose(middle, turn, new Vector3(1, along.length(), 1)));
    });
    this.joints.count = this.body.count;
    this.bones.count = this.body.bones.length;
    const cov = this.showsDoubt ? pose.cov_mm2 : null;
    this.doubts.count = cov ? this.body.count : 0;
    if (cov) joints.forEach((point, joint) => this.doubts.setMatrixAt(joint, ellipsoid(matrix, point, cov, 6 * joint)));
    for (const mesh of [this.joints, this.bones, this.doubts]) mesh.instanceMatrix.needsUpdate = true;
    if (!this.place && this.floor === undefined) {
      this.floor = Math.min(...joints.map((point) => point.z));
      this.#lay();
    }
  }

  #sized(matrix, point, joint) {
    const size = joint === this.body.head ? 2.1 : 1;
    return matrix.makeScale(size, size, size).setPosition(point);
  }

  #way(way) {
    const positions = this.way.geometry.attributes.position;
    const matrix = new Matrix4();
    const count = Math.min(way.length, MOST_WAY);
    for (let i = 0; i < count; i++) {
      const [x, y, z] = way[way.length - count + i].centre_mm;
      positions.setXYZ(i, x / 1000, y / 1000, z / 1000);
      this.dots.setMatrixAt(i, matrix.makeTranslation(x / 1000, y / 1000, z / 1000));
    }
    positions.needsUpdate = true;
    this.way.geometry.setDrawRange(0, count);
    this.dots.count = count;
    this.dots.instanceMatrix.needsUpdate = true;
  }

  get isFollowing() { return this.follows ?? !this.place; }

  /** The eye goes with the athlete, by just as much as the athlete moves, so that a turned view stays turned. */
  #look(moment, passed) {
    const centre = moment && new Vector3(...moment.centre).divideScalar(1000);
    if (!this.placed) {
      this.#stand(centre);
      return;
    }
    if (!this.isFollowing || !centre) return;
    const step = centre.sub(this.controls.target);
    step.multiplyScalar(step.length() > 8 ? 1 : 1 - Math.exp(-passed / SETTLES_MS));
    this.controls.target.add(step);
    this.camera.position.add(step);
  }

  /** The first view: of the whole flight where board and water are known, else of the athlete. */
  #stand(centre) {
    if (!this.place && !centre) return;
    this.placed = true;
    let distance = NEAR_M;
    if (this.place) {
      const { edge, out, water } = this.place;
      const tall = edge[2] + OVER_BOARD_M - water + 0.6;
      const wide = Math.max(3.6, 0.9 * tall);
      this.controls.target.set(edge[0] + 0.7 * out[0], edge[1] + 0.7 * out[1], water - 0.3 + tall / 2);
      distance = Math.max(tall, wide / this.camera.aspect) / 2 / Math.tan((this.camera.fov * Math.PI) / 360) + 0.6;
    } else {
      this.controls.target.copy(centre);
    }
    // Beside the board, on the side from which the flight goes to the right.
    const turn = this.place ? Math.atan2(this.place.out[1], this.place.out[0]) : 0;
    const eye = EYE.clone().applyAxisAngle(new Vector3(0, 0, 1), turn).normalize().multiplyScalar(distance);
    this.camera.position.copy(this.controls.target).add(eye);
  }

  /** The first view again. */
  reset() {
    this.placed = false;
  }

  /** Another run or camera: nothing of before holds. */
  forget() {
    this.floor = undefined;
    this.placed = false;
    this.furnish(null);
  }

  #fit() {
    const { clientWidth: width, clientHeight: height } = this.canvas.parentElement;
    this.renderer.setPixelRatio(Math.min(devicePixelRatio || 1, 2));
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / Math.max(1, height);
    this.camera.updateProjectionMatrix();
  }
}

/**
 * Takes the unit ball to the points that are two standard deviations away: for a covariance L Lᵀ that is 2 L, L its
 * Cholesky factor. `cov` holds xx, xy, xz, yy, yz, zz from `i` on, mm².
 */
function ellipsoid(matrix, point, cov, i) {
  const [xx, xy, xz, yy, yz, zz] = cov.slice(i, i + 6);
  const size = DEVIATIONS / 1000;
  const a = Math.sqrt(Math.max(xx, 1));
  const [b, c] = [xy / a, xz / a];
  const d = Math.sqrt(Math.max(yy - b * b, 1));
  const e = (yz - b * c) / d;
  const f = Math.sqrt(Math.max(zz - c * c - e * e, 1));
  return matrix.set(
    size * a, 0, 0, point.x,
    size * b, size * d, 0, point.y,
    size * c, size * e, size * f, point.z,
    0, 0, 0, 1,
  );
}
