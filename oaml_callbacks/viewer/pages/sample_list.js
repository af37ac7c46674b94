/* The list of samples. Of thousands only the rows that can be seen are elements, and only their samples are loaded. */

import { h, replace } from "./dom.js";
import { fillRow, markRow, sampleRow } from "./sample_row.js";

/** A row's height, as in viewer.css. */
const ROW = 68;
const OVERSCAN = 4;
/** Milliseconds that the list must stand still before rows that aren't there are asked for. */
const SETTLED = 80;

export class SampleList {
  /** @param {HTMLElement} holder to fill  @param {function} onChoose called with a sample's index */
  constructor(holder, onChoose) {
    this.onChoose = onChoose;
    this.rows = new Map();
    this.view = { indices: [], current: null };
    this.space = h("div", { class: "list-space", role: "presentation" });
    this.element = h("div", { class: "list", role: "listbox", tabindex: "0", "aria-label": "Samples" }, this.space);
    this.empty = h("p", { class: "muted empty", hidden: true });
    replace(holder, this.element, this.empty);
    this.element.addEventListener("scroll", () => this.draw(), { passive: true });
    this.element.addEventListener("click", (event) => this.choose(event));
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  /**
   * @param {object} view `indices` of the samples that are listed, `current` one, `store`, `verdicts`, and
   *   `thumbnail(sample)`: its URL or null; `emptyWords`: what to say where there are no samples
   */
  show(view) {
    const before = this.view;
    if (before.store !== view.store) this.clear();
    this.view = view;
    this.element.hidden = !view.indices.length;
    this.empty.hidden = Boolean(view.indices.length);
    this.empty.textContent = view.emptyWords;
    this.space.style.height = `${view.indices.length * ROW}px`;
    // A sample's place in the list, for the row that is marked and for where to scroll to.
    this.position = view.indices.indexOf(view.current);
    if (before.current !== view.current || before.indices.length !== view.indices.length) this.reveal();
    this.draw();
    for (const [position, row] of this.rows) this.mark(row, position);
  }

  focus() {
    this.element.focus({ preventScroll: true });
  }

  /** Whether the list has the focus: the arrow keys go up and down in it then. */
  get hasFocus() {
    return document.activeElement === this.element;
  }

  /** Samples that one page of the list shows. */
  get page() {
    return Math.max(1, Math.floor(this.element.clientHeight / ROW) - 1);
  }

  /** @private */
  clear() {
    this.rows.clear();
    replace(this.space);
    this.element.scrollTop = 0;
  }

  /** @private */
  choose(event) {
    const row = event.target.closest("[role=option]");
    if (row) this.onChoose(Number(row.dataset.index));
  }

  /** @private */
  reveal() {
    if (this.position < 0) return;
    const { clientHeight, scrollTop } = this.element;
    const top = this.position * ROW;
    if (top >= scrollTop && top + ROW <= scrollTop + clientHeight) return;
    const isNear = top > scrollTop - 2 * ROW && top < scrollTop + clientHeight + ROW;
    if (!isNear) this.element.scrollTop = top - (clientHeight - ROW) / 2;
    else this.element.scrollTop = top < scrollTop ? top : top + ROW - clientHeight;
  }

  /** Make the rows that can be seen, and drop the others. @private */
  draw() {
    const { indices } = this.view;
    const { clientHeight, scrollTop } = this.element;
    const first = Math.max(0, Math.floor(scrollTop / ROW) - OVERSCAN);
    const last = Math.min(indices.length, Math.ceil((scrollTop + clientHeight) / ROW) + OVERSCAN);
    for (const [position, row] of this.rows) {
      if (position >= first && position < last && Number(row.dataset.index) === indices[position]) continue;
      row.remove();
      this.rows.delete(position);
    }
    for (let position = first; position < last; position++) if (!this.rows.has(position)) this.add(position);
    this.element.setAttribute("aria-activedescendant", this.rows.get(this.position)?.id ?? "");
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.load(), SETTLED);
  }

  /** @private */
  add(position) {
    const index = this.view.indices[position];
    const row = sampleRow(index);
    row.style.top = `${position * ROW}px`;
    this.rows.set(position, row);
    this.space.append(row);
    this.fill(row, index);
    this.mark(row, position);
  }

  /** @private */
  fill(row, index) {
    const sample = this.view.store.peek(index);
    if (sample !== undefined) fillRow(row, sample, this.view.thumbnail(sample));
  }

  /** @private */
  mark(row, position) {
    const { indices, verdicts } = this.view;
    markRow(row, verdicts, indices[position]);
    row.setAttribute("aria-selected", position === this.position);
    row.setAttribute("aria-setsize", indices.length);
    row.setAttribute("aria-posinset", position + 1);
  }

  /** Load what the rows that can be seen lack. @private */
  load() {
    const { store } = this.view;
    for (const row of this.rows.values()) {
      const index = Number(row.dataset.index);
      if (!("filled" in row.dataset)) store.load(index).then(() => row.isConnected && this.fill(row, index), () => {});
    }
  }
}
