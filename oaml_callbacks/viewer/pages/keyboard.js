/* The viewer's keys, and what each does. */

import { markList } from "./legend.js";
import { bindShortcuts } from "./shortcuts.js";

/** `[key, name of the action, words]`, as the help lists them. */
const KEYS = [
  ["j", "nextSample", "Next sample of the list (↓ in the list)"],
  ["k", "previousSample", "Previous sample of the list (↑ in the list)"],
  ["Home", "firstSample", "First sample of the list"],
  ["End", "lastSample", "Last sample of the list"],
  ["ArrowLeft", "previousEvaluation", "The evaluation before"],
  ["ArrowRight", "nextEvaluation", "The evaluation after"],
  ["t", "trail", "Trail: the clicks of all evaluations"],
  ["z", "zoom", "Zoom into target and click"],
  ["h", "misses", "Where the misses fall"],
  ["f", "nextFilter", "Next filter"],
  ["s", "nextSort", "Next order of the list"],
  ["/", "search", "Search; Enter goes to the first hit"],
  ["c", "compare", "Compare with another run"],
  ["d", "dashboard", "Dashboard"],
  ["Escape", "leave", "Close, leave the search"],
];

/* Keys of the list alone, while it has the focus. */
const LIST_KEYS = { ArrowDown: "nextSample", ArrowUp: "previousSample", PageDown: "nextPage", PageUp: "previousPage" };

/** Listen for keys: `actions[name]()` for each of `KEYS`; `isInList()` whether the list has the focus. */
export function listenForKeys(actions, isInList) {
  const list = KEYS.map(([key, name, what]) => ({ key, what, run: actions[name], typing: key === "Escape" }));
  const keyHere = (key) => (isInList() ? actions[LIST_KEYS[key]] : null);
  bindShortcuts(list, { keyHere, more: markList(), title: "Keys and marks" });
}
