/* One sample over all evaluations of its set: a cell for each, marked by how the answer ended. */

import { h, replace, setText } from "./dom.js";
import { evaluationName } from "./format.js";
import { markClass, outcomeOf } from "./outcomes.js";

export class EvaluationStrip {
  /** @param {HTMLElement} element to fill  @param {function} onChoose called with an evaluation's key */
  constructor(element, onChoose) {
    this.element = element;
    this.onChoose = onChoose;
    this.cells = new Map();
    new ResizeObserver(() => this.reveal()).observe(element);
  }

  /**
   * @param {object[]} evaluations of the set  @param {string} current the key of the one that is shown
   * @param {Map} track evaluation's key → `{letter}`; empty where it can't be had
   */
  show(evaluations, current, track) {
    this.element.hidden = evaluations.length < 2 || !track.size;
    if (this.element.hidden) return;
    const keys = evaluations.map((evaluation) => evaluation.key);
    if (keys.join("\n") !== [...this.cells.keys()].join("\n")) this.build(evaluations);
    for (const evaluation of evaluations) this.mark(evaluation, track.get(evaluation.key)?.letter, current);
    this.current = this.cells.get(current);
    this.reveal();
    if (this.element.contains(document.activeElement)) this.current.focus({ preventScroll: true });
  }

  /** @private */
  build(evaluations) {
    this.cells = new Map(evaluations.map((evaluation) => [evaluation.key, this.cell(evaluation)]));
    replace(this.element, ...this.cells.values());
  }

  /** @private */
  cell(evaluation) {
    const name = evaluation.baseline ? "base" : String(evaluation.step ?? "–");
    const onclick = () => this.onChoose(evaluation.key);
    return h("button", { class: "cell", onclick }, h("span", {}), h("small", { "aria-hidden": "true" }, name));
  }

  /** @private */
  mark(evaluation, letter, current) {
    const cell = this.cells.get(evaluation.key);
    const words = `${evaluationName(evaluation)}: ${outcomeOf(letter).word}`;
    cell.title = words;
    cell.setAttribute("aria-label", words);
    cell.setAttribute("aria-current", evaluation.key === current);
    // One stop for the Tab key; the arrow keys go on from there.
    cell.tabIndex = evaluation.key === current ? 0 : -1;
    cell.firstChild.className = markClass(letter);
    setText(cell.firstChild, outcomeOf(letter).mark);
  }

  /* scrollIntoView would scroll the page, too. @private */
  reveal() {
    const { current: cell, element } = this;
    if (!cell) return;
    const start = cell.offsetLeft - element.offsetLeft;
    const isSeen = start >= element.scrollLeft && start + cell.offsetWidth <= element.scrollLeft + element.clientWidth;
    if (!isSeen) element.scrollLeft = start - (element.clientWidth - cell.offsetWidth) / 2;
  }
}
