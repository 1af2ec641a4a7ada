// Where board and water are: of a calibrated venue, or as a dive tells it.

const OUT_OF_PLACE = { width: 0.5, length: 2.5, kind: "springboard" };

/** Of the venue in a hello: the world's origin is the middle of the board's front edge. Null if there is none. */
export function placeOfVenue(venue) {
  if (!venue) return null;
  const { height_m: height, width_m: width, length_m: length } = venue;
  return { edge: [0, 0, 0], out: [1, 0], water: -height, width, length, kind: height >= 5 ? "platform" : "springboard" };
}

/** Of a dive in a world without a board: the edge is where the feet left, the water where the lowest joint went in. */
export function placeOfDive(dive, body) {
  const { report, poses } = dive;
  const first = poses.find((pose) => pose.seq >= report.first_seq);
  const last = poses.findLast((pose) => pose.seq <= report.last_seq);
  if (!first || !last || first === last) return null;
  const ankles = body.ankles.map((joint) => first.mm.slice(3 * joint, 3 * joint + 3));
  const edge = [0, 1, 2].map((axis) => (ankles[0][axis] + ankles[1][axis]) / 2000);
  edge[2] -= 0.08; // from the ankle to the sole
  const across = [0, 1].map((axis) => last.centre_mm[axis] - first.centre_mm[axis]);
  const length = Math.hypot(...across) || 1;
  const lowest = Math.min(...last.mm.filter((_, i) => i % 3 === 2)) / 1000;
  const water = report.board_height_m ? edge[2] - report.board_height_m : lowest;
  return { edge, out: across.map((value) => value / length), water, ...OUT_OF_PLACE };
}
