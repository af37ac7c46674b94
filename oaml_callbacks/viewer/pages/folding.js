/* A text that is folded where it is long. It stays the same element, so that focus and unfolding outlive an update. */

import { h, setText } from "./dom.js";
import { count } from "./format.js";

export class Folding {
  /**
   * @param {string} name of the text's element  @param {object} attributes of it
   * @param {number} longest: longer texts, in characters, are folded  @param {number} lines: as are those of more lines
   */
  constructor(name, attributes, longest, lines) {
    Object.assign(this, { longest, lines, isOpen: false });
    this.content = h(name, attributes);
    this.toggle = h("button", { class: "small no-print", onclick: () => this.fold(!this.isOpen) });
    this.element = h("div", { class: "folding" }, this.content, this.toggle);
  }

  /** Show a text; one `of` something else than before is folded at first. */
  show(words, of) {
    this.length = words.length;
    this.isLong = words.length > this.longest || words.split("\n", this.lines + 1).length > this.lines;
    setText(this.content, words);
    this.fold(this.isOpen && of === this.of);
    this.of = of;
  }

  /** @private */
  fold(isOpen) {
    this.isOpen = isOpen;
    this.toggle.hidden = !this.isLong;
    this.toggle.setAttribute("aria-expanded", isOpen);
    setText(this.toggle, isOpen ? "Show less" : `Show all ${count(this.length)} characters`);
    this.content.classList.toggle("folded", this.isLong && !isOpen);
  }
}
