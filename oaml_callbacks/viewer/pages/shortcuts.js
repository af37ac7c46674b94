/* A page's keys, and the dialog that lists them. */

import { byId, h } from "./dom.js";

const NAMES = { ArrowLeft: "←", ArrowRight: "→", Escape: "Esc" };

/**
 * Bind the keys of `list`: `[{key, what, run}]`. One without `run` is only listed; one with `typing` works in a field,
 * too. `?` and the button with the id "help" open a dialog that lists them.
 *
 * @param {function} keyHere gives what a key does where the focus is, or nothing
 * @param {HTMLElement} more what the dialog has beside the keys, and `title`
 */
export function bindShortcuts(list, { keyHere = () => null, more = null, title = "Keys" } = {}) {
  const listed = [...list, { key: "?", what: "This help" }];
  if (!list.some((item) => item.key === "Escape")) listed.push({ key: "Escape", what: "Close this help" });
  const dialog = helpDialog(listed, title, more);
  document.body.append(dialog);
  const open = () => dialog.open || dialog.showModal();
  byId("help").addEventListener("click", open);

  const byKey = new Map([...list, { key: "?", run: open }].filter((item) => item.run).map((item) => [item.key, item]));
  document.addEventListener("keydown", (event) => {
    const item = byKey.get(event.key);
    if (dialog.open || hasModifier(event) || (isTyping(event.target) && !item?.typing)) return;
    const action = keyHere(event.key) ?? item?.run;
    if (!action) return;
    event.preventDefault();
    action();
  });
}

function hasModifier(event) {
  return event.ctrlKey || event.metaKey || event.altKey;
}

function isTyping(element) {
  return element.matches("input:not([type=checkbox]), select, textarea, [contenteditable]");
}

function helpDialog(list, title, more) {
  const close = h("button", { type: "button", onclick: (event) => event.target.closest("dialog").close() }, "Close");
  const name = (key) => h("kbd", {}, NAMES[key] ?? key);
  const rows = list.map(({ key, what }) => h("div", {}, h("dt", {}, name(key)), h("dd", {}, what)));
  return h(
    "dialog",
    { class: "help", "aria-labelledby": "help-title" },
    h("header", {}, h("h2", { id: "help-title" }, title), close),
    h("div", { class: "help-columns" }, h("dl", {}, rows), more),
  );
}
