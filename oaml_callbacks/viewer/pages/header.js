/* The page's head: the run, its state, which evaluation is shown, and the ways to other pages. */

import { h, replace, setText } from "./dom.js";
import { evaluationName, percent, stateOf, text } from "./format.js";
import { labelledSelect } from "./controls.js";
import { dashboardUrl } from "./page_links.js";
import { source } from "./source.js";

export class Header {
  /** @param {HTMLElement} element to fill  @param {function} change called with what of the state is to change */
  constructor(element, change) {
    this.element = element;
    this.name = h("a", {});
    this.chip = h("span", { class: "chip" });
    this.set = labelledSelect("Samples", (set) => change({ set }));
    this.evaluation = labelledSelect("Evaluation", (key) => change({ eval: key }));
    this.other = labelledSelect("Compare with…", (key) => change({ with: key, with_eval: "" }), { id: "compare" });
    this.links = h("nav", { class: "no-print" });
    // Shown once there is something to choose.
    for (const select of [this.set, this.evaluation, this.other]) select.element.hidden = true;
    const selects = h("div", { class: "head-selects no-print" });
    replace(selects, [this.set, this.evaluation, this.other].map((select) => select.element));
    replace(element, h("h1", {}, this.name), this.chip, selects, this.links);
  }

  /** Show the run as it now is. */
  showRun(run, key) {
    const state = stateOf(run);
    this.element.hidden = false;
    setText(this.name, text(run.name ?? run.id ?? key));
    this.name.title = this.name.textContent;
    setText(this.chip, state.name);
    this.chip.className = `chip ${state.kind}`;
    document.title = `${text(run.name ?? run.id ?? key)}: clicks`;
    if (source.embeddedRun !== null || this.links.childElementCount) return;
    this.name.href = dashboardUrl(key);
    replace(this.links, h("a", { href: "index.html" }, "All runs"), h("a", { href: dashboardUrl(key) }, "Dashboard"));
  }

  /** Show which evaluation is chosen, and among which. */
  showEvaluations(data, evaluation) {
    const sets = data.sets();
    this.set.element.hidden = sets.length < 2;
    this.set.show(sets.map((set) => ({ value: set, label: text(set) })), evaluation.set);
    this.evaluation.element.hidden = false;
    this.evaluation.show(evaluationOptions(data.evaluations(evaluation.set)), evaluation.key);
  }

  /** Show which run is beside this one. */
  showOthers(runs, key) {
    this.other.element.hidden = !runs.length && !key;
    const named = runs.map((run) => ({ value: run.key, label: text(run.name ?? run.id ?? run.key) }));
    if (key && !runs.some((run) => run.key === key)) named.push({ value: key, label: key });
    this.other.show([{ value: "", label: "none" }, ...named], key);
  }
}

/** A run's evaluations as a select's options: "step 30 · 93.4 % ★ best". */
export function evaluationOptions(evaluations) {
  return evaluations.map((evaluation) => ({
    value: evaluation.key,
    label: `${evaluationName(evaluation)} · ${percent(evaluation.accuracy)}${evaluation.best ? " ★ best" : ""}`,
  }));
}
