/* Where the misses fall: the clicks' offsets from their targets, as a heat picture with the clicks on top. */

import { axis, chartLayout, onThemeChange, readTheme } from "./chart_theme.js";
import { h, replace, setText } from "./dom.js";
import { count, isNumber, number } from "./format.js";
import { PARTS } from "./geometry.js";
import { isMissedClick, isWrong } from "./outcomes.js";
import { source } from "./source.js";

/** Points drawn at most: each is an element, and more than these can't be told apart. */
const MOST_POINTS = 2500;
const BINS = 48;
/** More points than these are drawn smaller. */
const MANY_POINTS = 300;
/** A mean offset below this, in shares of the screen, is none. */
const NO_LEAN = 0.005;

export class MissesPicture {
  /** @param {HTMLElement} element to fill  @param {function} onOpen called with a sample's index */
  constructor(element, onOpen) {
    this.onOpen = onOpen;
    this.of = h("span", { class: "muted" });
    this.sentence = h("p", { role: "status" });
    this.chart = h("div", { class: "chart" });
    replace(element, h("h2", {}, "Where the misses fall ", this.of), this.sentence, this.chart);
    onThemeChange(() => this.drawn && this.draw(this.drawn));
  }

  /** Show the misses among the samples `indices`; `title`: what these are, in words. */
  async show(indices, verdicts, title) {
    const misses = missesAmong(indices, verdicts);
    setText(this.of, title.join(", "));
    this.words = missesSentence(misses);
    this.chart.hidden = !misses.near.length;
    this.drawn = misses.near.length ? misses.near : null;
    setText(this.sentence, this.drawn && !this.isReady ? `${this.words} Drawing…` : this.words);
    if (this.drawn) await this.draw(this.drawn);
  }

  /** @private */
  async draw(misses) {
    try {
      const plotly = await source.plotly();
      if (misses !== this.drawn) return;
      const theme = readTheme();
      await plotly.react(this.chart, traces(misses, theme), layout(misses, theme), CONFIG);
      this.isReady = true;
      setText(this.sentence, this.words);
      this.listen();
    } catch (error) {
      setText(this.sentence, error.message);
      this.chart.hidden = true;
    }
  }

  /** @private */
  listen() {
    this.chart.removeAllListeners("plotly_click");
    this.chart.on("plotly_click", ({ points }) => {
      const point = points.find((one) => one.customdata !== undefined);
      if (point) this.onOpen(point.customdata);
    });
  }
}

const CONFIG = { responsive: true, displayModeBar: false };

/**
 * The misses: `near`, of which the offsets are known, in shares of the screen: `[{index, x, y}]`; and how many are
 * farther away than a screen's width or height, or have a click whose offset isn't known.
 */
function missesAmong(indices, { outcome, dx, dy }) {
  const isKnown = (index) => isNumber(dx[index]) && isNumber(dy[index]);
  const wrong = indices.filter((index) => isWrong(outcome[index]));
  const known = wrong.filter(isKnown).map((index) => ({ index, x: dx[index] / PARTS, y: dy[index] / PARTS }));
  const near = known.filter(({ x, y }) => Math.abs(x) <= 1 && Math.abs(y) <= 1);
  const unknown = wrong.filter((index) => !isKnown(index) && isMissedClick(outcome[index]));
  return { near, far: known.length - near.length, unknown: unknown.length };
}

/** What is seen, in words: "Mean offset: 0.12 to the left, 0.03 above; 34 misses." */
function missesSentence({ near, far, unknown }) {
  const sentences = [
    near.length ? `Mean offset: ${meanWords(near)}; ${amount(near.length)}${drawnWords(near)}.` : null,
    far ? `Not drawn: ${amount(far)} farther away than the screen is wide or high.` : null,
    unknown ? `The offsets of ${amount(unknown)} aren't known.` : null,
  ].filter(Boolean);
  return sentences.join(" ") || "No misses with a click among the samples that are listed.";
}

function meanWords(misses) {
  const [x, y] = ["x", "y"].map((name) => misses.reduce((sum, miss) => sum + miss[name], 0) / misses.length);
  const across = `${number(Math.abs(x), 2)} to the ${x < 0 ? "left" : "right"}`;
  const down = `${number(Math.abs(y), 2)} ${y < 0 ? "above" : "below"}`;
  const leans = [Math.abs(x) < NO_LEAN ? null : across, Math.abs(y) < NO_LEAN ? null : down].filter(Boolean);
  return leans.join(", ") || "no lean to any side";
}

function amount(misses) {
  return misses === 1 ? "one miss" : `${count(misses)} misses`;
}

function drawnWords(misses) {
  return misses.length > MOST_POINTS ? ` (points: ${count(MOST_POINTS)} of them)` : "";
}

function traces(misses, theme) {
  const length = Math.min(misses.length, MOST_POINTS);
  const every = misses.length / length;
  return [heat(misses, theme), dots(Array.from({ length }, (_, at) => misses[Math.floor(at * every)]), theme)];
}

/* How many misses fall where. The root of the count: one crowded place would leave the rest without colour. */
function heat(misses, theme) {
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
    colorscale: [[0, theme.panel2], [1, theme.accent]],
    showscale: false,
    hoverinfo: "skip",
  };
}

function bins(misses, axis) {
  const [start, end] = range(misses, axis);
  const size = (end - start) / BINS;
  return { start, size, of: (value) => Math.min(BINS - 1, Math.floor((value - start) / size)) };
}

function dots(points, theme) {
  const many = points.length > MANY_POINTS;
  return {
    type: "scatter",
    mode: "markers",
    x: points.map((point) => point.x),
    y: points.map((point) => point.y),
    customdata: points.map((point) => point.index),
    marker: { size: many ? 4 : 7, color: theme.click, opacity: many ? 0.45 : 0.8 },
    hovertemplate: "sample %{customdata}: %{x:.3f}, %{y:.3f}<extra></extra>",
    showlegend: false,
  };
}

function layout(misses, theme) {
  const own = (title, limits) => axis(theme, title, { range: limits, gridcolor: theme.line });
  return chartLayout(theme, {}, {
    uirevision: undefined, // Of other samples the part that was looked at is no longer the one.
    margin: { l: 60, r: 10, t: 10, b: 50 },
    xaxis: own("right of the target →", range(misses, "x")),
    // From the top downwards, so that it looks like the screen.
    yaxis: own("below the target ↓", range(misses, "y").reverse()),
    shapes: originMark(theme),
  });
}

/* A crosshair through the target, over the whole picture. */
function originMark(theme) {
  const line = { color: theme.target, width: 1.5, dash: "dot" };
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
