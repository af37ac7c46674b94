/* The words beside a picture: the sample's, and those of the answer to it. */

import { h, replace, setText } from "./dom.js";
import { count, isNumber, number, text } from "./format.js";
import { Folding } from "./folding.js";
import { isOnScreen, pixelsBetween, placeInNumbers } from "./geometry.js";
import { outcomeOf } from "./outcomes.js";
import { keepFocus, whenChanged } from "./update.js";
import { verdictWord } from "./words.js";

const LONG_ANSWER = 700;
const LONG_INSTRUCTION = 400;
const LONG_TARGET = 160;

export class PaneWords {
  constructor() {
    this.verdict = h("p", { class: "verdict" });
    this.instruction = new Folding("p", { class: "instruction" }, LONG_INSTRUCTION, 5);
    this.target = new Folding("span", {}, LONG_TARGET, 3);
    this.facts = h("dl", {});
    this.problems = h("div", {});
    this.note = h("p", {});
    this.answer = new Folding("pre", { tabindex: "0" }, LONG_ANSWER, 9);
    const facts = h("div", { class: "facts" }, this.verdict, this.instruction.element, this.facts, this.problems);
    const answer = h("div", { class: "answer" }, h("h3", {}, "Answer"), this.note, this.answer.element);
    this.element = h("div", { class: "words" }, facts, answer);
    this.draw = whenChanged((shown) => keepFocus(this.element, () => this.redraw(shown)));
  }

  /**
   * @param {object} shown `sample`, `answer` (undefined: not there yet; null: none), `failure`: why it can't be had,
   *   `letter`, `place`: the places drawn, `size` of the picture
   * @param {string} of what it is of: unfolded texts stay so for the same sample
   */
  show({ sample, answer, failure, letter, place, size }, of) {
    // Written as text, an answer that isn't there yet must differ from one that isn't there at all.
    this.draw({ sample, answer, failure, letter, place, size, of, isLoading: answer === undefined });
  }

  /** @private */
  redraw(shown) {
    const { sample, answer, place, of } = shown;
    replace(this.verdict, verdict(shown));
    this.instruction.show(text(sample.instruction), of);
    this.target.show(targetWords(sample, place.target), of);
    replace(this.facts, factList(shown, this.target.element));
    const problems = [sample.problem, answer?.problem].filter(Boolean);
    replace(this.problems, problems.map((problem) => h("p", { class: "problem" }, problem)));
    this.showAnswer(shown);
  }

  /** @private */
  showAnswer({ answer, failure, of }) {
    const note = failure ?? noteOf(answer);
    this.note.hidden = !note;
    this.note.className = failure ? "problem" : "muted";
    setText(this.note, note);
    const { element } = this.answer;
    if (note && element.contains(document.activeElement)) this.left = document.activeElement;
    element.hidden = Boolean(note);
    if (note) return;
    this.answer.show(text(answer.answer), of);
    // What is hidden, as while the next answer is loaded, has lost the focus.
    if (document.activeElement === document.body) this.left?.focus({ preventScroll: true });
    this.left = null;
  }
}

/** What is said in the place of an answer's text. */
function noteOf(answer) {
  if (answer === undefined) return "Loading…";
  if (answer === null) return "This sample isn't in this evaluation.";
  return answer.answer === "" ? "The model wrote nothing." : "";
}

function verdict({ letter, answer, place, size, failure }) {
  if (failure) return [];
  if (letter === null) return h("span", { class: "chip" }, "…");
  return [
    h("span", { class: `chip ${outcomeOf(letter).kind}` }, verdictWord(letter, place)),
    isNumber(place.distance) ? h("span", {}, distanceWords(place, size)) : null,
    answer?.stopped === false ? h("span", { class: "chip warning" }, "cut off at max_new_tokens") : null,
  ];
}

function distanceWords({ distance, target, click }, size) {
  const pixels = pixelsBetween(target.point, click.point, size);
  return `${number(distance)} of the screen away${pixels === null ? "" : ` (${count(pixels)} px)`}`;
}

function factList({ sample, answer, place }, targetElement) {
  const { target, click } = place;
  const facts = [
    [isAnswer(sample, target) ? "Expected" : "Target", [h("span", { class: "key target-key" }), targetElement]],
    ["Click", [click.point ? h("span", { class: "key click-key" }) : null, clickFact(answer, click)]],
    ["Action", answer ? text(answer.action) : "–"],
    ...Object.entries(sample.groups ?? {}).map(([name, value]) => [name, text(value)]),
    ["Sample", h("span", { class: "mono" }, text(sample.id))],
  ];
  return facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)));
}

/* Where no place is asked for, the target's text is the answer that is expected. */
function isAnswer(sample, target) {
  return Boolean(sample.target) && !target.point && !target.box;
}

function targetWords(sample, target) {
  if (isAnswer(sample, target)) return sample.target;
  const place = target.point ? placeInNumbers(target.point) : target.box ? "a box" : "no place";
  return sample.target ? `${sample.target} · ${place}` : place;
}

function clickFact(answer, click) {
  if (!click.point) return answer?.status === "refusal" ? "none: the model refused" : "–";
  const numbers = placeInNumbers(click.point);
  return isOnScreen(click.point) ? numbers : `${numbers}: off the screen`;
}
