/* A page's keys, and the dialog that lists them. */

import { byId, h } from "./dom.js";

/**
 * Bind the keys of `list` ([{key, what, run}]; one without `run` is only listed), and `?` and the button with the id
 * "help" to a dialog that lists them.
 */
export function bindShortcuts(list) {
  const dialog = helpDialog([...list, { key: "?", what: "This help" }, { key: "Esc", what: "Close this help" }]);
  document.body.append(dialog);
  const open = () => dialog.open || dialog.showModal();
  byId("help").addEventListener("click", open);

  const actions = new Map(list.filter((item) => item.run).map((item) => [item.key, item.run]));
  actions.set("?", open);
  document.addEventListener("keydown", (event) => {
    const action = actions.get(event.key);
    if (!action || dialog.open || hasModifier(event) || isTyping(event.target)) return;
    event.preventDefault();
    action();
  });
}

function hasModifier(event) {
  return event.ctrlKey || event.metaKey || event.altKey;
}

function isTyping(element) {
  return element.matches("input:not([type=checkbox]), select, textarea");
}

function helpDialog(list) {
  const rows = list.map((item) => [h("dt", {}, h("kbd", {}, item.key)), h("dd", {}, item.what)]);
  return h(
    "dialog",
    { class: "help", "aria-labelledby": "help-title" },
    h("h2", { id: "help-title" }, "Keys"),
    h("dl", {}, rows),
    h("button", { type: "button", onclick: (event) => event.target.closest("dialog").close() }, "Close"),
  );
}
