/* A sample and the answer to it, in words. */

import { capital, isNumber, number } from "./format.js";
import { isOnScreen, placeInNumbers, placeInWords } from "./geometry.js";
import { outcomeOf } from "./outcomes.js";

/** What a screen reader says of the picture. */
export function pictureLabel({ answer, failure, letter, place, url }) {
  const { target, click } = place;
  const parts = [url ? "Screenshot." : "No picture kept."];
  parts.push(target.point ? `Target at ${placeInWords(target.point)};` : "No target on the screen;");
  if (failure) parts.push("answer not available.");
  else if (answer === undefined) parts.push("answer loading.");
  else if (!click.point) parts.push(`no click: ${outcomeOf(letter).word}.`);
  else parts.push(`${clickWords(click.point)}, ${away(place)}: ${verdictWord(letter, place)}.`);
  return parts.join(" ");
}

/** A sentence of how an answer ended: "Near miss, 0.12 from the target". */
export function verdictSentence(letter, place) {
  const verdict = capital(verdictWord(letter, place));
  return isNumber(place.distance) ? `${verdict}, ${number(place.distance, 2)} from the target` : verdict;
}

function clickWords(point) {
  return isOnScreen(point) ? `click at ${placeInWords(point)}` : `click off the screen, at ${placeInNumbers(point)}`;
}

function away({ distance }) {
  return isNumber(distance) ? `${number(distance, 2)} from it` : "at no known distance";
}

/** An outcome's word. That of no place named is also the one of a click where there was nothing to click. */
export function verdictWord(letter, place) {
  return letter === "p" && place.click.point ? "a place named where there is none" : outcomeOf(letter).word;
}
