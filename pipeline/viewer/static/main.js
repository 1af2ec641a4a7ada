// The page: what comes over the link goes into the store, and sixty times a second the moment to be shown is drawn.

import { Clock } from "./clock.js";
import { Frames, Store } from "./frames.js";
import { Link } from "./link.js";
import { Dives, Numbers, say, Stages } from "./panels.js";
import { placeOfDive, placeOfVenue } from "./places.js";
import { Pace } from "./pace.js";
import { Player, SPEEDS } from "./player.js";
import { Space } from "./scene.js";
import { Body } from "./skeleton.js";
import { themed } from "./theme.js";
import { Timeline } from "./timeline.js";
import { Video } from "./video.js";
import { number } from "./words.js";

const KEEP_MS = 60_000;
const WAY_MS = 2500;
const RATE_OVER_MS = 2000;
const BEFORE_MS = 700; // of a dive that is shown again
const AFTER_MS = 500;
const WITHOUT_MS = 1000; // without a picture for so long, the poses tell the time
const STEP_MS = 45; // the body in space is never further ahead of the picture
const PANELS_EVERY_MS = 100;

const $ = (id) => document.getElementById(id);

const store = new Store(KEEP_MS);
const clock = new Clock();
const player = new Player(store, clock);
const video = new Video($("video"), (frame) => {
  pictured = performance.now();
  if (player.isLive) clock.arrived(frame.t, pictured);
});
const space = new Space($("scene"));
const numbers = new Numbers();
const dives = new Dives(again);
const stages = new Stages();
const pace = new Pace();
const timeline = new Timeline($("scrub"), $("strip"), store, (t) => {
  if (player.frames !== store) player.live();
  player.pause(t);
});
let run = "";
let body = null;
let venue = null;
let connected = false;
let lateMs = [];
let pictured = -Infinity;

const link = new Link({
  state(now) {
    connected = now;
  },
  hello(message) {
    if (message.run !== run || message.stream !== link.stream) forget(message);
    dives.clear();
  },
  pose(message) {
    const frame = store.addPose(message);
    if (!frame || message.revision !== "provisional") return;
    const now = performance.now();
    if (now - pictured > WITHOUT_MS) clock.arrived(message.t_ms, now);
    lateMs.push({ now, ms: message.age_ms });
    while (lateMs[0].now < now - RATE_OVER_MS) lateMs.shift();
  },
  picture(head, blob) {
    const frame = store.addPicture(head, blob);
    if (!frame) return null;
    $("empty").hidden = true;
    return player.isLive && !document.hidden ? video.prepare(frame) : null;
  },
  event(message) {
    const time = new Date().toLocaleTimeString();
    if (message.kind !== "dive") say($("event"), `${time}  ${message.kind.replaceAll("_", " ")} ${message.detail}`.trim());
  },
  dive(message) {
    dives.add(message);
    if (!venue && body) space.furnish(placeOfDive(message, body) ?? space.place);
  },
  health(message) {
    stages.take(message);
  },
});

/** Another run, or another camera: nothing that was shown goes on. */
function forget(hello) {
  run = hello.run;
  link.stream = hello.stream;
  body = new Body(hello);
  venue = placeOfVenue(hello.venue);
  store.clear();
  clock.reset();
  player.t = 0;
  player.live();
  video.body = body;
  video.clear();
  $("empty").hidden = false;
  space.setBody(body);
  space.forget();
  space.furnish(venue);
  stages.several = hello.streams.length > 1;
  stages.clear();
  lateMs = [];
  $("streams").replaceChildren(...(stages.several ? hello.streams.map(tab) : []));
  document.title = stages.several ? `${hello.stream} · posecast` : "posecast";
}

function tab(stream) {
  const button = document.createElement("button");
  button.textContent = stream;
  button.ariaPressed = String(stream === link.stream);
  button.addEventListener("click", () => {
    run = "";
    link.choose(stream);
  });
  return button;
}

/** Show a dive again: its pictures where they are still there, else its poses alone. */
function again(dive) {
  if (player.dive === dive) {
    player.live();
    return;
  }
  const from = 1000 * dive.report.take_off_s[0] - BEFORE_MS;
  const to = 1000 * dive.report.entry_s[0] + AFTER_MS;
  const kept = store.list.filter(({ t }) => t >= from && t <= to);
  const poses = dive.poses.map((pose) => ({ seq: pose.seq, t: pose.t_ms, pose, blob: null, head: null }));
  const all = kept.some(({ blob }) => blob) && kept[0].t - from < 1000 ? kept : poses;
  if (all.length) player.repeat(new Frames(all), Math.max(from, all[0].t), Math.min(to, all.at(-1).t), dive);
  if (all === poses) video.clear();
}

let shownPanels = 0;

function draw(now) {
  requestAnimationFrame(draw);
  const t = player.at(now);
  const frames = player.frames;
  if (t !== null && body) {
    const frame = video.show(frames, t, player.isLive);
    const ahead = player.mode === "paused" ? 0 : STEP_MS;
    const inSpace = frame && t - frame.t < WITHOUT_MS ? Math.min(t, frame.t + ahead) : t;
    const moment = frames.poseAt(inSpace);
    if (pace.allows(now)) space.draw(moment, frames.wayTo(inSpace, WAY_MS), now);
    if (now - shownPanels > PANELS_EVERY_MS) {
      shownPanels = now;
      panels(frames, inSpace, frame, moment, now);
    }
    timeline.show(t, player.isLive, now);
  }
  stages.tick(now);
  buttons();
}

function panels(frames, t, frame, moment, now) {
  const velocity = frames.velocityAt(t);
  const water = space.place?.water;
  const live = lateMs.filter((one) => one.now > now - RATE_OVER_MS);
  const sorted = live.map(({ ms }) => ms).sort((a, b) => a - b);
  numbers.show(
    {
      height: moment && water !== undefined ? number(moment.centre[2] / 1000 - water) : "–",
      speed: velocity ? number(Math.hypot(...velocity)) : "–",
      falling: velocity ? number(-velocity[2]) : "–",
      rate: number((1000 * live.length) / RATE_OVER_MS, 0),
      late: number(sorted[sorted.length >> 1], 0),
      frame: String(frame?.seq ?? "–"),
    },
    moment?.pose.phase ?? "idle",
  );
  const pose = frame?.pose;
  const state = !pose ? "no pose" : pose.tracked ? pose.revision : "nobody";
  say($("caption"), frame ? `frame ${frame.seq} · ${number(frame.t / 1000, 2)} s · ${state}` : "");
  const measure = { metric: "metres, calibrated", estimated: "metres, estimated: not calibrated" };
  say($("world"), measure[moment?.pose.world] ?? "");
  dives.mark(player.dive);
}

function buttons() {
  const chip = $("link");
  const past = player.isLive ? "live" : player.dive ? "dive" : player.mode === "paused" ? "paused" : "replay";
  say(chip, connected ? past : run ? "reconnecting" : "connecting");
  chip.dataset.state = !connected ? "away" : player.isLive ? "live" : "past";
  say($("pause"), player.mode === "paused" ? "▶" : "❚❚");
  $("live").ariaPressed = String(player.isLive);
  $("doubt").ariaPressed = String(space.showsDoubt);
  $("follow").ariaPressed = String(space.isFollowing);
  say($("speed"), `${player.isLive ? 1 : player.speed}×`);
  const behind = store.last && !player.isLive ? (player.t - store.last.t) / 1000 : 0;
  say($("ago"), player.isLive ? "live" : player.dive ? "dive" : `${number(behind)} s`);
}

function pauseOrPlay() {
  if (player.mode === "paused") player.play();
  else player.pause();
}

$("pause").addEventListener("click", pauseOrPlay);
$("back").addEventListener("click", () => player.step(-1));
$("forth").addEventListener("click", () => player.step(1));
$("live").addEventListener("click", () => player.live());
$("speed").addEventListener("click", () => {
  player.speed = SPEEDS[(SPEEDS.indexOf(player.speed) + 1) % SPEEDS.length];
});
$("turned").addEventListener("click", () => space.reset());
$("doubt").addEventListener("click", () => (space.showsDoubt = !space.showsDoubt));
$("follow").addEventListener("click", () => (space.follows = !space.isFollowing));
addEventListener("keydown", (event) => {
  if (event.target.closest?.("input") || event.ctrlKey || event.metaKey || event.altKey) return;
  const does = { " ": pauseOrPlay, ArrowLeft: () => player.step(-1), ArrowRight: () => player.step(1), l: () => player.live() };
  const found = does[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!found) return;
  event.preventDefault();
  found();
});
themed($("theme"), () => space.paint());
requestAnimationFrame(draw);
