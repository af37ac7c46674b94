/* The charts of what the training logs, as Plotly's figures: {data, layout, label}, or null for nothing to draw. */

import { chartLayout, plain } from "./chart_theme.js";
import { count, figure, isNumber, text } from "./format.js";
import { isLoss, lossSet } from "./odd_values.js";

const FEW = 40; // As many points are marked each

/** The training's loss and each evaluation set's, with a mark where one was no number. */
export function lossFigure(history, sets, theme) {
  const lines = lossKeys(history, sets)
    .map((key, index) => ({
      key,
      name: lossName(key),
      // A set has the colour that it has in the other charts.
      colour: key === "train/loss" ? theme.muted : theme.series[(index - 1) % theme.series.length],
      ...readSeries(history, key),
    }))
    .filter((line) => line.x.length);
  const odd = (history.odd ?? []).filter((item) => item && isLoss(String(item.key)) && isNumber(item.step));
  if (!lines.length && !odd.length) return null;
  const marks = odd.length ? oddTraces(odd, theme) : [];
  return {
    data: [...lines.map(trace), ...marks],
    layout: chartLayout(theme, { title: "loss" }, {
      showlegend: true,
      margin: { t: 40 },
      // Where there is no number there is no height: its own axis, from 0 to 1.
      yaxis2: { overlaying: "y", range: [0, 1], visible: false, fixedrange: true },
    }),
    label: inWords("Loss", [
      ...lines.map((line) => `${line.name} ${lineWords(line)}`),
      odd.length ? `no number at ${count(odd.length)} places` : null,
    ]),
  };
}

/** The learning rate. */
export function rateFigure(history, theme) {
  const key = "train/learning_rate";
  const line = { key, name: "learning rate", colour: theme.muted, ...readSeries(history, key) };
  if (!line.x.length) return null;
  return {
    data: [trace(line)],
    layout: chartLayout(theme, { title: "learning rate", exponentformat: "power" }),
    label: inWords("Learning rate", [lineWords(line)]),
  };
}

/** The training's loss, then the sets' in the sets' order. */
function lossKeys(history, sets) {
  const place = (key) => sets.findIndex((set) => set.name === lossSet(key));
  const evaluated = Object.keys(history.series ?? {}).filter((key) => isLoss(key) && key !== "train/loss");
  return ["train/loss", ...evaluated.sort((a, b) => place(a) - place(b))];
}

function lossName(key) {
  if (key === "train/loss") return "training";
  const set = lossSet(key);
  return set ? `evaluation, ${set}` : "evaluation";
}

function readSeries(history, key) {
  const { step, value } = history.series?.[key] ?? {};
  const points = (step ?? []).map((x, index) => ({ x, y: value?.[index] }));
  const there = points.filter(({ x, y }) => isNumber(x) && isNumber(y));
  return { x: there.map((point) => point.x), y: there.map((point) => point.y) };
}

function trace({ key, name, colour, x, y }) {
  return {
    type: "scatter",
    mode: key.startsWith("eval/") || x.length <= FEW ? "lines+markers" : "lines",
    x,
    y,
    name: plain(name),
    line: { color: colour, width: key.startsWith("eval/") ? 2 : 1.5 },
    marker: { color: colour, size: key.startsWith("eval/") && x.length <= FEW ? 7 : 4 },
    hovertext: x.map((step, index) => hoverWords(figure(y[index]), name, step)),
    hoverinfo: "text",
  };
}

function hoverWords(value, name, step) {
  return `<b>${value}</b><br>${plain(name)}, step ${count(step)}`;
}

/** A dotted line over the chart's height, and a cross at its foot that tells what was logged. */
function oddTraces(odd, theme) {
  const shared = { type: "scatter", yaxis: "y2", legendgroup: "odd" };
  const lines = {
    ...shared,
    mode: "lines",
    x: odd.flatMap((item) => [item.step, item.step, null]),
    y: odd.flatMap(() => [0, 1, null]),
    line: { color: theme.wrong, width: 1, dash: "dot" },
    hoverinfo: "skip",
    showlegend: false,
  };
  const crosses = {
    ...shared,
    mode: "markers",
    name: "not a number",
    x: odd.map((item) => item.step),
    y: odd.map(() => 0.05),
    cliponaxis: false,
    marker: { color: theme.wrong, symbol: "x", size: 9 },
    hovertext: odd.map((item) => hoverWords(plain(text(item.value)), lossName(item.key), item.step)),
    hoverinfo: "text",
  };
  return [lines, crosses];
}

function inWords(name, parts) {
  return `${name} over optimizer steps: ${parts.filter(Boolean).join("; ")}.`;
}

function lineWords({ x, y }) {
  const lowest = y.reduce((least, value) => Math.min(least, value));
  return `latest ${figure(y.at(-1))} at step ${count(x.at(-1))}, lowest ${figure(lowest)}`;
}
