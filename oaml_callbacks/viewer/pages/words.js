/* A sample and the answer to it, in words. */

import { h } from "./dom.js";
import { count, isNumber, number, text } from "./format.js";
import { isOnScreen, pixelsBetween, placeInNumbers, placeInWords } from "./geometry.js";
import { outcomeOf } from "./outcomes.js";

/** Longer answers are folded. */
const LONG = 700;
const MANY_LINES = 9;

/**
 * The words beside a picture.
 *
 * @param {object} shown `sample`, `answer` (undefined: not there yet; null: none), `failure`: why it can't be had,
 *   `letter`, `place`: the places drawn
 */
export function wordsOf(shown) {
  return [
    h("div", { class: "facts" }, verdictLine(shown), instruction(shown.sample), factList(shown), problems(shown)),
    h("div", { class: "answer" }, h("h3", {}, "Answer"), answerText(shown)),
  ];
}

/** What a screen reader says of the picture. */
export function pictureLabel({ letter, place, url }) {
  const { target, click } = place;
  const parts = [url ? "Screenshot." : "No picture kept."];
  parts.push(target.point ? `Target at ${placeInWords(target.point)};` : "No target on the screen;");
  if (!click.point) parts.push(`no click: ${outcomeOf(letter).word}.`);
  else parts.push(`${clickWords(click.point)}, ${away(place)}: ${verdictWord(letter, place)}.`);
  return parts.join(" ");
}

/** A sentence of how an answer ended: "Near miss, 0.12 from the target". */
export function verdictSentence(letter, place) {
  const word = verdictWord(letter, place);
  const verdict = word[0].toUpperCase() + word.slice(1);
  return isNumber(place.distance) ? `${verdict}, ${number(place.distance, 2)} from the target` : verdict;
}

function clickWords(point) {
  return isOnScreen(point) ? `click at ${placeInWords(point)}` : `click off the screen, at ${placeInNumbers(point)}`;
}

function away({ distance }) {
  return isNumber(distance) ? `${number(distance, 2)} from it` : "at no known distance";
}

function verdictLine({ letter, answer, place, size, failure }) {
  if (failure) return null;
  if (letter === null) return h("p", { class: "verdict" }, h("span", { class: "chip" }, "…"));
  return h(
    "p",
    { class: "verdict" },
    h("span", { class: `chip ${outcomeOf(letter).kind}` }, verdictWord(letter, place)),
    isNumber(place.distance) ? h("span", {}, distanceWords(place, size)) : null,
    answer?.stopped === false ? h("span", { class: "chip warning" }, "cut off at max_new_tokens") : null,
  );
}

/* That outcome is also the one of a click where there was nothing to click. */
function verdictWord(letter, place) {
  return letter === "p" && place.click.point ? "a place named where there is none" : outcomeOf(letter).word;
}

function distanceWords({ distance, target, click }, size) {
  const pixels = pixelsBetween(target.point, click.point, size);
  return `${number(distance)} of the screen away${pixels === null ? "" : ` (${count(pixels)} px)`}`;
}

function instruction(sample) {
  return h("p", { class: "instruction" }, text(sample.instruction));
}

function factList({ sample, answer, place }) {
  const { target, click } = place;
  const facts = [
    ["Target", [h("span", { class: "key target-key" }), targetWords(sample, target)]],
    ["Click", [click.point ? h("span", { class: "key click-key" }) : null, clickFact(answer, click)]],
    ["Action", answer ? text(answer.action) : "–"],
    ...Object.entries(sample.groups ?? {}).map(([name, value]) => [name, text(value)]),
    ["Sample", h("span", { class: "mono" }, text(sample.id))],
  ];
  return h("dl", {}, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

function targetWords(sample, target) {
  const place = target.point ? placeInNumbers(target.point) : target.box ? "a box" : "no place";
  return sample.target ? `${sample.target} · ${place}` : place;
}

function clickFact(answer, click) {
  if (!click.point) return answer?.status === "refusal" ? "none: the model refused" : "–";
  const numbers = placeInNumbers(click.point);
  return isOnScreen(click.point) ? numbers : `${numbers}: off the screen`;
}

function problems({ sample, answer }) {
  return [sample.problem, answer?.problem].filter(Boolean).map((problem) => h("p", { class: "problem" }, problem));
}

function answerText({ answer, failure }) {
  if (failure) return h("p", { class: "problem" }, failure);
  if (answer === undefined) return h("p", { class: "muted" }, "Loading…");
  if (answer === null) return h("p", { class: "muted" }, "This sample isn't in this evaluation.");
  const words = text(answer.answer);
  if (answer.answer === "") return h("p", { class: "muted" }, "The model wrote nothing.");
  return isLong(words) ? folded(words) : h("pre", { tabindex: "0" }, words);
}

function isLong(words) {
  return words.length > LONG || words.split("\n", MANY_LINES + 1).length > MANY_LINES;
}

function folded(words) {
  const pre = h("pre", { class: "folded", tabindex: "0" }, words);
  const toggle = h("button", { class: "small no-print", onclick: flip, "aria-expanded": "false" });
  const name = (open) => (open ? "Show less" : `Show all ${count(words.length)} characters`);
  toggle.textContent = name(false);
  function flip() {
    const open = !pre.classList.toggle("folded");
    toggle.setAttribute("aria-expanded", open);
    toggle.textContent = name(open);
  }
  return [pre, toggle];
}
