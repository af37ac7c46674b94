/* What the list of samples is made of: the verdicts of the evaluation, and of those that it is compared with. */

import { filterSamples, groupTest } from "./filters.js";
import { TextSearch } from "./text_search.js";

export class Lists {
  /** @param {function} onProgress called when a search has got further */
  constructor(onProgress) {
    this.onProgress = onProgress;
    this.indices = [];
    this.counts = {};
    /** The evaluation whose lists these are. */
    this.evaluation = null;
    this.since = this.other = this.reference = this.searching = null;
  }

  /**
   * Load what the lists need.
   *
   * @param {object} asked `data`, `evaluation`, `state`, and `other`: promise of the other run's letters, or of null
   * @returns a function that takes what was loaded; nothing has changed until then
   */
  async load({ data, evaluation, state, other }) {
    const reference = data.reference(evaluation, state.since);
    const [samples, now, since, theirs] = await Promise.all([
      data.samples(evaluation.set),
      data.verdicts(evaluation),
      // Without the other letters there are fewer filters; the samples can be shown all the same.
      reference ? data.verdicts(reference).then((verdicts) => verdicts.outcome, () => null) : null,
      other.catch(() => null),
    ]);
    return () => {
      if (samples !== this.samples) this.searching = null;
      Object.assign(this, { samples, now, since, other: theirs, reference, store: data.store(evaluation.set) });
      this.filter(state);
    };
  }

  /** Work out what is listed; the same arrays stay where nothing has changed. */
  filter(state) {
    if (!this.samples) return;
    if (state.q) this.search(state.q);
    const { now, other, samples, since } = this;
    const { show, sort } = state;
    const progress = state.q ? this.searching.progress : 1;
    const inputs = [samples, now, since, other, show, sort, state.q, progress, state.group.join("\n")];
    if (this.inputs && inputs.every((input, at) => input === this.inputs[at])) return;
    this.inputs = inputs;
    const isInGroup = groupTest(samples.groups, state.group);
    const admits = state.q ? (index) => isInGroup(index) && this.searching.admits(index) : isInGroup;
    Object.assign(this, filterSamples({ count: samples.count, now, since, other, show, sort, admits }));
  }

  /** Whether all samples have been searched. */
  isWhole({ q }) {
    return !q || this.searching.progress === 1;
  }

  /** @private */
  search(query) {
    this.searching ??= new TextSearch(this.store, this.samples, this.onProgress);
    this.searching.search(query);
  }
}
