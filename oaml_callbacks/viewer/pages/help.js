/* The help: all keys, and what the marks mean. */

import { h } from "./dom.js";
import { KEYS, keyName } from "./keyboard.js";
import { ALL_OUTCOMES, markClass } from "./outcomes.js";

let dialog;

/** Open the help. */
export function showHelp() {
  if (!dialog) {
    dialog = makeDialog();
    document.body.append(dialog);
  }
  dialog.showModal();
}

function makeDialog() {
  const close = h("button", { onclick: () => dialog.close() }, "Close");
  return h(
    "dialog",
    { class: "help", "aria-labelledby": "help-title" },
    h("header", {}, h("h2", { id: "help-title" }, "Keys and marks"), close),
    h("div", { class: "help-columns" }, keyList(), markList()),
  );
}

function keyList() {
  const rows = KEYS.map(([keys, , words]) => [keys.map((key) => h("kbd", {}, keyName(key))), words]);
  return h("dl", {}, rows.map(([keys, words]) => h("div", {}, h("dt", {}, keys), h("dd", {}, words))));
}

function markList() {
  const rows = ALL_OUTCOMES.map(({ letter, mark, word }) => [h("span", { class: markClass(letter) }, mark), word]);
  rows.push([h("span", { class: "key target-key" }), "the target, a small ring at its point"]);
  rows.push([h("span", { class: "key click-key" }), "where the model clicked"]);
  return h("dl", {}, rows.map(([mark, words]) => h("div", {}, h("dt", {}, mark), h("dd", {}, words))));
}
