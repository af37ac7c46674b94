/* What the marks mean. */

import { h } from "./dom.js";
import { ALL_OUTCOMES, markClass } from "./outcomes.js";

/** All marks with their words. */
export function markList() {
  const rows = ALL_OUTCOMES.map(({ letter, mark, word }) => [h("span", { class: markClass(letter) }, mark), word]);
  rows.push([h("span", { class: "key target-key" }), "the target, a small ring at its point"]);
  rows.push([h("span", { class: "key click-key" }), "where the model clicked"]);
  return h("dl", {}, rows.map(([mark, words]) => h("div", {}, h("dt", {}, mark), h("dd", {}, words))));
}
