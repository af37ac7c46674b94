/* A screenshot with what is drawn upon it: one SVG in pixels of the picture. */

import { replace, svg } from "./dom.js";
import { asSize, isOnScreen, viewBox } from "./geometry.js";
import { overlay, placeholder } from "./overlay.js";

/** Where neither the data nor the picture say how large it is. */
const USUAL_SIZE = [1280, 720];

export class Screen {
  /** @param {HTMLElement} stage to fill */
  constructor(stage) {
    this.stage = stage;
    this.picture = svg("g");
    this.overlay = svg("g");
    this.element = svg("svg", { class: "screen", role: "img" }, this.picture, this.overlay);
    this.scene = null;
    replace(stage, this.element);
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  /**
   * @param {object} scene what `overlay` draws, and `url` of the picture or null, `size: [w, h] | null`, `zoomed`,
   *   `label`: what a screen reader says
   */
  show(scene) {
    this.scene = scene;
    if (scene.url !== this.url) this.load(scene.url);
    this.draw();
  }

  /** @private */
  load(url) {
    this.url = url;
    this.loaded = null;
    this.failed = !url;
    this.image = url ? svg("image", { href: url, preserveAspectRatio: "none" }) : null;
    if (!url) return;
    // An SVG's image doesn't tell its size; asking for the same picture again costs nothing.
    const probe = new Image();
    probe.onload = () => this.settle(url, asSize([probe.naturalWidth, probe.naturalHeight]));
    probe.onerror = () => this.settle(url, null);
    probe.src = url;
  }

  /** @private */
  settle(url, size) {
    if (url !== this.url) return;
    this.loaded = size;
    this.failed = size === null;
    this.draw();
  }

  /** @private */
  draw() {
    const { scene } = this;
    if (!scene) return;
    const size = scene.size ?? this.loaded ?? USUAL_SIZE;
    const box = viewBox(size, placesOf(scene), scene.zoomed);
    this.element.setAttribute("viewBox", box.join(" "));
    this.element.setAttribute("aria-label", scene.label);
    this.stage.style.setProperty("--shape", `${size[0]} / ${size[1]}`);
    const unit = this.unit(box);
    this.drawPicture(size, unit);
    replace(this.overlay, overlay(scene, size, unit));
  }

  /** @private */
  drawPicture([width, height], unit) {
    if (this.failed) {
      const words = this.url ? "The picture could not be loaded" : "No picture kept";
      replace(this.picture, placeholder([width, height], unit, words));
      return;
    }
    this.image.setAttribute("width", width);
    this.image.setAttribute("height", height);
    if (this.image.parentNode !== this.picture) replace(this.picture, this.image);
  }

  /** How many of the picture's pixels one pixel on the page has. @private */
  unit([, , width, height]) {
    const { clientWidth, clientHeight } = this.element;
    return clientWidth && clientHeight ? Math.max(width / clientWidth, height / clientHeight) : 1;
  }
}

function placesOf({ target, click }) {
  const corners = target.box ? [target.box.slice(0, 2), target.box.slice(2)] : [];
  return [...corners, target.point, click.point].filter((point) => point && isOnScreen(point));
}
