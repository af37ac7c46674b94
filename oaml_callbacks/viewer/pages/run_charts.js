/* The dashboard's charts: which figure stands where, and when they are drawn anew. */

import { chartView } from "./chart_view.js";
import { onThemeChange, readTheme } from "./chart_theme.js";
import { accuracyFigure, distanceFigure, readableFigure } from "./charts.js";
import { byId } from "./dom.js";
import { lossFigure, rateFigure } from "./loss_charts.js";
import { viewerUrl } from "./page_links.js";
import { evaluationSets } from "./run_sets.js";
import { whenChanged } from "./update.js";

/** The charts of the run; `showRun(run)` and `showHistory(history)` bring them up to date. */
export function runCharts(key) {
  const toViewer = (evaluation, event) => {
    const url = viewerUrl(key, evaluation);
    if (event.ctrlKey || event.metaKey) open(url, "_blank", "noopener");
    else location.assign(url);
  };
  const view = (id) => chartView(byId(id), toViewer);
  const show = {
    accuracy: view("accuracy-chart"),
    distance: view("distance-chart"),
    readable: view("readable-chart"),
    loss: view("loss-chart"),
    rate: view("rate-chart"),
  };
  let sets = [];
  let history; // Unknown until it has been read
  let yet = " yet";

  function draw() {
    const theme = readTheme();
    const noEvaluation = `No evaluation has measured this${yet}.`;
    show.accuracy(accuracyFigure(sets, theme), noEvaluation);
    show.distance(distanceFigure(sets, theme), noEvaluation);
    show.readable(readableFigure(sets, theme), noEvaluation);
    if (!history) return;
    show.loss(lossFigure(history, sets, theme), `No loss has been logged${yet}.`);
    show.rate(rateFigure(history, theme), `No learning rate has been logged${yet}.`);
  }

  onThemeChange(draw);
  const showEvaluated = whenChanged((run) => {
    sets = evaluationSets(run);
    yet = run.state === "ended" || run.state === "died" ? "" : " yet";
    draw();
  });

  return {
    showRun: ({ state, sets, evaluations }) => showEvaluated({ state, sets, evaluations }),
    showHistory(newer) {
      history = newer;
      draw();
    },
  };
}
