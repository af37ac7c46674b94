/* One row of the list of samples. */

import { h, replace, setText } from "./dom.js";
import { isNumber, number, text } from "./format.js";
import { PARTS } from "./geometry.js";
import { markClass, outcomeOf } from "./outcomes.js";

/** A row for the sample of that index, which needn't be there yet. */
export function sampleRow(index) {
  return h(
    "div",
    { class: "row", role: "option", id: `sample-${index}`, "data-index": index },
    h("span", { class: "thumbnail" }),
    h("span", { class: "row-text" }, `Sample ${index + 1}`),
    h("span", { class: "row-verdict" }, h("span"), h("span", { class: "hidden-label" }), h("small")),
  );
}

/** Put a sample into its row; `thumbnail`: its URL or null. */
export function fillRow(row, sample, thumbnail) {
  const [picture, words] = row.children;
  setText(words, text(sample?.instruction));
  replace(picture, thumbnail ? thumbnailImage(thumbnail) : null);
  row.dataset.filled = "";
}

/** Show in a row how the sample's answer ended. */
export function markRow(row, verdicts, index) {
  const [mark, word, far] = row.lastChild.children;
  const letter = verdicts.outcome[index] ?? "-";
  const distance = verdicts.distance[index];
  mark.className = markClass(letter);
  mark.title = outcomeOf(letter).word;
  setText(mark, outcomeOf(letter).mark);
  setText(word, outcomeOf(letter).word);
  setText(far, isNumber(distance) ? number(distance / PARTS, 2) : "");
}

function thumbnailImage(src) {
  return h("img", { src, alt: "", loading: "lazy", decoding: "async", onerror: (event) => event.target.remove() });
}
