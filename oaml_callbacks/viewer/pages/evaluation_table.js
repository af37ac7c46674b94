/* The table of evaluations, newest first, which is also the charts' alternative in words. */

import { byId, h, replace } from "./dom.js";
import { capital, count, evaluationName, isNumber, number, percent, text } from "./format.js";
import { viewerUrl } from "./page_links.js";
import { allEvaluations, evaluationSets, interval } from "./run_sets.js";
import { arrange, whenChanged } from "./update.js";

const rows = new Map(); // {shown, element} by the evaluation's key

/** Show the run's evaluations. */
export function showEvaluations(run) {
  const evaluations = allEvaluations(run).sort((a, b) => (b.step ?? -1) - (a.step ?? -1));
  const several = evaluationSets(run).length > 1;
  byId("evaluations").classList.toggle("several", several);
  byId("evaluations").hidden = !evaluations.length;
  byId("no-evaluations").hidden = evaluations.length > 0;
  arrange(byId("evaluation-rows"), evaluations.map((evaluation, index) => rowOf(run, evaluation, index)));
  showGroups(evaluations, several);
}

/** An evaluation's row stays the same element; a link of it that has the focus has it in the new cells, too. */
function rowOf(run, evaluation, index) {
  const key = evaluation.key ?? `row ${index}`;
  const shown = JSON.stringify(evaluation);
  const row = rows.get(key) ?? { element: h("tr", {}) };
  rows.set(key, row);
  if (row.shown === shown) return row.element;
  const place = [...row.element.querySelectorAll("a")].indexOf(document.activeElement);
  replace(row.element, evaluationCells(run, evaluation));
  row.element.querySelectorAll("a")[place]?.focus({ preventScroll: true });
  row.shown = shown;
  return row.element;
}

function evaluationCells(run, evaluation) {
  const range = interval(evaluation);
  const url = viewerUrl(run.key, evaluation.key);
  const best = evaluation.best ? h("span", { class: "chip right" }, "best") : null;
  return [
    h("th", { scope: "row" }, h("a", { href: url }, capital(evaluationName(evaluation))), best),
    h("td", { class: "set" }, text(evaluation.set)),
    cell("accuracy", h("strong", {}, percent(evaluation.accuracy)), " ", h("span", { class: "muted" }, range)),
    cell("correct", correctText(evaluation)),
    cell("distance", number(evaluation.distance)),
    cell("readable", percent(evaluation.parsed)),
    cell("fixed", count(evaluation.fixed)),
    cell("broken", count(evaluation.broken)),
    h("td", { class: "links" }, answersLink(url, evaluation)),
  ];
}

function answersLink(url, evaluation) {
  return h("a", { href: url, "aria-label": `Answers of ${evaluationName(evaluation)}` }, "Answers");
}

function correctText({ correct, samples }) {
  return isNumber(correct) ? `${count(correct)} of ${count(samples)}` : text(null);
}

function cell(label, ...children) {
  return h("td", { class: "number", "data-label": label }, children);
}

const showGroups = whenChanged((evaluations, several) => {
  const names = [...new Set(evaluations.flatMap((evaluation) => Object.keys(evaluation.groups ?? {})))];
  byId("groups").hidden = !names.length;
  replace(byId("group-names"), h("th", { scope: "col" }, "Evaluation"), names.map((name) => groupHeader(name)));
  replace(byId("group-rows"), evaluations.map((evaluation) => groupRow(evaluation, names, several)));
});

function groupHeader(name) {
  return h("th", { scope: "col", class: "number" }, name);
}

function groupRow(evaluation, names, several) {
  const name = evaluationName(evaluation, several ? 2 : 1);
  const shares = names.map((group) => evaluation.groups?.[group]);
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, name),
    shares.map((share) => h("td", { class: "number" }, percent(share))),
  );
}
