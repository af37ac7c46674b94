/* The bar above the picture: steps through the samples and the evaluations, and what the picture shows. */

import { h, replace, setText } from "./dom.js";
import { count } from "./format.js";
import { keyButton, press } from "./controls.js";
import { source } from "./source.js";

export class Tools {
  /** @param {HTMLElement} element to fill  @param {object} actions as for the keys */
  constructor(element, actions) {
    this.position = h("span", { class: "position" });
    this.strip = h("div", { class: "strip", role: "group", "aria-label": "This sample over the evaluations" });
    this.trail = keyButton("Trail", "t", "The clicks of all evaluations", () => actions.trail());
    this.zoom = keyButton("Zoom", "z", "Zoom into target and click", () => actions.zoom());
    this.misses = keyButton("Misses", "h", "Where the misses fall", () => actions.misses());
    this.misses.hidden = source.embeddedRun !== null;
    replace(
      element,
      h(
        "div",
        { class: "steps" },
        keyButton("‹", "k", "Previous sample", () => actions.previousSample(), { "aria-label": "Previous sample" }),
        this.position,
        keyButton("›", "j", "Next sample", () => actions.nextSample(), { "aria-label": "Next sample" }),
      ),
      this.strip,
      h(
        "div",
        { class: "toggles" },
        [this.trail, this.zoom, this.misses],
        keyButton("?", "?", "Keys and marks", null, { id: "help", "aria-label": "Keys and marks" }),
      ),
    );
  }

  /** Show which toggles are on. */
  showToggles(state) {
    for (const name of ["trail", "zoom", "misses"]) press(this[name], state[name]);
  }

  /** Show the sample's place in the list. */
  showPosition(position, total) {
    setText(this.position, position < 0 ? `– of ${count(total)}` : `${count(position + 1)} of ${count(total)}`);
  }
}
