/* How far the run is, and how fast. */

import { byId, setText } from "./dom.js";
import { count, duration, figure, isNumber, time } from "./format.js";

/** Show the run's progress, time left, speed and time gone. */
export function showProgress(run) {
  const share = isNumber(run.step) && run.max_steps > 0 ? Math.min(1, run.step / run.max_steps) : null;
  setText(byId("step"), stepText(run));
  setText(byId("step-share"), share === null ? "" : `${Math.floor(share * 100)} %`);
  setText(byId("epoch"), epochText(run));
  showBar(run, share);

  const ended = isNumber(run.ended_at);
  setText(byId("left-label"), ended ? "Ended" : "Time left");
  setText(byId("left"), ended ? time(run.ended_at) : duration(run.seconds_left));
  setText(byId("elapsed"), duration(elapsed(run)));
  setText(byId("steps-speed"), figure(run.steps_per_second));
  setText(byId("samples-speed"), figure(run.samples_per_second));
}

/** The time by the clock of the machine that serves the page, which need not be that of the reader's. */
export function serverNow(run) {
  return isNumber(run.seen_at) && isNumber(run.silent_for) ? run.seen_at + run.silent_for : Date.now() / 1000;
}

function stepText(run) {
  return isNumber(run.max_steps) ? `Step ${count(run.step)} of ${count(run.max_steps)}` : `Step ${count(run.step)}`;
}

function epochText(run) {
  if (!isNumber(run.epoch)) return "";
  const epoch = `epoch ${run.epoch.toFixed(2)}`;
  return isNumber(run.num_epochs) ? `${epoch} of ${figure(run.num_epochs)}` : epoch;
}

function showBar(run, share) {
  const bar = byId("progress-bar");
  bar.style.setProperty("--share", `${(share ?? 0) * 100}%`);
  if (share === null) bar.removeAttribute("aria-valuenow");
  else bar.setAttribute("aria-valuenow", String(Math.floor(share * 100)));
  const begun = run.begun_step > 0 && run.max_steps > 0 ? run.begun_step / run.max_steps : 0;
  bar.style.setProperty("--begun", `${Math.min(1, begun) * 100}%`);
  setText(byId("begun"), begun ? `resumed at step ${count(run.begun_step)}` : "");
}

/** A run that died or ended stopped with its last sign of life. */
function elapsed(run) {
  if (!isNumber(run.started_at)) return null;
  if (isNumber(run.ended_at)) return run.ended_at - run.started_at;
  return (run.state === "died" && isNumber(run.seen_at) ? run.seen_at : serverNow(run)) - run.started_at;
}
