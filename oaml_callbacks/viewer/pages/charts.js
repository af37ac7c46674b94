/* The charts of evaluations, as Plotly's figures: {data, layout, label}, or null where there is nothing to draw. */

import { chartLayout, faint, plain } from "./chart_theme.js";
import { count, evaluationName, isNumber, number, percent } from "./format.js";
import { interval } from "./run_sets.js";

const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "pentagon", "hexagon"];

/** Grounding accuracy: a line for each set with its interval as a band, the best marked, the base model's dashed. */
export function accuracyFigure(sets, theme) {
  const drawn = sets.filter((set) => set.evaluations.some((evaluation) => isNumber(evaluation.accuracy)));
  if (!drawn.length) return null;
  const several = drawn.length > 1;
  const styled = drawn.map((set) => ({ ...set, ...styleOf(sets.indexOf(set), theme) }));
  const based = styled.filter((set) => isNumber(set.baseline?.accuracy));
  return {
    data: styled.flatMap((set) => [
      ...band(set),
      line(set, several),
      baseMark(set, several),
      bestMark(set, theme, several),
    ]),
    layout: chartLayout(theme, { title: "accuracy (%)", autorangeoptions: { include: 10 } }, {
      showlegend: several,
      margin: { r: 24, t: 40 },
      shapes: based.map((set) => baseLine(set)),
      annotations: based.map((set, index) => baseNote(set, index, theme, several)),
    }),
    label: inWords("Grounding accuracy", drawn, accuracyWords),
  };
}

/** How far the clicks are from their targets. */
export function distanceFigure(sets, theme) {
  return plainFigure(sets, theme, {
    title: "share of the screen",
    name: "Distance of the clicks from their targets",
    value: (evaluation) => evaluation.distance,
    words: (evaluation) => `distance ${number(evaluation.distance)}`,
  });
}

/** The share of answers that could be read. */
export function readableFigure(sets, theme) {
  return plainFigure(sets, theme, {
    title: "readable answers (%)",
    name: "Share of readable answers",
    value: (evaluation) => scaled(evaluation.parsed),
    words: (evaluation) => `${percent(evaluation.parsed)} readable`,
  });
}

function plainFigure(sets, theme, { title, name, value, words }) {
  const drawn = sets.filter((set) => set.evaluations.some((evaluation) => isNumber(value(evaluation))));
  if (!drawn.length) return null;
  const several = drawn.length > 1;
  return {
    data: drawn.map((set) => ({
      ...points(set.evaluations, value, (evaluation) => `${words(evaluation)}<br>${place(evaluation, several)}`),
      ...lineStyle(styleOf(sets.indexOf(set), theme), set.evaluations.length),
      name: plain(set.name),
    })),
    layout: chartLayout(theme, { title }, several ? { showlegend: true, margin: { t: 40 } } : {}),
    label: inWords(name, drawn, (set) => latestWords(set, words)),
  };
}

function styleOf(index, theme) {
  return { colour: theme.series[index % theme.series.length], symbol: SYMBOLS[index % SYMBOLS.length] };
}

/** A trace of evaluations, which its points know: `value` gives a point's height, `words` what is told of it. */
function points(evaluations, value, words) {
  const there = evaluations.filter((evaluation) => isNumber(evaluation.step) && isNumber(value(evaluation)));
  return {
    type: "scatter",
    x: there.map((evaluation) => evaluation.step),
    y: there.map(value),
    customdata: there.map((evaluation) => evaluation.key),
    hovertext: there.map(words),
    hoverinfo: "text",
  };
}

function lineStyle({ colour, symbol }, amount) {
  return {
    mode: "lines+markers",
    cliponaxis: false,
    line: { color: colour, width: 2 },
    marker: { color: colour, symbol, size: amount > 25 ? 5 : 8 },
  };
}

function line(set, several) {
  return {
    ...points(set.trained, accuracyOf, (evaluation) => accuracyNote(evaluation, several)),
    ...lineStyle(set, set.trained.length),
    name: plain(set.name),
    legendgroup: set.name,
    // One evaluation is no band yet: its interval is drawn as a bar.
    error_y: errorBar(set.trained),
  };
}

function errorBar(evaluations) {
  if (evaluations.length !== 1 || !interval(evaluations[0])) return { visible: false };
  const [{ accuracy, low, high }] = evaluations;
  return { visible: true, symmetric: false, array: [scaled(high - accuracy)], arrayminus: [scaled(accuracy - low)] };
}

/** Two lines without a stroke, the room between them filled. */
function band(set) {
  const ranged = set.trained.filter((evaluation) => isNumber(evaluation.step) && interval(evaluation));
  if (ranged.length < 2) return [];
  const edge = (name) => ({
    type: "scatter",
    mode: "lines",
    x: ranged.map((evaluation) => evaluation.step),
    y: ranged.map((evaluation) => scaled(evaluation[name])),
    line: { width: 0 },
    hoverinfo: "skip",
    showlegend: false,
    legendgroup: set.name,
  });
  return [edge("high"), { ...edge("low"), fill: "tonexty", fillcolor: faint(set.colour) }];
}

function baseMark(set, several) {
  return {
    ...points([set.baseline].filter(Boolean), accuracyOf, (evaluation) => accuracyNote(evaluation, several)),
    mode: "markers",
    cliponaxis: false,
    marker: { color: set.colour, symbol: `${set.symbol}-open`, size: 10, line: { width: 2 } },
    showlegend: false,
    legendgroup: set.name,
  };
}

function bestMark(set, theme, several) {
  const isLast = set.best && set.best === set.latest;
  return {
    ...points([set.best].filter(Boolean), accuracyOf, (evaluation) => accuracyNote(evaluation, several)),
    // Of several sets the words may lie upon each other; the star says it, too.
    mode: several ? "markers" : "markers+text",
    cliponaxis: false,
    text: `best ${percent(set.best?.accuracy)}`,
    textposition: isLast ? "top left" : "top center",
    textfont: { color: theme.text, size: 12 },
    marker: { color: set.colour, symbol: "star", size: 16, line: { color: theme.panel, width: 1.5 } },
    showlegend: false,
    legendgroup: set.name,
  };
}

function baseLine(set) {
  const height = accuracyOf(set.baseline);
  const stroke = { color: set.colour, width: 1.5, dash: "dash" };
  return { type: "line", xref: "paper", x0: 0, x1: 1, yref: "y", y0: height, y1: height, line: stroke, layer: "below" };
}

/** The words at a base model's line; those of several sets stand beside each other, as their lines may lie together. */
function baseNote(set, index, theme, several) {
  return {
    text: `${several ? "base" : "base model"} ${percent(set.baseline.accuracy)}`,
    showarrow: false,
    // At the left, beside its mark: the best is at the right more often than not.
    x: set.baseline.step ?? 0,
    xshift: 10 + (index % 3) * 110,
    xanchor: "left",
    y: accuracyOf(set.baseline),
    yanchor: "bottom",
    bgcolor: theme.panel,
    borderpad: 1,
    font: { color: several ? set.colour : theme.muted },
  };
}

function accuracyOf(evaluation) {
  return scaled(evaluation.accuracy);
}

function scaled(share) {
  return isNumber(share) ? share * 100 : null;
}

function accuracyNote(evaluation, several) {
  const { accuracy, correct, samples } = evaluation;
  const range = interval(evaluation);
  const lines = [
    `<b>${percent(accuracy)}</b>${range ? ` (95 %: ${range})` : ""}`,
    isNumber(correct) ? `${count(correct)} of ${count(samples)} correct` : null,
    place(evaluation, several),
  ];
  return lines.filter(Boolean).join("<br>");
}

function place(evaluation, several) {
  return plain(evaluationName(evaluation, several ? 2 : 1));
}

function inWords(name, sets, words) {
  const told = sets.map((set) => (sets.length > 1 ? `${set.name}: ${words(set)}` : words(set)));
  return `${name} over optimizer steps: ${told.join("; ")}. The table of evaluations tells the same.`;
}

function accuracyWords({ latest, best, baseline }) {
  const range = interval(latest) ? ` (95 % interval ${interval(latest)})` : "";
  const parts = [
    latest ? `latest ${percent(latest.accuracy)}${range} at ${evaluationName(latest)}` : null,
    best ? `best ${percent(best.accuracy)} at ${evaluationName(best)}` : null,
    baseline ? `base model ${percent(baseline.accuracy)}` : null,
  ];
  return parts.filter(Boolean).join(", ");
}

function latestWords(set, words) {
  const latest = set.evaluations.at(-1);
  return `latest ${words(latest)} at ${evaluationName(latest)}`;
}
