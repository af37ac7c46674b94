/* One run's screen and words for the sample that is shown; two of them stand side by side. */

import { h, setText } from "./dom.js";
import { isNumber } from "./format.js";
import { asBox, asPoint, asSize, centreOf } from "./geometry.js";
import { letterOf } from "./outcomes.js";
import { PaneWords } from "./pane_words.js";
import { Screen } from "./screen.js";
import { source } from "./source.js";
import { pictureLabel } from "./words.js";

/** Milliseconds for which a sample's old answer stays while its next one isn't there yet. */
const PATIENCE = 200;

export class Pane {
  /** @param {string} name of the pane for a screen reader */
  constructor(name) {
    this.head = h("div", { class: "pane-head" });
    this.stage = h("div", { class: "stage" });
    this.screen = new Screen(this.stage);
    this.words = new PaneWords();
    this.message = h("p", { class: "message", hidden: true });
    const parts = [this.head, this.message, this.stage, this.words.element];
    this.element = h("article", { class: "pane", "aria-label": name }, parts);
    this.turn = 0;
    this.asking = null;
  }

  /**
   * Show a sample: its picture as soon as the sample is there, its answer when that is.
   *
   * @param {object} view `data` (RunData), `evaluation`, `index`, `zoomed`, `trail`: whether to draw the way of clicks
   * @returns what is shown, or null where something else is to be shown by now
   */
  async show(view) {
    const turn = ++this.turn;
    const { data, evaluation, index } = view;
    const rest = this.ask(view, turn);
    rest.catch(() => {}); // told of below, once the sample is there
    try {
      const sample = await data.store(evaluation.set).load(index);
      if (turn !== this.turn) return null;
      if (sample) return await this.showAnswer(view, sample, rest);
      this.tell("There is no such sample, or it could not be read.");
    } catch (error) {
      if (turn === this.turn) this.tell(error.message);
    }
    return null;
  }

  /** Words instead of a sample. */
  tell(words) {
    this.turn++;
    this.forget();
    this.drawn = null;
    setText(this.message, words);
    this.message.hidden = false;
    this.stage.hidden = this.words.element.hidden = true;
  }

  /**
   * The answer and the trail. One is asked for at a time: of those that are passed while it is on its way, as by a key
   * that is held down, only the last is asked for. @private
   */
  ask(view, turn) {
    const { data, evaluation, index } = view;
    const before = this.asking;
    const asking = (async () => {
      await before;
      return turn === this.turn ? Promise.all([data.answer(evaluation, index), trailOf(view)]) : [];
    })();
    this.asking = asking.catch(() => {});
    return asking;
  }

  /** @private */
  async showAnswer(view, sample, rest) {
    const { turn } = this;
    const unanswered = { sample, answer: undefined, letter: null, trail: [] };
    this.wait(view, unanswered);
    try {
      const [answer, trail] = await rest;
      if (turn !== this.turn) return null;
      return this.draw(view, { sample, answer, letter: letterOf(answer), trail });
    } catch (error) {
      // The picture stays: it is there, though its answer isn't.
      return turn === this.turn ? this.draw(view, { ...unanswered, failure: error.message }) : null;
    }
  }

  /* Of the same sample what is drawn stays for a moment: a step through the evaluations doesn't blink. @private */
  wait(view, unanswered) {
    if (this.drawn !== nameOf(view)) this.draw(view, unanswered);
    else {
      const { turn } = this;
      this.next = () => turn === this.turn && this.draw(view, unanswered);
      this.waiting ??= setTimeout(() => this.lose(), PATIENCE);
    }
  }

  /** @private */
  lose() {
    this.forget();
    this.next();
  }

  /** @private */
  forget() {
    clearTimeout(this.waiting);
    this.waiting = null;
  }

  /** @private */
  draw(view, shown) {
    const place = placesOf(shown);
    const url = pictureOf(view.data, shown.sample);
    const size = asSize(shown.sample.size);
    const words = { ...shown, place, size, url };
    const label = pictureLabel(words);
    this.forget();
    this.drawn = nameOf(view);
    this.message.hidden = true;
    this.stage.hidden = this.words.element.hidden = false;
    this.element.classList.toggle("tall", Boolean(size && size[1] > size[0]));
    this.screen.show({ ...place, url, size, trail: shown.trail, zoomed: view.zoomed, label });
    this.words.show(words, this.drawn);
    return words;
  }
}

function nameOf({ data, evaluation, index }) {
  return JSON.stringify([data.key, evaluation.set, index]);
}

/** Load a sample's picture before it is asked for. */
export async function preload(data, set, index) {
  const sample = await data.store(set).load(index);
  const url = sample && pictureOf(data, sample);
  if (url) new Image().src = url;
}

function pictureOf(data, sample) {
  return sample.picture ? source.picture(data.key, sample.picture) || null : null;
}

function placesOf({ sample, answer }) {
  const box = asBox(sample.box);
  return {
    target: { box, point: asPoint(sample.point) ?? (box ? centreOf(box) : null) },
    click: { box: asBox(answer?.box), point: asPoint(answer?.point) },
    distance: isNumber(answer?.distance) ? answer.distance : null,
  };
}

/* The clicks of all evaluations; a track that can't be had is no reason to show no sample. */
async function trailOf({ data, evaluation, index, trail }) {
  if (!trail) return [];
  const track = await data.track(evaluation.set, index).catch(() => new Map());
  return data.evaluations(evaluation.set).map((one) => ({
    point: asPoint(track.get(one.key)?.point),
    name: one.baseline ? "base" : String(one.step ?? "?"),
    current: one.key === evaluation.key,
  }));
}
