/* One run's dashboard: asks for the run again and again, and hands it to the parts of the page. */

import { byId, h, problemList, replace, setText } from "./dom.js";
import { showEvaluations } from "./evaluation_table.js";
import { ago, duration, stateOf, text, time } from "./format.js";
import { oddSentences } from "./odd_values.js";
import { viewerUrl } from "./page_links.js";
import { showConfig, showWandb } from "./run_about.js";
import { runCharts } from "./run_charts.js";
import { showFigures } from "./run_figures.js";
import { serverNow, showProgress } from "./run_progress.js";
import { bindShortcuts } from "./shortcuts.js";
import { source } from "./source.js";
import { whenChanged } from "./update.js";

const SECONDS = 1;

const key = new URLSearchParams(location.search).get("run");
const charts = runCharts(key);
// It takes longer to load than all the rest: not only when there is something to draw. Who draws says what has failed.
source.plotly().catch(() => {});
const showProblems = whenChanged((problems) => replace(byId("problems"), problemList(problems)));
const showOdd = whenChanged((odd) => {
  const sentences = oddSentences(odd);
  byId("odd").hidden = !sentences.length;
  replace(byId("odd"), sentences.map((sentence) => h("li", {}, sentence)));
});

let run; // As it was last read
let history = {};
let historyError = null;

start();

function start() {
  bindShortcuts([
    { key: "v", what: "The run's viewer", run: () => run && byId("to-viewer").click() },
    { key: "r", what: "All runs", run: () => byId("to-runs").click() },
  ]);
  if (!key) {
    showMissing("No run is named in this page's address.");
    return;
  }
  byId("to-viewer").href = viewerUrl(key);
  source.poll(() => source.run(key), onRun, SECONDS);
}

function onRun(newer, error) {
  byId("failure").hidden = !error || !run;
  if (!error) {
    run = newer;
    showRun();
    readHistory();
  } else if (run) {
    setText(byId("failure"), `${error.message} What is shown here is as it was last read.`);
  } else {
    showMissing(error.message);
  }
}

function showMissing(words) {
  byId("loading").hidden = true;
  byId("missing").hidden = false;
  setText(byId("missing-text"), words);
}

function showRun() {
  byId("loading").hidden = byId("missing").hidden = true;
  byId("run").hidden = byId("to-viewer").hidden = false;
  showHeader();
  showFigures(run);
  showProgress(run);
  charts.showRun(run);
  showEvaluations(run);
  showWandb(run.url, run.sync_command);
  showConfig(run.config);
  setText(byId("note"), run.note ?? "");
  byId("note").hidden = !run.note;
  showAllProblems();
}

function showHeader() {
  const { name, kind } = stateOf(run);
  setText(byId("name"), text(run.name ?? run.id));
  setText(byId("state"), name);
  byId("state").className = `chip ${kind}`;
  document.title = `${text(run.name ?? run.id)} – ${name}`;
  const now = serverNow(run);
  const details = [
    run.project,
    run.id,
    run.model,
    run.host,
    run.foreign ? "written by openadapt-ml" : null,
    run.started_at ? `started ${time(run.started_at)}` : null,
    run.seen_at ? `last sign of life ${ago(run.seen_at, now)}` : null,
  ];
  setText(byId("details"), details.filter(Boolean).join(" · "));
  byId("died").hidden = run.state !== "died";
  const silence = `No sign of life for ${duration(now - run.seen_at)}`;
  setText(byId("died"), `${silence}: the process or its machine is gone. Last seen ${time(run.seen_at)}.`);
}

function showAllProblems() {
  showProblems([...(run.problems ?? []), ...(history.problems ?? []), historyError].filter(Boolean));
}

let reading = false;
let readMark; // What the run was like when its history was last read

/** Read the history when the run has gone on, one reading at a time. */
async function readHistory() {
  if (reading) return;
  reading = true;
  try {
    while (readMark !== markOf(run)) {
      const mark = markOf(run);
      history = await source.history(key);
      readMark = mark;
      historyError = null;
      charts.showHistory(history);
      showOdd(history.odd);
    }
  } catch (error) {
    historyError = error.message;
  }
  reading = false;
  showAllProblems();
}

function markOf({ step, evaluations, state, seen_at }) {
  return JSON.stringify([step, evaluations?.length, state, seen_at]);
}
