/* The keys, and what each does. */

/** `[keys, name of the action, words]`, as the help lists them. */
export const KEYS = [
  [["j"], "nextSample", "Next sample of the list (↓ in the list)"],
  [["k"], "previousSample", "Previous sample of the list (↑ in the list)"],
  [["Home"], "firstSample", "First sample of the list"],
  [["End"], "lastSample", "Last sample of the list"],
  [["ArrowLeft"], "previousEvaluation", "The evaluation before"],
  [["ArrowRight"], "nextEvaluation", "The evaluation after"],
  [["t"], "trail", "Trail: the clicks of all evaluations"],
  [["z"], "zoom", "Zoom into target and click"],
  [["h"], "misses", "Where the misses fall"],
  [["f"], "nextFilter", "Next filter"],
  [["s"], "nextSort", "Next order of the list"],
  [["/"], "search", "Search"],
  [["c"], "compare", "Compare with another run"],
  [["d"], "dashboard", "Dashboard"],
  [["?"], "help", "These keys"],
  [["Escape"], "leave", "Close, leave the search"],
];

/* Keys of the list alone, while it has the focus. */
const LIST_KEYS = { ArrowDown: "nextSample", ArrowUp: "previousSample", PageDown: "nextPage", PageUp: "previousPage" };

/** Listen for keys: `actions[name]()` for each of `KEYS`; `isInList()` whether the list has the focus. */
export function listenForKeys(actions, isInList) {
  const byKey = new Map(KEYS.flatMap(([keys, name]) => keys.map((key) => [key, name])));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (isTyping(event.target) && event.key !== "Escape") return;
    const name = (isInList() ? LIST_KEYS[event.key] : null) ?? byKey.get(event.key);
    if (!name) return;
    event.preventDefault();
    actions[name]();
  });
}

/** A key as it is printed on a keyboard. */
export function keyName(key) {
  return { ArrowLeft: "←", ArrowRight: "→", Escape: "Esc" }[key] ?? key;
}

function isTyping(element) {
  return element.matches("input, textarea, select, [contenteditable]");
}
