/* A run's clicks, one by one: starts the page, and follows the run. */

import { byId, h } from "./dom.js";
import { count } from "./format.js";
import { otherRuns } from "./compare.js";
import { Header } from "./header.js";
import { Notices } from "./notices.js";
import { dashboardUrl } from "./page_links.js";
import { RunData } from "./run_data.js";
import { source } from "./source.js";
import { createViewState } from "./view_state.js";
import { Workspace } from "./workspace.js";

const MISSING = "The run has no evaluation of the address's name; the newest is shown.";

const view = createViewState(show);
const header = new Header(byId("header"), change);
const notices = new Notices(byId("notices"), () => newer && view.change({ eval: newer.key }));
let data = null;
let workspace = null;
let others = [];
/** An evaluation that has come since, which is offered. */
let newer = null;
/** The evaluation that is shown because the run has none of the address's name. */
let insteadOf = null;
let error = null;

start();

function start() {
  if (source.embeddedRun) view.settle({ run: source.embeddedRun });
  const { run } = view.state;
  if (!run) {
    notices.tell("No run is chosen.", allRuns());
    return;
  }
  data = new RunData(run);
  source.poll(() => source.run(run), look, () => data.pause);
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
    const [isFirst, follows] = [!workspace, newer !== null || isNewest()];
    const changed = data.update(run);
    header.showRun(run, data.key);
    if (isFirst || isBack || changed) follow(follows);
  }
  if (workspace) showNotices();
  else if (error) notices.tell(error.message, allRuns());
  else notices.show({ problems: data.run?.problems });
}

/** There are other evaluations than before. Who looks at the newest one is offered the next, and stays. */
function follow(follows) {
  if (!data.evaluations().length) {
    notices.tell("This run has no evaluations yet.", h("a", { href: dashboardUrl(data.key) }, "Dashboard"));
    return;
  }
  notices.tell("");
  workspace ??= new Workspace(view, data);
  if (follows && workspace.evaluation) newer = newestOf(workspace.evaluation.set);
  show();
}

function newestOf(set) {
  return data.evaluations(set).at(-1) ?? null;
}

/** Whether the evaluation that is shown is the newest one of its set. */
function isNewest() {
  const shown = workspace?.evaluation;
  return Boolean(shown) && newestOf(shown.set)?.key === shown.key;
}

function show() {
  if (!workspace) return;
  const asked = view.state.eval;
  const instead = data.evaluation(asked).key;
  if (asked && asked !== instead) insteadOf = instead;
  workspace.show();
  const { evaluation } = workspace;
  if (evaluation.key !== insteadOf) insteadOf = null;
  if (newer && (evaluation.key === newer.key || evaluation.set !== newer.set)) newer = null;
  header.showEvaluations(data, evaluation);
  header.showOthers(others, view.state.with);
  showNotices();
}

/** A change that the header asks for. Another set has other samples, other groups and other evaluations. */
function change(patch) {
  if (!("set" in patch)) view.change(patch);
  else view.change({ eval: newestOf(patch.set)?.key ?? "", sample: null, group: [], since: "", with_eval: "" });
}

function showNotices() {
  notices.show({
    failure: error?.message,
    missing: insteadOf === null ? "" : MISSING,
    offer: newer ? `New evaluation at step ${count(newer.step)}:` : "",
    note: data.run?.note,
    problems: data.run?.problems,
  });
}

/* An embedded page has no other pages beside it. */
function allRuns() {
  return source.embeddedRun === null ? h("a", { href: "index.html" }, "All runs") : null;
}
