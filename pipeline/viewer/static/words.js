// Numbers and names as people read them.

const PARTS = ["", "¼", "½", "¾"];

/** 1.5 as 1½. */
export function counted(turns) {
  const whole = Math.floor(turns);
  const part = PARTS[Math.round((turns - whole) * 4)] ?? "";
  return `${whole || !part ? whole : ""}${part}`;
}

/** A number with so many digits behind the point, an en dash where it is not known. */
export function number(value, digits = 1) {
  return value === null || value === undefined || !Number.isFinite(value) ? "–" : value.toFixed(digits).replace("-", "−");
}

/** Likeliest dive number and how sure that is; empty where there is none. */
export function guessed(report) {
  const [code, probability] = report.numbers[0] ?? [];
  return code ? { code, sure: `${Math.round(100 * probability)} %` } : { code: "?", sure: "" };
}

/** What was turned, in which position. */
export function turned(report) {
  const somersaults = `${counted(report.somersaults)} somersault${report.somersaults > 1 ? "s" : ""}`;
  const twists = report.twists ? `, ${counted(report.twists)} twist${report.twists > 1 ? "s" : ""}` : "";
  return `${somersaults}${twists}, ${report.position}`;
}

/** 12345 as 12 345. */
export function grouped(count) {
  return String(count).replace(/\B(?=(\d{3})+$)/g, " ");
}
