/* A run's clicks, one by one: starts the page, and follows the run. */

import { byId, h, problemList, replace } from "./dom.js";
import { count } from "./format.js";
import { otherRuns } from "./compare.js";
import { Header, dashboardOf } from "./header.js";
import { RunData } from "./run_data.js";
import { source } from "./source.js";
import { createViewState } from "./view_state.js";
import { Workspace } from "./workspace.js";

/** Seconds between two looks at a run that is training. */
const LOOK = 2;
const MISSING = "The run has no evaluation of the address's name; the newest is shown.";

const view = createViewState(show);
const header = new Header(byId("header"), change);
let data = null;
let workspace = null;
let stopLooking = null;
let others = [];
let newer = null;
/** The evaluation that is shown because the run has none of the address's name. */
let insteadOf = null;
let error = null;

start();

function start() {
  if (source.embeddedRun) view.settle({ run: source.embeddedRun });
  const { run } = view.state;
  if (!run) {
    tell("No run is chosen.", allRuns());
    return;
  }
  data = new RunData(run);
  stopLooking = source.poll(() => source.run(run), look, LOOK);
  otherRuns(run).then((runs) => {
    others = runs;
    if (workspace) header.showOthers(others, view.state.with);
  });
}

/** The run as it now is, or why it can't be had. */
function look(run, problem) {
  const isBack = error && !problem;
  error = problem ?? null;
  if (run) {
    const [isFirst, newest] = [!workspace, newestShown()];
    const changed = data.update(run);
    header.showRun(run, data.key);
    if (run.state === "ended") stopLooking();
    if (isFirst || isBack || changed) follow(newest);
  }
  if (workspace) showNotices();
  else if (error) tell(error.message, allRuns());
}

/** There are other evaluations than before. Who looks at the newest one is offered the next, and stays. */
function follow(newest) {
  if (!data.evaluations().length) {
    tell("This run has no evaluations yet.", h("a", { href: dashboardOf(data.key) }, "Dashboard"));
    return;
  }
  const asked = view.state.eval;
  if (!workspace && asked && data.evaluation(asked).key !== asked) insteadOf = data.evaluation(asked).key;
  workspace ??= new Workspace(view, data);
  const next = newest && data.evaluations(newest.set).at(-1);
  newer = next && next.key !== newest.key ? next : newer;
  show();
}

/** The evaluation that is shown, if it is the newest one of its set. */
function newestShown() {
  const shown = workspace?.evaluation;
  return shown && data.evaluations(shown.set).at(-1)?.key === shown.key ? shown : null;
}

function show() {
  if (!workspace) return;
  workspace.show();
  if (newer && workspace.evaluation.key === newer.key) newer = null;
  header.showEvaluations(data, workspace.evaluation);
  header.showOthers(others, view.state.with);
  showNotices();
}

/** A change that the header asks for. Another set has other samples and other groups. */
function change(patch) {
  if (!("set" in patch)) view.change(patch);
  else view.change({ eval: data.evaluation("", patch.set).key, sample: null, group: [], since: "" });
}

function showNotices() {
  const offer = newer && h("button", { onclick: () => view.change({ eval: newer.key }) }, "Show");
  replace(
    byId("notices"),
    error ? h("p", { class: "message error" }, error.message) : null,
    insteadOf !== null && insteadOf === workspace?.evaluation?.key ? h("p", { class: "message problem" }, MISSING) : null,
    newer ? h("p", { class: "message offer no-print" }, `New evaluation at step ${count(newer.step)}: `, offer) : null,
    problemList(data?.run?.problems),
  );
}

/* An embedded page has no other pages beside it. */
function allRuns() {
  return source.embeddedRun === null ? h("a", { href: "index.html" }, "All runs") : null;
}

/** Words in the place of the samples. */
function tell(words, ...more) {
  replace(byId("notices"), h("p", { class: "message" }, words, " ", ...more), problemList(data?.run?.problems));
}
