/* What the page holds of one run: asked for when it is first needed, and kept. */

import { Kept } from "./kept.js";
import { SampleStore } from "./sample_store.js";
import { source } from "./source.js";

/** Seconds between two looks at a run that goes on, and at one that has ended: it may be resumed. */
const LOOK = 2;
const LOOK_AT_ENDED = 10;
/** Evaluations whose verdicts are kept: those of 10,000 samples take a quarter of a megabyte. */
const MOST_VERDICTS = 40;

export class RunData {
  /** @param {string} key the run's */
  constructor(key) {
    this.key = key;
    this.run = null;
    this.setsKept = new Kept();
    this.tracksKept = new Kept();
    this.verdictsKept = new Kept(MOST_VERDICTS);
    this.stores = new Map();
  }

  /** Take the run as the server now says it is. Returns whether its evaluations are others than before. */
  update(run) {
    const before = this.evaluations().map(nameAndVersion).join("\n");
    this.run = run ?? {};
    const changed = before !== this.evaluations().map(nameAndVersion).join("\n");
    if (changed) for (const kept of [this.setsKept, this.tracksKept]) kept.clear();
    return changed;
  }

  /** Seconds after which it is worth to look at the run again. */
  get pause() {
    return this.run?.state === "ended" ? LOOK_AT_ENDED : LOOK;
  }

  /** The evaluations, those of one set where one is named; in order of steps. */
  evaluations(set = null) {
    const all = Array.isArray(this.run?.evaluations) ? this.run.evaluations : [];
    return all.filter((evaluation) => evaluation?.key && (set === null || evaluation.set === set));
  }

  /** Names of the sets that have evaluations, in the run's order. */
  sets() {
    const evaluated = new Set(this.evaluations().map((evaluation) => evaluation.set));
    const named = (Array.isArray(this.run?.sets) ? this.run.sets : []).map((set) => set?.name);
    return [...new Set([...named.filter((name) => evaluated.has(name)), ...evaluated])];
  }

  /** The evaluation of that key; else the newest of `set`, or of the first set; null where there is none. */
  evaluation(key, set = null) {
    const found = this.evaluations().find((evaluation) => evaluation.key === key);
    return found ?? this.evaluations(set ?? this.sets()[0] ?? null).at(-1) ?? null;
  }

  /** What an evaluation is compared with: the one of that key in its set, else the one before it; or null. */
  reference(evaluation, key) {
    const all = this.evaluations(evaluation.set);
    const chosen = all.find((one) => one.key === key && one.key !== evaluation.key);
    return chosen ?? all[all.findIndex((one) => one.key === evaluation.key) - 1] ?? null;
  }

  /** `{count, block, trackBlock, groups, digest}` of a set. */
  samples(set) {
    return this.setsKept.get(set, async () => {
      const samples = wholeSamples(await source.samples(this.key, set));
      this.store(set).block = samples.block;
      return samples;
    });
  }

  /** The samples themselves. */
  store(set) {
    if (!this.stores.has(set)) this.stores.set(set, new SampleStore(this, set));
    return this.stores.get(set);
  }

  /** `{outcome, distance, dx, dy}` of an evaluation, all of them there. */
  verdicts(evaluation) {
    const ask = async () => wholeVerdicts(await source.verdicts(this.key, evaluation.key));
    return this.verdictsKept.get(nameAndVersion(evaluation), ask);
  }

  /** The answer to a sample, or null where it isn't in the evaluation. */
  async answer(evaluation, index) {
    const block = await this.blockSize(evaluation.set, index);
    const number = Math.floor(index / block);
    const answers = await source.answers(this.key, evaluation.key, number, nameAndVersion(evaluation));
    return answers?.[index % block] ?? null;
  }

  /** How a sample's clicks went: evaluation's key → `{letter, point}`. */
  async track(set, index) {
    const { trackBlock } = await this.samples(set);
    const block = Math.floor(index / trackBlock);
    const track = await this.tracksKept.get(`${set}/${block}`, () => source.track(this.key, set, block));
    const row = index - (track?.first ?? block * trackBlock);
    const keys = track?.evaluations ?? [];
    return new Map(
      keys.map((key, at) => [key, { letter: track.outcome?.[row]?.[at], point: track.point?.[row]?.[at] ?? null }]),
    );
  }

  /** Samples a block. The first sample is in the first block whatever the size, and needn't wait for it. */
  async blockSize(set, index) {
    return index === 0 ? 1 : (await this.samples(set)).block;
  }
}

/* A run that was resumed before an evaluation writes it again, under the same name. */
function nameAndVersion({ key, at, correct }) {
  return JSON.stringify([key, at, correct]);
}

function wholeSamples(samples) {
  return {
    count: samples?.count ?? 0,
    block: samples?.block || 200,
    trackBlock: samples?.track_block || 20,
    groups: samples?.groups ?? {},
    digest: samples?.digest ?? null,
  };
}

function wholeVerdicts(verdicts) {
  const { outcome, distance, dx, dy } = verdicts ?? {};
  return { outcome: outcome ?? "", distance: distance ?? [], dx: dx ?? [], dy: dy ?? [] };
}
