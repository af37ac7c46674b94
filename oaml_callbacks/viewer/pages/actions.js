/* What the keys and the buttons do. */

import { byId } from "./dom.js";
import { FILTERS, SORTS, isAvailable } from "./filters.js";
import { dashboardUrl } from "./page_links.js";
import { source } from "./source.js";

/** The actions of `keyboard.js`, on a workspace. */
export function actionsOf(workspace) {
  const { view } = workspace;
  const toggle = (name) => view.change({ [name]: !view.state[name] });
  const stepSample = (by) => goTo(workspace, positionAfter(workspace, by));
  return {
    nextSample: () => stepSample(1),
    previousSample: () => stepSample(-1),
    nextPage: () => stepSample(workspace.list.page),
    previousPage: () => stepSample(-workspace.list.page),
    firstSample: () => goTo(workspace, 0),
    lastSample: () => goTo(workspace, Infinity),
    nextEvaluation: () => stepEvaluation(workspace, 1),
    previousEvaluation: () => stepEvaluation(workspace, -1),
    trail: () => toggle("trail"),
    zoom: () => toggle("zoom"),
    misses: () => source.embeddedRun === null && toggle("misses"),
    nextFilter: () => nextFilter(workspace),
    nextSort: () => workspace.changeFilter({ sort: following(SORTS.map((sort) => sort.name), view.state.sort, "") }),
    search: () => workspace.filterBar.focusSearch(),
    compare: () => byId("compare").focus(),
    dashboard: () => openDashboard(view.state.run),
    leave: () => leave(view),
  };
}

function goTo(workspace, position) {
  const { indices } = workspace.lists;
  if (!indices.length) return;
  const sample = indices[Math.min(Math.max(position, 0), indices.length - 1)];
  workspace.view.change({ sample, misses: false }, { step: true });
}

/* From a sample that isn't in the list (any more), the step goes to its neighbour in the data's order. */
function positionAfter({ lists, view }, by) {
  const { indices } = lists;
  const position = indices.indexOf(view.state.sample);
  if (position >= 0) return position + by;
  const next = indices.findIndex((index) => index > view.state.sample);
  return by > 0 ? (next < 0 ? indices.length : next) : (next < 0 ? indices.length : next) - 1;
}

function stepEvaluation({ data, evaluation, view }, by) {
  if (!evaluation) return;
  const all = data.evaluations(evaluation.set);
  const next = all[all.findIndex((one) => one.key === evaluation.key) + by];
  if (next) view.change({ eval: next.key }, { step: true });
}

function nextFilter(workspace) {
  const { lists, view } = workspace;
  const names = FILTERS.filter((filter) => isAvailable(filter, lists)).map((filter) => filter.name);
  workspace.changeFilter({ show: following(names, view.state.show || "all", "all") });
}

/* The name after `now`, the first one after the last; the one that is the state's own is written as "". */
function following(names, now, own) {
  const next = names[(names.indexOf(now) + 1) % names.length];
  return next === own ? "" : next;
}

function openDashboard(run) {
  if (source.embeddedRun === null) location.href = dashboardUrl(run);
}

/* The innermost thing is left first: the search, the misses, the zoom. */
function leave(view) {
  const { activeElement } = document;
  if (activeElement.matches("input, select")) activeElement.blur();
  else if (view.state.misses) view.change({ misses: false });
  else if (view.state.zoom) view.change({ zoom: false });
}
