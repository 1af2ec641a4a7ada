// What of three.js the page uses. static/three.min.js is made of it:
//
//   npm install three@0.187 esbuild
//   npx esbuild pipeline/viewer/three.entry.js --bundle --minify --format=esm --outfile=pipeline/viewer/static/three.min.js
export {
  BoxGeometry, BufferAttribute, BufferGeometry, Color, CylinderGeometry, DirectionalLight, DoubleSide,
  DynamicDrawUsage, GridHelper, HemisphereLight, InstancedMesh, Line, LineBasicMaterial, Matrix4, Mesh,
  MeshBasicMaterial, MeshLambertMaterial, PerspectiveCamera, PlaneGeometry, Quaternion, Scene, SphereGeometry,
  Vector3, WebGLRenderer,
} from "three";
export { OrbitControls } from "three/addons/controls/OrbitControls.js";
