/* A second run beside the first: which of its samples is which of the first one's. */

import { RunData } from "./run_data.js";
import { source } from "./source.js";

export class Comparison {
  /** @param {string} key the other run's */
  constructor(key) {
    this.data = new RunData(key);
    this.maps = new Map();
  }

  /** Load the run, once. */
  async open() {
    if (!this.data.run) this.data.update(await source.run(this.data.key));
  }

  /** The evaluation to show: the one that is asked for, else the newest of the set of that name, else of any. */
  evaluation(key, set) {
    return this.data.evaluation(key, this.data.sets().includes(set) ? set : null);
  }

  /** The index of a sample of the first run in the other one, or null where it isn't there. */
  async indexOf(mine, set, theirSet, index) {
    const map = await this.map(mine, set, theirSet);
    return map ? (map[index] ?? null) : index;
  }

  /** The other run's letters, in the order of the first one's samples. */
  async letters(mine, set, evaluation) {
    const [map, verdicts] = await Promise.all([this.map(mine, set, evaluation.set), this.data.verdicts(evaluation)]);
    if (!map) return verdicts.outcome;
    return map.map((index) => (index === null ? "-" : (verdicts.outcome[index] ?? "-"))).join("");
  }

  /** Per sample of the first run its index in the other; null where both have the same samples. @private */
  map(mine, set, theirSet) {
    const name = `${set}\n${theirSet}`;
    if (!this.maps.has(name)) {
      const asked = this.makeMap(mine, set, theirSet);
      this.maps.set(name, asked);
      asked.catch(() => this.maps.delete(name));
    }
    return this.maps.get(name);
  }

  /** @private */
  async makeMap(mine, set, theirSet) {
    const [own, theirs] = await Promise.all([mine.samples(set), this.data.samples(theirSet)]);
    if (own.digest && own.digest === theirs.digest) return null;
    const [ids, theirIds] = await Promise.all([source.ids(mine.key, set), source.ids(this.data.key, theirSet)]);
    const places = new Map(theirIds.map((id, index) => [id, index]));
    return ids.map((id) => places.get(id) ?? null);
  }
}

/** The other runs that a run can be compared with; none where the list can't be had. */
export async function otherRuns(key) {
  const answer = await source.runs().catch(() => null);
  return (answer?.runs ?? []).filter((run) => run?.key && run.key !== key);
}
