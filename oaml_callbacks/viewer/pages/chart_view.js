/* A place on the page where Plotly draws a figure, and draws it again when it has changed. */

import { h, replace } from "./dom.js";
import { source } from "./source.js";

const CONFIG = {
  displaylogo: false,
  responsive: true,
  showSendToCloud: false,
  plotlyServerURL: "",
  // Its buttons are for a mouse, and would cover the lines at a touch.
  displayModeBar: matchMedia("(pointer: coarse)").matches ? false : "hover",
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
};

let lastTurn = Promise.resolve();

/** One chart after the other, so that the first is seen before the last is drawn. */
function turn() {
  lastTurn = lastTurn.then(() => new Promise((resolve) => setTimeout(resolve)));
  return lastTurn;
}

/**
 * Draw in `element`; `onPoint(customdata, event)` is called when a point that has customdata is clicked.
 * Returns `show(figure, emptyText)`: a figure is {data, layout, label}, or null for none.
 */
export function chartView(element, onPoint) {
  const plot = h("div", { class: "plot", role: "img", hidden: true });
  const words = h("p", { class: "no-chart muted", hidden: true });
  replace(element, words, plot);
  let drawn; // What is drawn, as text
  let wanted;

  return function show(figure, emptyText) {
    wanted = figure;
    words.textContent = figure ? "" : emptyText;
    words.hidden = Boolean(figure);
    plot.hidden = !figure;
    if (figure) draw();
  };

  async function draw() {
    try {
      const plotly = await source.plotly();
      await turn();
      if (!plotly) throw new Error("There are no charts in this page. The table below holds the same.");
      const now = JSON.stringify(wanted);
      if (now === drawn || !wanted) return;
      const first = drawn === undefined;
      drawn = now;
      plot.setAttribute("aria-label", wanted.label);
      await plotly.react(plot, wanted.data, wanted.layout, CONFIG);
      if (first) listen();
    } catch (error) {
      words.textContent = error.message;
      words.hidden = false;
      plot.hidden = true;
    }
  }

  function listen() {
    plot.on("plotly_afterplot", skipModeBar);
    skipModeBar();
    plot.on("plotly_click", ({ points, event }) => {
      const point = points.find((item) => item.customdata !== undefined);
      if (point) onPoint(point.customdata, event);
    });
    plot.on("plotly_hover", ({ points }) => {
      plot.classList.toggle("on-point", points.some((item) => item.customdata !== undefined));
    });
    plot.on("plotly_unhover", () => plot.classList.remove("on-point"));
  }

  /* The buttons are for a mouse's zoom; for the keyboard they would be four stops a chart, and the table has it all. */
  function skipModeBar() {
    for (const button of plot.querySelectorAll(".modebar-btn")) button.tabIndex = -1;
  }
}
