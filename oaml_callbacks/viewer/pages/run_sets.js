/* A run's evaluations by their sets, and the words for them. */

import { isNumber, percent, text } from "./format.js";

/**
 * The run's evaluation sets in their order: [{name, samples, evaluations, trained, latest, best, baseline}].
 * `trained` are the evaluations but the base model's; `latest` is the last of them.
 */
export function evaluationSets(run) {
  const told = (run.sets ?? []).filter(Boolean);
  const evaluations = allEvaluations(run);
  const names = new Set([...told.map((set) => set.name), ...evaluations.map((evaluation) => text(evaluation.set))]);
  return [...names].map((name) => {
    const own = evaluations.filter((evaluation) => text(evaluation.set) === name);
    const trained = own.filter((evaluation) => !evaluation.baseline);
    return {
      name,
      samples: told.find((set) => set.name === name)?.samples,
      evaluations: own,
      trained,
      latest: trained.at(-1),
      best: own.find((evaluation) => evaluation.best),
      baseline: own.find((evaluation) => evaluation.baseline),
    };
  });
}

/** The run's evaluations, without what a damaged run folder has in their place. */
export function allEvaluations(run) {
  return (run.evaluations ?? []).filter(Boolean);
}

/** An evaluation's 95 % interval: "87.2–96.4 %", or nothing where it has none. */
export function interval(evaluation) {
  if (!isNumber(evaluation?.low) || !isNumber(evaluation.high)) return "";
  return `${(evaluation.low * 100).toFixed(1)}–${percent(evaluation.high)}`;
}
