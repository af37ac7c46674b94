/* The big figures of each evaluation set: its latest accuracy with the interval, its best, and the base model's. */

import { byId, h, setText } from "./dom.js";
import { count, isNumber, percent } from "./format.js";
import { viewerUrl } from "./page_links.js";
import { evaluationSets, interval } from "./run_sets.js";
import { arrange } from "./update.js";

const cards = new Map(); // A card by its set's name

/** Show the figures of the run's sets. */
export function showFigures(run) {
  const sets = evaluationSets(run);
  const shown = sets.length ? sets : [{ name: "", evaluations: [], trained: [] }];
  const elements = shown.map((set) => {
    if (!cards.has(set.name)) cards.set(set.name, setCard(set.name));
    const card = cards.get(set.name);
    card.update(run, set, shown.length > 1);
    return card.element;
  });
  arrange(byId("figures"), elements);
}

function setCard(name) {
  const title = h("h2", {});
  const samples = h("span", { class: "muted" });
  const latest = bigFigure("latest");
  const best = bigFigure("best");
  const base = bigFigure("base");
  const scale = accuracyScale();
  const element = h(
    "section",
    { class: "panel card" },
    h("div", { class: "card-head" }, title, samples),
    h("div", { class: "big-figures" }, latest.element, best.element, base.element),
    scale.element,
  );
  return {
    element,
    update(run, set, several) {
      setText(title, several ? name : "Grounding accuracy");
      setText(samples, samplesText(set, several));
      latest.update(run, set.latest, set.latest ? label("Latest", set.latest) : "Not evaluated yet");
      best.update(run, set.best, set.best?.baseline ? "Best: the base model" : label("Best", set.best));
      base.update(run, set.baseline, "Base model");
      scale.update(set);
    },
  };
}

/** With several sets their names are the titles, and it is said here what the figures are. */
function samplesText(set, several) {
  const samples = isNumber(set.samples) ? `${count(set.samples)} samples` : "";
  return several ? ["accuracy", samples].filter(Boolean).join(", ") : samples;
}

function label(name, evaluation) {
  return isNumber(evaluation?.step) ? `${name}, step ${count(evaluation.step)}` : name;
}

/** A figure over its label, which is a link to the evaluation's answers, and its 95 % interval. */
function bigFigure(kind) {
  const value = h("span", { class: "value" });
  const name = h("a", { class: "label" });
  const note = h("span", { class: "note", title: "95 % interval" });
  return {
    element: h("div", { class: `big-figure ${kind}` }, value, name, note),
    update(run, evaluation, label) {
      setText(value, percent(evaluation?.accuracy));
      setText(name, label);
      setText(note, noteText(kind, interval(evaluation)));
      if (evaluation) name.href = viewerUrl(run.key, evaluation.key);
      else name.removeAttribute("href");
    },
  };
}

function noteText(kind, range) {
  return kind === "latest" && range ? `95 % interval ${range}` : range;
}

/** A line from 0 to 100 % with the interval, the latest, the best and the base model's marked on it. */
function accuracyScale() {
  const kinds = ["range", "base", "best", "latest"]; // The later ones lie over the earlier ones
  const marks = Object.fromEntries(kinds.map((kind) => [kind, h("span", { class: kind })]));
  const element = h("div", { class: "scale", "aria-hidden": "true" }, Object.values(marks));
  return {
    element,
    update({ latest, best, baseline }) {
      for (const [kind, evaluation] of Object.entries({ latest, best, base: baseline })) {
        marks[kind].hidden = !isNumber(evaluation?.accuracy);
        if (!marks[kind].hidden) marks[kind].style.left = share(evaluation.accuracy);
      }
      marks.range.hidden = !interval(latest);
      if (marks.range.hidden) return;
      marks.range.style.left = share(latest.low);
      marks.range.style.width = share(latest.high - latest.low);
    },
  };
}

function share(value) {
  return `${Math.min(1, Math.max(0, value)) * 100}%`;
}
