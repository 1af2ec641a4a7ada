// The skeleton on the picture, drawn as posecast's own overlays are: sides by colour, doubt by dashes and hollow joints.

export const LEFT = "#ffa014";
export const RIGHT = "#3caaff";
export const MIDDLE = "#f0f0f0";
const INK = "#101418";
const SURE = 30; // percent

/** Which joints there are and how they hang together, from the hello. */
export class Body {
  constructor({ parents, left, right, joint_names: names }) {
    this.count = parents.length;
    this.bones = parents.map((parent, joint) => [parent, joint]).filter(([parent]) => parent >= 0);
    this.colours = parents.map((_, joint) => (left.includes(joint) ? LEFT : right.includes(joint) ? RIGHT : MIDDLE));
    this.nose = names.indexOf("nose");
    this.head = names.indexOf("head");
    this.ankles = [names.indexOf("left_ankle"), names.indexOf("right_ankle")];
  }
}

/** Draw a pose; returns the joints where they were drawn, [x, y] in pixels of the canvas, null where not known. */
export function drawSkeleton(context, body, pose, scale) {
  const joints = body.colours.map((_, joint) => {
    const [u, v] = [pose.px[2 * joint], pose.px[2 * joint + 1]];
    return u === null || v === null ? null : [(u / 10 + 0.5) * scale, (v / 10 + 0.5) * scale];
  });
  const known = joints.filter(Boolean);
  const spread = (axis) => Math.max(...known.map((p) => p[axis])) - Math.min(...known.map((p) => p[axis]));
  const width = known.length ? Math.max(2, Math.min(Math.max(spread(0), spread(1)) / 55, context.canvas.height / 90)) : 2;
  const bones = body.bones.filter(([a, b]) => joints[a] && joints[b]);
  const sure = (...ends) => ends.every((joint) => pose.conf[joint] >= SURE);
  context.lineCap = "round";
  for (const [a, b] of bones) if (sure(a, b)) line(context, joints[a], joints[b], INK, width * 1.8);
  for (const [a, b] of bones) {
    context.setLineDash(sure(a, b) ? [] : [width, 2.2 * width]);
    line(context, joints[a], joints[b], body.colours[b], sure(a, b) ? width : width * 0.7);
  }
  context.setLineDash([]);
  if (joints[body.nose] && joints[body.head]) ring(context, joints[body.nose], joints[body.head], width);
  joints.forEach((at, joint) => {
    if (!at) return;
    if (!sure(joint)) {
      circle(context, at, width * 0.8, null, body.colours[joint], Math.max(1, width / 3));
      return;
    }
    circle(context, at, width * 0.95, "#ffffff", INK, Math.max(1, width * 0.4));
    circle(context, at, width * 0.55, body.colours[joint]);
  });
  return joints;
}

function line(context, from, to, colour, width) {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(...to);
  context.stroke();
}

function circle(context, at, radius, fill, stroke, width) {
  context.beginPath();
  context.arc(...at, radius, 0, 2 * Math.PI);
  if (stroke) {
    context.strokeStyle = stroke;
    context.lineWidth = width;
    context.stroke();
  }
  if (fill) {
    context.fillStyle = fill;
    context.fill();
  }
}

/** Around the head, so that up and down are told apart at a glance. */
function ring(context, nose, head, width) {
  const centre = [(nose[0] + head[0]) / 2, (nose[1] + head[1]) / 2];
  const radius = Math.max(0.75 * Math.hypot(head[0] - nose[0], head[1] - nose[1]), 1.5 * width);
  circle(context, centre, radius, null, INK, width / 2 + 2);
  circle(context, centre, radius, null, MIDDLE, width / 2);
}
