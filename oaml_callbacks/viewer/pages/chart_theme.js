/* How the charts look: the page's colours and type, as Plotly takes them. */

const SERIES = 6;
const PRINTED_WIDTH = 640; // px: an A4 page's, upright, less its margins
const FEWEST_STEPS = 10;
const MARGIN = { l: 62, r: 18, t: 30, b: 36 }; // At the top the buttons have room.

/** The page's colours as they are now, light or dark. */
export function readTheme() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    text: colour("text"),
    muted: colour("muted"),
    line: colour("line"),
    panel: colour("panel"),
    panel2: colour("panel-2"),
    accent: colour("accent"),
    target: colour("target"),
    click: colour("click"),
    wrong: colour("wrong"),
    series: Array.from({ length: SERIES }, (_, index) => colour(`series-${index + 1}`)),
    font: getComputedStyle(document.body).fontFamily,
  };
}

/** The layout that all charts have; `margin` and `more` are laid over it. */
export function chartLayout(theme, yaxis, { margin, ...more } = {}) {
  return {
    autosize: true,
    width: matchMedia("print").matches ? PRINTED_WIDTH : undefined,
    uirevision: "kept", // What the reader zoomed or hid stays so while the run goes on.
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom", // A finger scrolls the page.
    hovermode: "closest",
    hoverdistance: 40,
    showlegend: false,
    paper_bgcolor: theme.panel,
    plot_bgcolor: theme.panel,
    font: { family: theme.font, size: 12, color: theme.muted },
    hoverlabel: { bgcolor: theme.panel, bordercolor: theme.line, font: { color: theme.text, size: 13 }, align: "left" },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { color: theme.text }, itemwidth: 30 },
    margin: { ...MARGIN, ...margin },
    xaxis: axis(theme, "optimizer step", {
      autorangeoptions: { include: [0, FEWEST_STEPS] }, // A first point alone is no scale.
      separatethousands: true,
      showgrid: false,
      showline: true,
    }),
    yaxis: axis(theme, yaxis.title, { rangemode: "tozero", ...yaxis }),
    ...more,
  };
}

/** An axis as all charts have it; `more` is laid over it. */
export function axis(theme, title, more) {
  return {
    automargin: true,
    gridcolor: theme.line,
    linecolor: theme.line,
    tickcolor: theme.line,
    zeroline: false,
    nticks: 6,
    ...more,
    title: { text: title, standoff: 8 },
  };
}

/** Call `draw` when the page's colours are others: in the dark, and on paper. */
export function onThemeChange(draw) {
  for (const query of ["(prefers-color-scheme: dark)", "print"]) matchMedia(query).addEventListener("change", draw);
}

/** A colour of the series' (#rrggbb) that lets through what lies under it. */
export function faint(colour) {
  return `${colour}2e`;
}

/** Text that Plotly shows as it is: it takes some tags otherwise, and a set's name may hold anything. */
export function plain(words) {
  return String(words).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
