/* What the page holds of one run: asked for when it is first needed, and kept. */

import { source } from "./source.js";
import { SampleStore } from "./sample_store.js";

const TRACK_BLOCK = 20;

export class RunData {
  /** @param {string} key the run's */
  constructor(key) {
    this.key = key;
    this.run = null;
    this.kept = new Map();
    this.stores = new Map();
  }

  /** Take the run as the server now says it is. Returns whether there are other evaluations than before. */
  update(run) {
    const before = this.evaluations().map((evaluation) => evaluation.key).join("\n");
    this.run = run ?? {};
    const changed = before !== this.evaluations().map((evaluation) => evaluation.key).join("\n");
    if (changed) this.forget("track", "samples");
    return changed;
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

  /** `{count, block, groups, digest}` of a set. */
  samples(set) {
    return this.once("samples", set, async () => {
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
    const { key } = evaluation;
    return this.once("verdicts", key, async () => wholeVerdicts(await source.verdicts(this.key, key)));
  }

  /** The answer to a sample, or null where it isn't in the evaluation. */
  async answer(evaluation, index) {
    const block = await this.blockSize(evaluation.set, index);
    const answers = await source.answers(this.key, evaluation.key, Math.floor(index / block));
    return answers?.[index % block] ?? null;
  }

  /** How a sample's clicks went: evaluation's key → `{letter, point}`. */
  async track(set, index) {
    const block = Math.floor(index / TRACK_BLOCK);
    const track = await this.once("track", `${set}/${block}`, () => source.track(this.key, set, block));
    const row = index - (track?.first ?? block * TRACK_BLOCK);
    const keys = track?.evaluations ?? [];
    return new Map(
      keys.map((key, at) => [key, { letter: track.outcome?.[row]?.[at], point: track.point?.[row]?.[at] ?? null }]),
    );
  }

  /** Samples a block. The first sample is in the first block whatever the size, and needn't wait for it. */
  async blockSize(set, index) {
    return index === 0 ? 1 : (await this.samples(set)).block;
  }

  /** @private */
  once(kind, name, ask) {
    const key = `${kind}/${name}`;
    if (!this.kept.has(key)) {
      const asked = ask();
      this.kept.set(key, asked);
      asked.catch(() => this.kept.delete(key));
    }
    return this.kept.get(key);
  }

  /** @private */
  forget(...kinds) {
    for (const key of this.kept.keys()) if (kinds.includes(key.split("/")[0])) this.kept.delete(key);
  }
}

function wholeSamples(samples) {
  const count = samples?.count ?? 0;
  return { count, block: samples?.block || 200, groups: samples?.groups ?? {}, digest: samples?.digest ?? null };
}

function wholeVerdicts(verdicts) {
  const { outcome, distance, dx, dy } = verdicts ?? {};
  return { outcome: outcome ?? "", distance: distance ?? [], dx: dx ?? [], dy: dy ?? [] };
}
