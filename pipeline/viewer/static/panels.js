// What stands beside the pictures: numbers of the moment, dives, stages.

import { counted, grouped, guessed, number, turned } from "./words.js";

const MOST_DIVES = 50;
const STAGES = ["capture", "track", "encode", "decode", "smooth", "publish"];
const FRESH_MS = 8000;

const $ = (id) => document.getElementById(id);

/** An element with text in it. */
function made(tag, name, text) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.textContent = text;
  return element;
}

/** Write only what changed: the page is laid out anew otherwise. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const NUMBERS = [
  ["height", "above the water", "m"],
  ["speed", "speed", "m/s"],
  ["falling", "falling", "m/s"],
  ["rate", "poses", "/s"],
  ["late", "pose after", "ms"],
  ["frame", "frame", ""],
];

export class Numbers {
  constructor() {
    this.values = {};
    for (const [name, label, unit] of NUMBERS) {
      const cell = document.createElement("div");
      const value = made("dd", "", "");
      this.values[name] = value.appendChild(made("span", "", "–"));
      value.append(made("small", "", unit));
      cell.append(made("dt", "", label), value);
      $("numbers").append(cell);
    }
  }

  show(values, phase) {
    for (const [name] of NUMBERS) say(this.values[name], values[name] ?? "–");
    say($("phase"), phase);
    $("phase").dataset.phase = phase;
  }
}

export class Dives {
  /** `chosen` is called with the dive that somebody wants to see again. */
  constructor(chosen) {
    this.chosen = chosen;
    this.clear();
  }

  clear() {
    this.list = [];
    $("dives").replaceChildren();
    $("no-dives").hidden = false;
  }

  add(dive) {
    if (this.list.some((known) => known.seq === dive.seq)) return;
    this.list.push(dive);
    const button = this.#button(dive);
    const item = document.createElement("li");
    item.append(button);
    $("dives").prepend(item);
    if (this.list.length > MOST_DIVES) {
      this.list.shift();
      $("dives").lastChild.remove();
    }
    $("no-dives").hidden = true;
  }

  #button(dive) {
    const { report } = dive;
    const button = document.createElement("button");
    const { code, sure } = guessed(report);
    const label = made("span", "code", code);
    label.append(made("small", "faint", sure && ` ${sure}`));
    const when = new Date(dive.t_unix_ms).toLocaleTimeString();
    button.append(label, made("span", "what", turned(report)), made("span", "more", `${more(report)} · ${when}`));
    button.addEventListener("click", () => this.chosen(dive));
    dive.button = button;
    button.ariaPressed = "false";
    return button;
  }

  /** Which one is shown; null: none. */
  mark(shown) {
    for (const dive of this.list) {
      const pressed = String(dive === shown);
      if (dive.button.ariaPressed !== pressed) dive.button.ariaPressed = pressed;
    }
  }
}

/** The second line of a dive. */
function more(report) {
  const parts = [`${number(report.flight_time_s[0], 2)} s in the air`];
  if (report.apex_above_board_m) parts.push(`${number(report.apex_above_board_m[0])} m over the board`);
  parts.push(`entry ${number(Math.abs(report.entry_angle_deg[0]), 0)}° ${report.entry_angle_deg[0] > 0 ? "over" : "short"}`);
  if (report.board_height_m) parts.push(`${counted(report.board_height_m)} m`);
  return parts.join(" · ");
}

export class Stages {
  constructor() {
    this.rows = new Map();
  }

  clear() {
    this.rows.clear();
    $("health").tBodies[0].replaceChildren();
  }

  take(health) {
    const name = health.stream && this.several ? `${health.stage} ${health.stream}` : health.stage;
    const row = this.rows.get(name) ?? this.#row(name, health);
    row.heard = performance.now();
    row.dot.dataset.state = health.state;
    const drops = Object.entries(health.dropped ?? {}).filter(([, count]) => count);
    const cells = [
      name,
      grouped(health.sent || health.received),
      ...health.step.map((ms) => `${number(ms)} ms`),
      grouped(drops.reduce((sum, [, count]) => sum + count, 0)),
      health.error || health.note || (health.state === "running" ? "" : health.state),
    ];
    cells.forEach((text, i) => say(row.cells[i], text));
    row.cells[4].className = drops.length ? "warn" : "";
    row.element.title = cells[5];
    row.cells[4].title = drops.map(([cause, count]) => `${count} ${cause}`).join(", ");
  }

  #row(name, health) {
    const element = document.createElement("tr");
    const dot = made("span", "dot", "");
    const first = document.createElement("td");
    const label = made("span", "", name);
    first.append(dot, label);
    const cells = [label, ...Array.from({ length: 5 }, () => document.createElement("td"))];
    cells[5].className = "left";
    element.append(first, ...cells.slice(1));
    const place = STAGES.indexOf(health.stage);
    const row = { element, dot, cells, heard: 0, place: place < 0 ? STAGES.length : place };
    this.rows.set(name, row);
    const after = [...this.rows.values()].filter((one) => one !== row && one.place <= row.place);
    const body = $("health").tBodies[0];
    body.insertBefore(element, after.length ? after.sort((a, b) => a.place - b.place).at(-1).element.nextSibling : body.firstChild);
    return row;
  }

  /** A stage that was not heard of for long says nothing of how it is. */
  tick(now) {
    for (const row of this.rows.values()) if (now - row.heard > FRESH_MS) row.dot.dataset.state = "silent";
  }
}
