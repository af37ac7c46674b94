/* Places on a screen. All are shares of it: x from the left, y from the top; a model may name one that is off it. */

import { isNumber, number } from "./format.js";

/** Verdicts count distances and offsets in this part of the screen. */
export const PARTS = 10000;

/** What a zoom shows at least, as a share of the screen. */
const LEAST_ZOOM = 0.14;
const ZOOM_MARGIN = 1.7;

/** `[x, y]`, or null for anything else. */
export function asPoint(value) {
  return Array.isArray(value) && value.length >= 2 && value.slice(0, 2).every(isNumber) ? value.slice(0, 2) : null;
}

/** `[left, top, right, bottom]`, or null for anything else. */
export function asBox(value) {
  return Array.isArray(value) && value.length === 4 && value.every(isNumber) ? value : null;
}

/** `[width, height]` in pixels, or null for anything else. */
export function asSize(value) {
  const size = asPoint(value);
  return size && size[0] > 0 && size[1] > 0 ? size : null;
}

export function centreOf([left, top, right, bottom]) {
  return [(left + right) / 2, (top + bottom) / 2];
}

export function isOnScreen([x, y]) {
  return x >= 0 && x <= 1 && y >= 0 && y <= 1;
}

/** The place of the screen that is nearest to a point, and `room` away from its edges. */
export function onEdge([x, y], room = 0) {
  return [clamp(x, room, 1 - room), clamp(y, room, 1 - room)];
}

/** A distance in pixels of the picture, or null where something isn't known. */
export function pixelsBetween(from, to, size) {
  return from && to && size ? Math.hypot((to[0] - from[0]) * size[0], (to[1] - from[1]) * size[1]) : null;
}

/** The part of the picture to show, in pixels: the area of `places` when zoomed, else all of it. */
export function viewBox([width, height], places, zoomed) {
  if (!zoomed || !places.length) return [0, 0, width, height];
  const [left, right, x] = extent(places.map((place) => place[0]));
  const [top, bottom, y] = extent(places.map((place) => place[1]));
  const share = clamp(ZOOM_MARGIN * Math.max(right - left, bottom - top), LEAST_ZOOM, 1);
  const start = (middle) => clamp(middle - share / 2, 0, 1 - share);
  return [start(x) * width, start(y) * height, share * width, share * height];
}

/** A place in numbers: "0.420, 0.510". */
export function placeInNumbers(point) {
  return point ? `${number(point[0])}, ${number(point[1])}` : "–";
}

/** A place in words: "42 % from the left, 51 % from the top". */
export function placeInWords([x, y]) {
  return `${Math.round(x * 100)} % from the left, ${Math.round(y * 100)} % from the top`;
}

function extent(values) {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return [least, most, (least + most) / 2];
}

function clamp(value, least, most) {
  return Math.min(Math.max(value, least), most);
}
