/* A second run beside the first: which of its samples is which of the first one's. */

import { RunData } from "./run_data.js";
import { source } from "./source.js";

export class Comparison {
  /** @param {string} key the other run's  @param {function} onChange called when its evaluations are others */
  constructor(key, onChange) {
    this.data = new RunData(key);
    this.maps = new Map();
    this.onChange = onChange;
  }

  /** Have the run; from then on it is looked at until `close`. */
  open() {
    this.opened ??= new Promise((resolve, reject) => {
      const look = (run, error) => (error && !this.data.run ? this.fail(error, reject) : resolve(this.take(run)));
      this.stop = source.poll(() => source.run(this.data.key), look, () => this.data.pause);
    });
    return this.opened;
  }

  close() {
    this.stop?.();
  }

  /* The next one who needs the run tries again. @private */
  fail(error, reject) {
    this.close();
    this.opened = null;
    reject(error);
  }

  /* What can't be had any more stays as it was: the page tells of its own run that the server is gone. @private */
  take(run) {
    const isFirst = !this.data.run;
    if (!run || !this.data.update(run) || isFirst) return;
    this.maps.clear();
    this.onChange();
  }

  /** The evaluation to show: the one that is asked for, else the newest of the set of that name, else of any. */
  evaluation(key, set) {
    const theirs = this.data.sets().includes(set) ? set : null;
    const found = this.data.evaluations(theirs).find((evaluation) => evaluation.key === key);
    return found ?? this.data.evaluation("", theirs);
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
