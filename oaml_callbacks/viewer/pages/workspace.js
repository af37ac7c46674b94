/* The page at work: from the state to what is shown. */

import { byId, replace, setText } from "./dom.js";
import { count, text } from "./format.js";
import { actionsOf } from "./actions.js";
import { Beside } from "./beside.js";
import { EvaluationStrip } from "./evaluation_strip.js";
import { FilterBar } from "./filter_bar.js";
import { listenForKeys } from "./keyboard.js";
import { Lists } from "./lists.js";
import { MissesPicture } from "./misses.js";
import { Pane, preload } from "./pane.js";
import { PaneHead } from "./pane_head.js";
import { SampleList } from "./sample_list.js";
import { source } from "./source.js";
import { Tools } from "./tools.js";
import { verdictSentence } from "./words.js";

export class Workspace {
  /** @param view the page's state  @param data the run's RunData */
  constructor(view, data) {
    Object.assign(this, { view, data, evaluation: null, turn: 0, moves: false });
    const open = (sample) => this.open(sample);
    const actions = actionsOf(this);
    this.lists = new Lists(() => this.refilter());
    this.pane = new Pane("This run");
    this.head = new PaneHead(this.pane.head, "A", (key) => view.change({ eval: key }));
    this.beside = new Beside((key) => view.change({ with_eval: key }));
    this.tools = new Tools(byId("tools"), actions);
    this.strip = new EvaluationStrip(this.tools.strip, (key) => view.change({ eval: key }));
    this.list = new SampleList(byId("list"), open);
    this.filterBar = new FilterBar(byId("filters"), (patch, how) => this.changeFilter(patch, how));
    this.misses = new MissesPicture(byId("misses"), open);
    replace(byId("panes"), this.pane.element, this.beside.element);
    listenForKeys(actions, () => this.list.hasFocus);
  }

  /** Change what is listed. Where the sample that is shown isn't listed any more, the next one is shown that is. */
  changeFilter(patch, how) {
    // While somebody types, the picture stays.
    this.moves = !("q" in patch);
    this.view.change(patch, how);
  }

  /** Show a sample; on a small page the list is below the picture, which is to be seen then. */
  open(sample) {
    this.view.change({ sample, misses: false });
    byId("tools").scrollIntoView({ block: "nearest" });
  }

  /** Show what the state says. */
  async show() {
    const turn = ++this.turn;
    const { data, view } = this;
    this.evaluation = data.evaluation(view.state.eval);
    view.settle({ eval: this.evaluation.key, sample: view.state.sample ?? firstSample(view.state) });
    this.beside.choose(view.state.with);
    this.showFrame();
    if (view.state.sample !== null) this.showSample();
    try {
      const { evaluation } = this;
      const take = await this.lists.load({ data, evaluation, state: view.state, other: this.letters() });
      if (turn === this.turn) this.take(take);
    } catch (error) {
      if (turn === this.turn) this.pane.tell(error.message);
    }
  }

  /** The other run's letters. @private */
  letters() {
    return this.beside.letters(this.data, this.evaluation, this.view.state.with_eval);
  }

  /** Which parts of the page are there. @private */
  showFrame() {
    const { state } = this.view;
    byId("workspace").hidden = false;
    byId("panes").hidden = state.misses;
    byId("misses").hidden = !state.misses;
    byId("panes").classList.toggle("two", Boolean(state.with));
    this.tools.showToggles(state);
    this.head.show(this.data, this.evaluation);
  }

  /** @private */
  async showSample() {
    const { data, evaluation, view } = this;
    const { sample, zoom, trail, with_eval } = view.state;
    const shown = { data, evaluation, index: sample, zoomed: zoom, trail };
    this.showStrip();
    this.beside.show(shown, with_eval);
    const words = await this.pane.show(shown);
    if (words) this.announce(words);
  }

  /** @private */
  async showStrip() {
    const { data, evaluation, view } = this;
    const { sample } = view.state;
    // A static copy may have no tracks; there is no strip then.
    const track = await data.track(evaluation.set, sample).catch(() => new Map());
    if (view.state.sample !== sample || this.evaluation !== evaluation) return;
    this.strip.show(data.evaluations(evaluation.set), evaluation.key, track);
  }

  /** Tell a screen reader what is shown. @private */
  announce({ sample, letter, place }) {
    const position = this.lists.indices.indexOf(this.view.state.sample);
    const name = position < 0 ? "Sample" : `Sample ${count(position + 1)} of ${count(this.lists.indices.length)}`;
    setText(byId("live"), `${name}: ${text(sample.instruction)} ${verdictSentence(letter, place)}.`);
  }

  /** The lists are there: show them, and the sample that is to be shown of them. @private */
  take(take) {
    take();
    const wanted = this.wantedSample();
    if (wanted !== this.view.state.sample) {
      this.view.settle({ sample: wanted });
      this.showSample();
    }
    this.showLists();
    this.preloadNeighbours();
  }

  /** @private */
  wantedSample() {
    const { sample } = this.view.state;
    const { indices } = this.lists;
    const stays = sample !== null && (!this.moves || indices.includes(sample) || !indices.length);
    this.moves = false;
    return stays ? sample : (indices.find((index) => index > sample) ?? indices[0] ?? 0);
  }

  /** The search has got further. @private */
  refilter() {
    this.lists.filter(this.view.state);
    this.showLists();
  }

  /** @private */
  showLists() {
    const { data, evaluation, lists, view } = this;
    const { state } = view;
    const thumbnail = (sample) => (sample?.picture ? source.thumbnail(data.key, sample.picture) || null : null);
    const emptyWords = state.q && lists.searching.progress < 1 ? "Searching…" : "No sample is like that.";
    const { counts, indices, now, reference, samples, searching, store } = lists;
    this.tools.showPosition(indices.indexOf(state.sample), indices.length);
    const references = data.evaluations(evaluation.set).filter((one) => one.key !== evaluation.key);
    this.filterBar.show({ state, counts, letters: lists, groups: samples.groups, searching, references, reference });
    // After the filters, which may leave it less room.
    this.list.show({ indices, store, verdicts: now, current: state.sample, thumbnail, emptyWords });
    if (state.misses) this.misses.show(indices, now);
  }

  /** So that the next step shows its picture at once. @private */
  preloadNeighbours() {
    const { indices } = this.lists;
    const position = indices.indexOf(this.view.state.sample);
    for (const index of [indices[position + 1], indices[position - 1]]) {
      if (position >= 0 && index !== undefined) preload(this.data, this.evaluation.set, index).catch(() => {});
    }
  }
}

/* The first sample of all can be shown before the list is there; the first one of a filtered list can't. */
function firstSample({ show, q, sort, group }) {
  return show || q || sort || group.length ? null : 0;
}
