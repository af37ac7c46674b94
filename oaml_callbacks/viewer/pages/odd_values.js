/* What was logged and is no number (NaN, Infinity), in words. */

import { count, text } from "./format.js";

const MOST_STEPS = 5;

/** A sentence for each key and value: "The loss was NaN at step 30." */
export function oddSentences(odd) {
  const steps = new Map();
  for (const { key, step, value } of (odd ?? []).filter(Boolean)) {
    const words = `${keyName(text(key))} was ${text(value)} at`;
    steps.set(words, [...(steps.get(words) ?? []), step]);
  }
  return [...steps].map(([words, at]) => `${words} ${stepList(at)}.`);
}

/** Whether a key is a loss's: of the training, or of an evaluation set. */
export function isLoss(key) {
  return key === "train/loss" || /^eval\/(.+_)?loss$/.test(key);
}

/** The set in a key such as "eval/web_loss"; nothing where the key names none. */
export function lossSet(key) {
  return /^eval\/(.+)_loss$/.exec(key)?.[1] ?? "";
}

function keyName(key) {
  if (key === "train/loss") return "The loss";
  if (key === "train/grad_norm") return "The gradient norm";
  if (key === "train/learning_rate") return "The learning rate";
  if (key.endsWith("grounding_distance")) return "The distance";
  if (!isLoss(key)) return key;
  const set = lossSet(key);
  return set ? `The evaluation loss of ${set}` : "The evaluation loss";
}

function stepList(steps) {
  const names = steps.map((step) => count(step));
  if (names.length === 1) return `step ${names[0]}`;
  if (names.length > MOST_STEPS) return `${count(names.length)} steps, first at step ${names[0]}`;
  return `steps ${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
