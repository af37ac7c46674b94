/* Which runs the list shows, in which order: kept in the page's address, so that it can be sent and reloaded. */

import { isNumber } from "./format.js";

/** What a column sorts by. Texts start at A, everything else at the largest or newest. */
const COLUMNS = {
  name: { value: (run) => run.name ?? run.id, text: true },
  project: { value: (run) => run.project, text: true },
  state: { value: stateGroup, text: true },
  progress: { value: (run) => (isNumber(run.step) && run.max_steps ? run.step / run.max_steps : run.step) },
  accuracy: { value: (run) => run.accuracy?.best ?? run.accuracy?.last },
  samples: { value: (run) => run.samples },
  model: { value: (run) => run.model, text: true },
  started: { value: (run) => run.started_at },
  seen: { value: (run) => run.seen_at },
};

const STATES = ["running", "finished", "failed", "stopped", "died", "unknown"];
const DEFAULT = { search: "", state: "", column: "started", down: true };
const COLLATOR = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** A run's state as the filter has it: one of `STATES`. */
export function stateGroup(run) {
  if (run.state === "training" || run.state === "evaluating") return "running";
  if (run.state === "died") return "died";
  if (run.state !== "ended") return "unknown";
  if (run.outcome === "interrupted" || run.outcome === "preempted") return "stopped";
  return String(run.outcome ?? "").startsWith("failed") ? "failed" : "finished";
}

/** The query in a page's address. */
export function readQuery(address) {
  const parameters = new URLSearchParams(address);
  const sort = parameters.get("sort") ?? "";
  const column = sort.replace(/^-/, "");
  const known = Object.hasOwn(COLUMNS, column);
  return {
    search: parameters.get("q") ?? DEFAULT.search,
    state: STATES.includes(parameters.get("state")) ? parameters.get("state") : DEFAULT.state,
    column: known ? column : DEFAULT.column,
    down: known ? sort.startsWith("-") : DEFAULT.down,
  };
}

/** The address that holds `query`; what is as always is left out. */
export function queryAddress(query) {
  const parameters = new URLSearchParams();
  if (query.search) parameters.set("q", query.search);
  if (query.state) parameters.set("state", query.state);
  if (query.column !== DEFAULT.column || query.down !== DEFAULT.down) {
    parameters.set("sort", `${query.down ? "-" : ""}${query.column}`);
  }
  return parameters.size ? `?${parameters}` : "";
}

/** The query after a click on the header of `column`. */
export function sortedBy(query, column) {
  const down = query.column === column ? !query.down : !COLUMNS[column].text;
  return { ...query, column, down };
}

/** Whether the query's search and filter let a run through. */
export function matches(run, query) {
  if (query.state && stateGroup(run) !== query.state) return false;
  const words = query.search.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return true;
  const text = [run.name, run.id, run.project, run.model].join("\n").toLowerCase();
  return words.every((word) => text.includes(word));
}

/** The runs in the query's order; those without a value come last, whichever way it is sorted. */
export function inOrder(runs, query) {
  const { value, text } = COLUMNS[query.column];
  const sign = query.down ? -1 : 1;
  const keyed = runs.map((run) => ({ run, value: value(run) ?? null }));
  keyed.sort((a, b) => {
    if (a.value === null || b.value === null) return (a.value === null) - (b.value === null);
    return sign * (text ? COLLATOR.compare(a.value, b.value) : a.value - b.value);
  });
  return keyed.map((item) => item.run);
}
