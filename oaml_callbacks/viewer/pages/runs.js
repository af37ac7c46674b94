/* The list of all runs. */

import { byId, problemList, replace, setText } from "./dom.js";
import { count } from "./format.js";
import { compareUrl } from "./page_links.js";
import { inOrder, matches, queryAddress, readQuery, sortedBy, stateGroup } from "./run_query.js";
import { runRow } from "./run_row.js";
import { bindShortcuts } from "./shortcuts.js";
import { source } from "./source.js";
import { arrange, whenChanged } from "./update.js";

const SECONDS = 2;

const rows = new Map(); // A row by its run's key
const ticked = new Set(); // The keys of the runs to compare, in the order of their ticking
let runs = [];
let query = readQuery(location.search);

const showProblems = whenChanged((problems) => replace(byId("problems"), problemList(problems)));

start();

function start() {
  byId("search").value = query.search;
  byId("state").value = query.state;
  bindControls();
  bindShortcuts([
    { key: "/", what: "Search", run: () => byId("search").focus() },
    { key: "c", what: "Compare the two ticked runs", run: () => ticked.size === 2 && byId("compare-link").click() },
  ]);
  source.poll(() => source.runs(), onRuns, SECONDS);
  setInterval(tellTimes, 5000);
}

function onRuns(answer, error) {
  byId("loading").hidden = true;
  byId("failure").hidden = !error;
  if (error) {
    setText(byId("failure"), error.message);
    return;
  }
  runs = (answer.runs ?? []).filter(Boolean);
  showProblems(answer.problems ?? []);
  showEmpty(answer.folder);
  updateRows();
  showQuery();
}

function showEmpty(folder) {
  byId("list").hidden = !runs.length;
  byId("empty").hidden = runs.length > 0;
  const hint = 'A training with OpenAdaptWandbCallback and report_to="wandb" writes one.';
  setText(byId("empty"), `No runs in ${folder ?? "this folder"} yet. ${hint}`);
  const running = runs.filter((run) => stateGroup(run) === "running").length;
  const amount = runs.length === 1 ? "1 run" : `${count(runs.length)} runs`;
  setText(byId("summary"), [folder, amount, running ? `${count(running)} running` : null].filter(Boolean).join(" · "));
}

function updateRows() {
  const keys = new Set(runs.map((run) => run.key));
  for (const key of [...rows.keys()]) if (!keys.has(key)) rows.delete(key);
  for (const run of runs) {
    if (!rows.has(run.key)) rows.set(run.key, runRow(run.key, onTick));
    rows.get(run.key).update(run);
  }
  for (const key of [...ticked]) if (!keys.has(key)) ticked.delete(key);
  showTicked();
  tellTimes();
}

function tellTimes() {
  for (const row of rows.values()) row.tell();
}

/** Order and filter the rows as the query says. */
function showQuery() {
  let shown = 0;
  const ordered = inOrder(runs, query).map((run) => {
    const { element } = rows.get(run.key);
    element.hidden = !matches(run, query);
    if (!element.hidden) shown += 1;
    return element;
  });
  arrange(byId("rows"), ordered);
  setText(byId("shown"), shown === runs.length ? "" : `${count(shown)} of ${count(runs.length)} shown`);
  byId("none").hidden = shown > 0;
  for (const header of document.querySelectorAll("[data-column]")) {
    const sorted = header.dataset.column === query.column;
    header.setAttribute("aria-sort", !sorted ? "none" : query.down ? "descending" : "ascending");
  }
  byId("sort").value = query.column;
  setText(byId("direction"), query.down ? "↓" : "↑");
  byId("direction").setAttribute("aria-label", query.down ? "Descending" : "Ascending");
}

function setQuery(changes) {
  query = { ...query, ...changes };
  history.replaceState(null, "", queryAddress(query) || location.pathname);
  showQuery();
}

function bindControls() {
  byId("search").addEventListener("input", () => setQuery({ search: byId("search").value }));
  byId("state").addEventListener("change", () => setQuery({ state: byId("state").value }));
  byId("clear").addEventListener("click", () => {
    byId("search").value = byId("state").value = "";
    setQuery({ search: "", state: "" });
    byId("search").focus();
  });
  byId("compare-clear").addEventListener("click", untickAll);
  byId("sort").addEventListener("change", () => setQuery(sortedBy(query, byId("sort").value)));
  byId("direction").addEventListener("click", () => setQuery(sortedBy(query, query.column)));
  for (const header of document.querySelectorAll("[data-column]")) {
    header.firstElementChild.addEventListener("click", () => setQuery(sortedBy(query, header.dataset.column)));
  }
}

function onTick(key, isTicked) {
  if (isTicked) ticked.add(key);
  else ticked.delete(key);
  showTicked();
}

function untickAll() {
  for (const key of ticked) rows.get(key).element.querySelector(".tick-box").checked = false;
  ticked.clear();
  showTicked();
}

function showTicked() {
  const [first, second] = ticked;
  byId("compare").hidden = !ticked.size;
  byId("compare-link").hidden = ticked.size !== 2;
  if (ticked.size === 2) byId("compare-link").href = compareUrl(first, second);
  setText(byId("compare-text"), tickedText(ticked.size));
}

function tickedText(size) {
  if (size === 1) return "1 run ticked. Tick another one to compare them.";
  return size === 2 ? "2 runs ticked." : `${size} runs ticked. Two at a time can be compared.`;
}
