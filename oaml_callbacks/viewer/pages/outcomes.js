/* How an answer ended: the letters of the data, as words, marks and colours. */

const OUTCOMES = {
  c: { word: "correct", kind: "right", mark: "✓", name: "correct" },
  n: { word: "near miss", kind: "wrong", mark: "≈", name: "near", near: true },
  w: { word: "wrong side of the screen", kind: "wrong", mark: "⇄", name: "wrong_side" },
  e: { word: "elsewhere", kind: "wrong", mark: "✗", name: "elsewhere" },
  u: { word: "unreadable", kind: "unreadable", mark: "U", name: "unreadable" },
  p: { word: "no place named", kind: "unreadable", mark: "∅", name: "no_place" },
  "?": { word: "could not be read from the run folder", kind: "", mark: "?" },
  "-": { word: "not in this evaluation", kind: "", mark: "·" },
};

/** All outcomes, for a legend. */
export const ALL_OUTCOMES = Object.entries(OUTCOMES).map(([letter, outcome]) => ({ letter, ...outcome }));

/** `{word, kind, mark}` of a letter; a letter that isn't known is one that couldn't be read. */
export function outcomeOf(letter) {
  return Object.hasOwn(OUTCOMES, letter ?? "") ? OUTCOMES[letter] : OUTCOMES["?"];
}

/** The letter of an answer's own outcome, for where the verdicts aren't there (yet). */
export function letterOf(answer) {
  if (!answer) return "-";
  const found = Object.entries(OUTCOMES).find(([, outcome]) => outcome.name && outcome.name === answer.outcome);
  return found ? found[0] : "?";
}

/** The classes of a mark: right, wrong (near ones paler), unreadable. */
export function markClass(letter) {
  const outcome = outcomeOf(letter);
  return ["mark", outcome.kind || "none", outcome.near ? "near" : ""].join(" ").trim();
}

export function isRight(letter) {
  return letter === "c";
}

/** Wrong: graded, and not right. A row that couldn't be read is neither. */
export function isWrong(letter) {
  return letter !== "c" && isGraded(letter);
}

/** Whether there is a click that has missed. */
export function isMissedClick(letter) {
  return ["n", "w", "e"].includes(letter);
}

export function isGraded(letter) {
  return Boolean(outcomeOf(letter).name);
}
