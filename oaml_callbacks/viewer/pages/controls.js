/* Selects and buttons that change only where what they show does: one that is open or has the focus stays so. */

import { h, replace } from "./dom.js";

/** A labelled select: `{element, show(options, value)}`, with options as `[{value, label}]`. */
export function labelledSelect(label, onChange, { isHidden = false, id = null } = {}) {
  const select = h("select", { id, "aria-label": label, onchange: () => onChange(select.value) });
  const name = h("span", { class: isHidden ? "hidden-label" : "muted" }, label);
  const element = h("label", { class: "labelled" }, name, select);
  let shown;
  function show(options, value) {
    const now = JSON.stringify(options);
    if (now !== shown) replace(select, options.map((one) => h("option", { value: one.value }, one.label)));
    shown = now;
    select.value = value;
  }
  return { element, show };
}

/** A button with its key in the tooltip; `pressed` makes it a toggle. */
export function keyButton(label, key, title, onClick, attributes = {}) {
  return h("button", { title: `${title} (${key})`, "aria-keyshortcuts": key, onclick: onClick, ...attributes }, label);
}

/** Show a toggle as pressed or not. */
export function press(button, isPressed) {
  button.setAttribute("aria-pressed", Boolean(isPressed));
}

/**
 * Most keys are a select's own while it has the focus: after a choice by mouse or finger the focus goes on.
 *
 * @param {function} goOn called for the focus to go where the page's keys are wanted
 */
export function leaveSelects(goOn) {
  let isPointed = false;
  addEventListener("pointerdown", () => (isPointed = true), true);
  addEventListener("keydown", () => (isPointed = false), true);
  addEventListener("change", ({ target }) => {
    if (!isPointed || !target.matches("select")) return;
    target.blur();
    goOn();
  });
}
