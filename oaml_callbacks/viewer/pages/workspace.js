/* The page at work: from the state to what is shown. */

import { byId, replace, setText } from "./dom.js";
import { capital, count, evaluationName, text } from "./format.js";
import { actionsOf } from "./actions.js";
import { Beside } from "./beside.js";
import { leaveSelects } from "./controls.js";
import { EvaluationStrip } from "./evaluation_strip.js";
import { FilterBar } from "./filter_bar.js";
import { filterNamed, groupWords } from "./filters.js";
import { listenForKeys } from "./keyboard.js";
import { Lists } from "./lists.js";
import { MissesPicture } from "./misses.js";
import { Pane, preload } from "./pane.js";
import { PaneHead } from "./pane_head.js";
import { SampleList } from "./sample_list.js";
import { source } from "./source.js";
import { Tools } from "./tools.js";
import { verdictSentence } from "./words.js";

const NO_HITS = "No sample is like that.";
const NO_SAMPLES = "This evaluation has no samples.";
/** Steps that follow each other within these milliseconds are those of a key that is held down… */
const HELD = 150;
/** …of whose evaluations only the one whose lists are wanted for so long is asked for. */
const SETTLED = 100;
/** Milliseconds after which words for a screen reader go that are of an answer that isn't shown any more. */
const PATIENCE = 200;

export class Workspace {
  /** @param view the page's state  @param data the run's RunData */
  constructor(view, data) {
    Object.assign(this, { view, data, evaluation: null, turn: 0, moves: false, goesToFirst: false });
    this.stepped = -Infinity;
    const open = (sample) => this.open(sample);
    const actions = actionsOf(this);
    this.lists = new Lists(() => this.refilter());
    this.pane = new Pane("This run");
    this.head = new PaneHead(this.pane.head, "A", (key) => view.change({ eval: key }));
    this.beside = new Beside({
      onChoose: (key) => view.change({ with_eval: key }),
      onUnknown: (key) => view.state.with_eval === key && view.settle({ with_eval: "" }),
      onChange: () => this.show(),
    });
    this.tools = new Tools(byId("tools"), actions);
    this.strip = new EvaluationStrip(this.tools.strip, (key) => view.change({ eval: key }));
    this.list = new SampleList(byId("list"), open);
    this.filterBar = new FilterBar(byId("filters"), {
      change: (patch, how) => this.changeFilter(patch, how),
      goToFirst: (q) => this.goToFirst(q),
    });
    this.misses = new MissesPicture(byId("misses"), open);
    replace(byId("panes"), this.pane.element, this.beside.element);
    listenForKeys(actions, () => this.list.hasFocus);
    leaveSelects(() => this.list.focus());
  }

  /** Change what is listed. Where the sample that is shown isn't listed any more, the next one is shown that is. */
  changeFilter(patch, how) {
    // While somebody types, the picture stays.
    this.moves = !("q" in patch);
    this.view.change(patch, how);
  }

  /** Search for a text, and show the first sample that has it. */
  goToFirst(q) {
    this.goesToFirst = true;
    this.changeFilter({ q }, { step: true });
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
    const { key, set } = this.evaluation;
    const since = data.evaluations(set).some((one) => one.key === view.state.since) ? view.state.since : "";
    view.settle({ eval: key, sample: view.state.sample ?? firstSample(view.state), since });
    this.beside.choose(view.state.with);
    this.showFrame();
    const shown = view.state.sample === null ? null : this.showSample();
    try {
      // The answer that is looked at comes first.
      if (this.isPassing()) await Promise.all([shown, new Promise((resolve) => setTimeout(resolve, SETTLED))]);
      await this.loading;
      if (turn !== this.turn) return;
      const take = await this.load();
      if (turn === this.turn) this.take(take);
    } catch (error) {
      if (turn === this.turn) this.pane.tell(error.message);
    }
  }

  /** Load the lists. One evaluation's are asked for at a time: those that are passed meanwhile aren't. @private */
  load() {
    const { data, evaluation, view } = this;
    const asked = this.lists.load({ data, evaluation, state: view.state, other: this.letters() });
    this.loading = asked.catch(() => {});
    return asked;
  }

  /** Whether the evaluation is one of several that are stepped through, as by a key that is held down. @private */
  isPassing() {
    if (this.lists.evaluation === this.evaluation || !this.lists.evaluation) return false;
    const before = this.stepped;
    this.stepped = performance.now();
    return this.stepped - before < HELD;
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
    const waiting = setTimeout(() => setText(byId("live"), ""), PATIENCE);
    const words = await this.pane.show(shown);
    clearTimeout(waiting);
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

  /** Tell a screen reader what is shown; of a step through the evaluations, what is another. @private */
  announce({ sample, failure, letter, place }) {
    const { sample: index } = this.view.state;
    const { evaluation, announced: before, lists } = this;
    const isStep = before?.index === index && (before.isStep || before.key !== evaluation.key);
    this.announced = { index, key: evaluation.key, isStep };
    const position = lists.indices.indexOf(index);
    const name = position < 0 ? "Sample" : `Sample ${count(position + 1)} of ${count(lists.indices.length)}`;
    const what = isStep ? capital(evaluationName(evaluation)) : `${name}: ${text(sample.instruction)}`;
    const verdict = failure ? "Answer not available" : verdictSentence(letter, place);
    setText(byId("live"), `${what}${isStep ? ":" : ""} ${verdict}.`);
  }

  /** The lists are there: show them, and the sample that is to be shown of them. @private */
  take(take) {
    take();
    this.lists.evaluation = this.evaluation;
    if (!this.lists.samples.count) this.pane.tell(NO_SAMPLES);
    else this.moveTo(this.wantedSample());
    this.moves = false;
    this.refresh();
    this.preloadNeighbours();
  }

  /** @private */
  moveTo(sample) {
    if (sample === this.view.state.sample) return;
    this.view.settle({ sample });
    this.showSample();
  }

  /** @private */
  wantedSample() {
    const { sample } = this.view.state;
    const { indices } = this.lists;
    const stays = sample !== null && (!this.moves || indices.includes(sample) || !indices.length);
    return stays ? sample : (indices.find((index) => index > (sample ?? -1)) ?? indices[0] ?? 0);
  }

  /** The search has got further. @private */
  refilter() {
    this.lists.filter(this.view.state);
    this.refresh();
  }

  /** The list is another; who is looking for its first sample may find it now. @private */
  refresh() {
    const isFound = this.goesToFirst && this.lists.indices.length > 0;
    if (isFound) this.moveTo(this.lists.indices[0]);
    this.showLists();
    if (isFound) this.list.focus();
    if (isFound || this.lists.isWhole(this.view.state)) this.goesToFirst = false;
  }

  /** @private */
  showLists() {
    const { data, evaluation, lists, view } = this;
    const { state } = view;
    const thumbnail = (sample) => (sample?.picture ? source.thumbnail(data.key, sample.picture) || null : null);
    const emptyWords = lists.isWhole(state) ? (lists.samples.count ? NO_HITS : NO_SAMPLES) : "Searching…";
    const { counts, indices, now, reference, samples, searching, store } = lists;
    this.tools.showPosition(indices.indexOf(state.sample), indices.length);
    const references = data.evaluations(evaluation.set).filter((one) => one.key !== evaluation.key);
    const amount = indices.length === 1 ? "1 sample" : `${count(indices.length)} samples`;
    const listed = !lists.isWhole(state) ? "" : indices.length ? amount : emptyWords;
    const given = { references, reference, listed };
    byId("filters").hidden = false;
    this.filterBar.show({ state, counts, letters: lists, groups: samples.groups, searching, ...given });
    // After the filters, which may leave it less room.
    this.list.show({ indices, store, verdicts: now, current: state.sample, thumbnail, emptyWords });
    if (state.misses) this.misses.show(indices, now, this.listTitle());
  }

  /** What is listed, in words: the evaluation, and what its samples are filtered by. @private */
  listTitle() {
    const { data, evaluation, lists, view } = this;
    const { q, group, show, with: other } = view.state;
    const filter = filterNamed(show, lists);
    return [
      other ? `A, ${text(data.run.name ?? data.key)}` : null,
      evaluationName(evaluation, data.sets().length),
      filter.name === "all" ? null : filter.label.toLowerCase(),
      ...group.map((one) => groupWords(one)),
      q ? `“${q}”` : null,
    ].filter(Boolean);
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
