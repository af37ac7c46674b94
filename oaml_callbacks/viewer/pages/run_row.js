/* A row of the list of runs: made once of the page's template, then brought up to date cell by cell. */

import { byId, setText } from "./dom.js";
import { ago, count, isNumber, percent, stateOf, text, time } from "./format.js";
import { dashboardUrl, viewerUrl } from "./page_links.js";

/** A row for the run of that key; `onTick(key, ticked)` is called when its box is ticked. */
export function runRow(key, onTick) {
  const element = byId("row").content.firstElementChild.cloneNode(true);
  const part = (name) => element.querySelector(`.${name}`);
  const parts = Object.fromEntries(CELLS.map((name) => [name, part(name)]));
  const box = part("tick-box");
  box.addEventListener("change", () => onTick(key, box.checked));
  parts.title.href = parts["to-dashboard"].href = dashboardUrl(key);
  parts["to-viewer"].href = viewerUrl(key);

  let run = {};
  let shown;
  return {
    element,
    update(newer) {
      const now = JSON.stringify(newer);
      if (now === shown) return;
      [run, shown] = [newer, now];
      fill(parts, run);
      box.setAttribute("aria-label", `Compare ${text(run.name ?? run.id)}`);
    },
    /** As time goes on. */
    tell() {
      setText(parts.seen, ago(run.seen_at));
    },
  };
}

const CELLS = [
  "title", "run-id", "current", "foreign", "problems", "project", "state", "steps", "steps-bar", "last", "best", "base",
  "accuracy-bar", "samples", "model", "started", "seen", "to-viewer", "to-dashboard",
];

function fill(parts, run) {
  setText(parts.title, text(run.name ?? run.id));
  setText(parts["run-id"], text(run.id));
  parts.current.hidden = !run.current;
  parts.foreign.hidden = !run.foreign;
  parts.problems.hidden = !run.problems;
  setText(parts.problems, `${count(run.problems)} unreadable`);
  setText(parts.project, text(run.project));
  setText(parts.samples, count(run.samples));
  setText(parts.model, text(run.model));
  parts.model.title = run.model ?? "";
  setText(parts.started, time(run.started_at));
  fillState(parts.state, run);
  fillProgress(parts, run);
  fillAccuracy(parts, run.accuracy ?? {});
}

function fillState(chip, run) {
  const { name, kind } = stateOf(run);
  setText(chip, name);
  chip.className = `state chip ${kind}`;
}

function fillProgress(parts, run) {
  setText(parts.steps, isNumber(run.max_steps) ? `${count(run.step)} of ${count(run.max_steps)}` : count(run.step));
  const share = run.max_steps ? run.step / run.max_steps : null;
  parts["steps-bar"].hidden = !isNumber(share);
  setShare(parts["steps-bar"], "--share", share);
}

function fillAccuracy(parts, { last, best, baseline }) {
  setText(parts.last, percent(last));
  setText(parts.best, isNumber(best) ? `best ${percent(best)}` : "");
  setText(parts.base, isNumber(baseline) ? `base model ${percent(baseline)}` : "no base model evaluation");
  const bar = parts["accuracy-bar"];
  bar.hidden = ![last, best, baseline].some(isNumber);
  bar.classList.toggle("based", isNumber(baseline));
  setShare(bar, "--last", last);
  setShare(bar, "--best", best);
  setShare(bar, "--base", baseline);
}

function setShare(element, name, share) {
  element.style.setProperty(name, `${isNumber(share) ? Math.min(1, Math.max(0, share)) * 100 : 0}%`);
}
