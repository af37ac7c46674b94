/* Where the misses fall: the clicks' offsets from their targets, as a heat picture with the clicks on top. */

import { h, replace } from "./dom.js";
import { count, isNumber, number } from "./format.js";
import { isWrong } from "./outcomes.js";
import { source } from "./source.js";

/** Verdicts count offsets in this part of the screen. */
const PARTS = 10000;
/** Points drawn at most: each is an element, and more than these can't be told apart. */
const MOST_POINTS = 2500;
const BINS = 48;
/** More points than these are drawn smaller. */
const MANY_POINTS = 300;

export class MissesPicture {
  /** @param {HTMLElement} element to fill  @param {function} onOpen called with a sample's index */
  constructor(element, onOpen) {
    this.onOpen = onOpen;
    this.sentence = h("p", { role: "status" });
    this.chart = h("div", { class: "chart" });
    replace(element, h("h2", {}, "Where the misses fall"), this.sentence, this.chart);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.drawn && this.draw(this.drawn));
  }

  /** Show the misses among the samples `indices`. */
  async show(indices, verdicts) {
    const misses = missesAmong(indices, verdicts);
    this.sentence.textContent = missesSentence(misses);
    this.chart.hidden = !misses.length;
    if (misses.length) await this.draw(misses);
  }

  /** @private */
  async draw(misses) {
    this.drawn = misses;
    try {
      const plotly = await source.plotly();
      if (misses !== this.drawn) return;
      await plotly.react(this.chart, traces(misses), layout(misses), { responsive: true, displayModeBar: false });
      this.chart.removeAllListeners("plotly_click");
      this.chart.on("plotly_click", ({ points }) => {
        const point = points.find((one) => one.customdata !== undefined);
        if (point) this.onOpen(point.customdata);
      });
    } catch (error) {
      this.sentence.textContent = error.message;
      this.chart.hidden = true;
    }
  }
}

/** The misses that have a click and a target: `[{index, x, y}]`, offsets in shares of the screen. */
function missesAmong(indices, { outcome, dx, dy }) {
  return indices
    .filter((index) => isWrong(outcome[index]) && isNumber(dx[index]) && isNumber(dy[index]))
    .map((index) => ({ index, x: dx[index] / PARTS, y: dy[index] / PARTS }));
}

/** What is seen, in words: "Mean offset: 0.12 to the left, 0.03 above; 34 misses." */
function missesSentence(misses) {
  if (!misses.length) return "No misses with a click among the samples that are listed.";
  const [x, y] = ["x", "y"].map((axis) => misses.reduce((sum, miss) => sum + miss[axis], 0) / misses.length);
  const across = `${number(Math.abs(x), 2)} to the ${x < 0 ? "left" : "right"}`;
  const down = `${number(Math.abs(y), 2)} ${y < 0 ? "above" : "below"}`;
  const drawn = misses.length > MOST_POINTS ? ` (points: ${count(MOST_POINTS)} of them)` : "";
  const many = misses.length === 1 ? "one miss" : `${count(misses.length)} misses`;
  return `Mean offset: ${across}, ${down}; ${many}${drawn}.`;
}

function traces(misses) {
  const length = Math.min(misses.length, MOST_POINTS);
  const every = misses.length / length;
  return [heat(misses), dots(Array.from({ length }, (_, at) => misses[Math.floor(at * every)]))];
}

/* How many misses fall where. The root of the count: one crowded place would leave the rest without colour. */
function heat(misses) {
  const [across, down] = [bins(misses, "x"), bins(misses, "y")];
  const z = Array.from({ length: BINS }, () => new Array(BINS).fill(null));
  for (const { x, y } of misses) z[down.of(y)][across.of(x)] += 1;
  return {
    type: "heatmap",
    z: z.map((row) => row.map((misses) => misses && Math.sqrt(misses))),
    x0: across.start + across.size / 2,
    dx: across.size,
    y0: down.start + down.size / 2,
    dy: down.size,
    zmin: 0,
    colorscale: [[0, colour("--panel-2")], [1, colour("--accent")]],
    showscale: false,
    hoverinfo: "skip",
  };
}

function bins(misses, axis) {
  const [start, end] = range(misses, axis);
  const size = (end - start) / BINS;
  return { start, size, of: (value) => Math.min(BINS - 1, Math.floor((value - start) / size)) };
}

function dots(points) {
  const many = points.length > MANY_POINTS;
  return {
    type: "scatter",
    mode: "markers",
    x: points.map((point) => point.x),
    y: points.map((point) => point.y),
    customdata: points.map((point) => point.index),
    marker: { size: many ? 4 : 7, color: colour("--click"), opacity: many ? 0.45 : 0.8 },
    hovertemplate: "sample %{customdata}: %{x:.3f}, %{y:.3f}<extra></extra>",
    showlegend: false,
  };
}

function layout(misses) {
  const axis = (title, limits) => ({
    title: { text: title },
    range: limits,
    gridcolor: colour("--line"),
    zeroline: false,
  });
  return {
    paper_bgcolor: "transparent",
    plot_bgcolor: "transparent",
    font: { color: colour("--text"), family: getComputedStyle(document.body).fontFamily },
    margin: { l: 60, r: 10, t: 10, b: 50 },
    xaxis: axis("right of the target →", range(misses, "x")),
    // From the top downwards, so that it looks like the screen.
    yaxis: axis("below the target ↓", range(misses, "y").reverse()),
    shapes: originMark(),
  };
}

/* A crosshair through the target, over the whole picture. */
function originMark() {
  const line = { color: colour("--target"), width: 1.5, dash: "dot" };
  return [
    { type: "line", xref: "x", yref: "paper", x0: 0, x1: 0, y0: 0, y1: 1, line },
    { type: "line", xref: "paper", yref: "y", x0: 0, x1: 1, y0: 0, y1: 0, line },
  ];
}

/** From the least to the most, with the target in it and some room. */
function range(misses, axis) {
  const values = misses.map((miss) => miss[axis]);
  const [least, most] = [Math.min(0, ...values), Math.max(0, ...values)];
  const room = Math.max(0.02, (most - least) * 0.06);
  return [least - room, most + room];
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
