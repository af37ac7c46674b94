/* The controls above the list: which samples are listed, and in which order. */

import { h, replace, setText } from "./dom.js";
import { count, evaluationName } from "./format.js";
import { FILTERS, SORTS, filterNamed, groupValue, isAvailable, withGroup } from "./filters.js";
import { labelledSelect, press } from "./controls.js";

/** Milliseconds after the last key before a text is searched for. */
const TYPED = 150;

export class FilterBar {
  /**
   * @param {HTMLElement} element to fill
   * @param {function} change called with what of the state is to change
   * @param {function} goToFirst called with a text whose first hit is to be shown
   */
  constructor(element, { change, goToFirst }) {
    Object.assign(this, { change, goToFirst });
    this.buttons = new Map(FILTERS.map((filter) => [filter.name, filterButton(filter, change)]));
    this.search = this.searchBox();
    this.progress = h("progress", { max: "1", hidden: true, "aria-label": "Texts searched" });
    this.note = h("span", { class: "muted", role: "status" });
    // Told to those who don't see the list.
    this.listed = h("span", { class: "hidden-label", role: "status" });
    this.since = labelledSelect("Fixed/Broken since", (since) => change({ since }));
    this.sort = labelledSelect("Sort", (sort) => change({ sort }), { isHidden: true });
    this.groups = h("div", { class: "selects" });
    this.groupSelects = new Map();
    replace(
      element,
      h("div", { class: "filter-buttons", role: "group", "aria-label": "Show" }, ...this.buttons.values()),
      h("div", { class: "searching" }, this.search, this.progress, this.note, this.listed),
      h("div", { class: "selects" }, this.sort.element, this.since.element),
      this.groups,
    );
  }

  /**
   * @param {object} view `state`, `counts` by filter's name, `letters: {since, other}`, `groups` of the set,
   *   `searching`: the TextSearch or null, `listed`: how many samples there are, in words, `references`: the
   *   evaluations to compare with, `reference`: the one that is
   */
  show(view) {
    this.showFilters(view);
    this.showSearch(view);
    this.sort.show(SORTS.map(({ name, label }) => ({ value: name, label })), view.state.sort);
    this.showReferences(view);
    this.showGroups(view);
  }

  focusSearch() {
    this.search.focus();
    this.search.select();
  }

  /** @private */
  showFilters({ state, counts, letters }) {
    const chosen = filterNamed(state.show, letters);
    for (const filter of FILTERS) {
      const button = this.buttons.get(filter.name);
      button.hidden = !isAvailable(filter, letters);
      press(button, filter === chosen);
      setText(button.lastChild, count(counts[filter.name]));
    }
  }

  /** @private */
  searchBox() {
    let typing;
    const changed = () => {
      clearTimeout(typing);
      typing = setTimeout(() => this.change({ q: this.search.value.trim() }, { step: true }), TYPED);
    };
    const onkeydown = (event) => {
      if (event.key !== "Enter" || event.isComposing) return;
      clearTimeout(typing);
      this.goToFirst(this.search.value.trim());
    };
    const attributes = { type: "search", placeholder: "Search instruction, target, id", "aria-label": "Search" };
    return h("input", { ...attributes, "aria-keyshortcuts": "/", oninput: changed, onkeydown });
  }

  /** @private */
  showSearch({ state, searching, listed }) {
    setText(this.listed, listed);
    if (document.activeElement !== this.search) this.search.value = state.q;
    const share = state.q && searching ? searching.progress : 1;
    this.progress.hidden = share === 1;
    this.progress.value = share;
    const result = state.q && searching?.failed ? "some texts could not be read" : "";
    setText(this.note, share < 1 ? `${Math.floor(share * 100)} % searched` : result);
  }

  /** @private */
  showReferences({ references, reference }) {
    this.since.element.hidden = !references.length;
    const options = references.map((one) => ({ value: one.key, label: evaluationName(one) }));
    if (!reference) options.unshift({ value: "", label: "–" });
    this.since.show(options, reference?.key ?? "");
  }

  /** @private */
  showGroups({ state, groups }) {
    const names = Object.keys(groups).filter((name) => groups[name]?.values?.length);
    this.groups.hidden = !names.length;
    if (names.join("\n") !== [...this.groupSelects.keys()].join("\n")) {
      this.groupSelects = new Map(names.map((name) => [name, this.groupSelect(name)]));
      replace(this.groups, [...this.groupSelects.values()].map((select) => select.element));
    }
    for (const [name, select] of this.groupSelects) {
      const chosen = groupValue(name, state.group);
      const known = groups[name].values.map(String);
      const values = [...new Set(chosen === null ? known : [...known, chosen])].map(groupOption);
      select.show([{ value: "", label: "all" }, ...values], chosen === null ? "" : `=${chosen}`);
    }
    this.wanted = state.group;
  }

  /** @private */
  groupSelect(name) {
    return labelledSelect(name, (value) => {
      this.change({ group: withGroup(this.wanted, name, value ? value.slice(1) : null) });
    });
  }
}

/* With a sign before it, so that an empty value isn't taken for none. */
function groupOption(value) {
  return { value: `=${value}`, label: value };
}

function filterButton(filter, change) {
  const onclick = () => change({ show: filter.name === "all" ? "" : filter.name });
  const { label, title } = filter;
  return h("button", { class: "small", title, onclick }, label, " ", h("span", { class: "count" }));
}
