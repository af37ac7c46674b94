/* The head of a pane, where two runs are side by side: which run, and which of its evaluations. */

import { h, replace, setText } from "./dom.js";
import { text } from "./format.js";
import { labelledSelect } from "./controls.js";
import { evaluationOptions } from "./header.js";

export class PaneHead {
  /** @param {HTMLElement} element to fill  @param {string} letter A or B  @param {function} onChoose */
  constructor(element, letter, onChoose) {
    this.name = h("span", { class: "run-name" });
    this.select = labelledSelect(`Evaluation of ${letter}`, onChoose, { isHidden: true });
    this.select.element.hidden = true;
    replace(element, h("span", { class: "chip" }, letter), this.name, this.select.element);
  }

  show(data, evaluation) {
    setText(this.name, text(data.run?.name ?? data.run?.id ?? data.key));
    this.name.title = this.name.textContent;
    this.select.element.hidden = false;
    this.select.show(evaluationOptions(data.evaluations(evaluation.set)), evaluation.key);
  }
}
