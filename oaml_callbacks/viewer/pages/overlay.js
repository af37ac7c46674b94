/* What is drawn upon a screenshot: the target, the click, the line between them, and the way of earlier clicks. */

import { svg } from "./dom.js";
import { isOnScreen, onEdge } from "./geometry.js";

/** Pixels on the page that a trail's numbers take: for each figure, and for the line. */
const FIGURE_ROOM = 8;
const LINE_ROOM = 13;
/** How far from the edge an arrow's head is, as a share of the screen: in a corner it would be cut off. */
const EDGE_ROOM = 0.012;

/**
 * The elements of the overlay.
 *
 * @param {object} scene `target: {box, point}`, `click: {box, point}`, `trail: [{point, name, current}]`; shares
 * @param {number[]} size of the picture, in its pixels
 * @param {number} unit the picture's pixels that one pixel on the page has
 */
export function overlay(scene, size, unit) {
  const draw = { at: ([x, y]) => [x * size[0], y * size[1]], unit };
  const { target, click } = scene;
  const isTrail = scene.trail.length > 0;
  const placed = scene.trail.filter((step) => step.point && isOnScreen(step.point));
  return [
    isTrail ? trail(draw, placed) : null,
    target.box ? twice((name) => rectangle(draw, target.box, name), "target") : null,
    click.box ? twice((name) => rectangle(draw, click.box, name), "click-box") : null,
    !isTrail && target.point && click.point && isOnScreen(click.point) ? between(draw, target, click) : null,
    target.point && isOnScreen(target.point) ? ring(draw, target.point) : null,
    click.point ? (isOnScreen(click.point) ? crosshair(draw, click.point) : arrow(draw, click.point)) : null,
    // Last, so that no line lies upon them.
    ...trailLabels(draw, placed),
  ].filter(Boolean);
}

/** Words in the middle of the picture, where there is no picture. */
export function placeholder(size, unit, words) {
  const [width, height] = size;
  return svg(
    "g",
    { class: "no-picture" },
    svg("rect", { width, height }),
    fixedSize({ at: (point) => point, unit }, [width / 2, height / 2], svg("text", {}, words)),
  );
}

/* Each line is drawn wide and white first, so that it can be seen on any picture. */
function twice(make, name) {
  return [make(`${name} casing`), make(name)];
}

function rectangle(draw, [left, top, right, bottom], name) {
  const [x, y] = draw.at([Math.min(left, right), Math.min(top, bottom)]);
  const [x2, y2] = draw.at([Math.max(left, right), Math.max(top, bottom)]);
  return svg("rect", { class: name, x, y, width: x2 - x, height: y2 - y });
}

function between(draw, target, click) {
  return twice((name) => line(draw, target.point, click.point, { class: name }), "between");
}

function line(draw, from, to, attributes) {
  const [[x1, y1], [x2, y2]] = [draw.at(from), draw.at(to)];
  return svg("line", { x1, y1, x2, y2, ...attributes });
}

function ring(draw, point) {
  return fixedSize(draw, point, twice((name) => svg("circle", { class: name, r: 5 }), "ring"));
}

function crosshair(draw, point) {
  const arms = "M -15 0 H -5 M 5 0 H 15 M 0 -15 V -5 M 0 5 V 15 M 9 0 A 9 9 0 1 1 -9 0 A 9 9 0 1 1 9 0";
  return fixedSize(draw, point, twice((name) => svg("path", { class: name, d: arms }), "crosshair"));
}

/* A click off the screen has no place on it; the arrow at the edge only says which way it went. */
function arrow(draw, point) {
  const edge = onEdge(point);
  const turn = (Math.atan2(point[1] - edge[1], point[0] - edge[0]) * 180) / Math.PI;
  const head = svg("path", { class: "off-screen", d: "M 0 0 L -16 -10 L -11 0 L -16 10 Z" });
  return fixedSize(draw, onEdge(point, EDGE_ROOM), svg("g", { transform: `rotate(${turn})` }, head));
}

function trail(draw, shown) {
  const age = (at) => 0.25 + (0.75 * (at + 1)) / shown.length;
  const lines = shown.slice(1).map((step, at) => {
    const stroke = { opacity: age(at + 1) };
    return ["trail casing", "trail"].map((name) => line(draw, shown[at].point, step.point, { class: name, ...stroke }));
  });
  const dots = shown.map((step, at) =>
    step.current ? [] : fixedSize(draw, step.point, svg("circle", { class: "trail-dot", r: 4, opacity: age(at) })),
  );
  return svg("g", {}, lines, dots);
}

/* The current step's number and the newest ones come first; one that would lie upon another is left out. */
function trailLabels(draw, steps) {
  const placed = [];
  const inTurn = [...steps].reverse().sort((a, b) => Number(b.current) - Number(a.current));
  for (const step of inTurn) {
    const [x, y] = draw.at(step.point).map((value) => value / draw.unit);
    const room = FIGURE_ROOM * step.name.length;
    const isFree = placed.every((one) => Math.abs(one.x - x) > room || Math.abs(one.y - y) > LINE_ROOM);
    if (isFree) placed.push({ x, y, step });
  }
  return placed.map(({ step }) =>
    fixedSize(draw, step.point, svg("text", { class: "trail-label", x: step.current ? 12 : 6, y: -8 }, step.name)),
  );
}

/* A group at a point of the picture in which a pixel is one on the page, however large the picture is shown. */
function fixedSize(draw, point, ...children) {
  const [x, y] = draw.at(point);
  return svg("g", { transform: `translate(${x} ${y}) scale(${draw.unit})` }, children);
}
