/* Answers that are kept: what was asked for already isn't asked for again. */

export class Kept {
  /** @param {number} most answers at most: of more, the one that wasn't used for the longest goes */
  constructor(most = Infinity) {
    this.most = most;
    this.answers = new Map();
  }

  /** The promise kept under `key`; else the one that `ask()` gives, which is kept unless it fails. */
  get(key, ask) {
    const asked = this.answers.get(key) ?? ask();
    // The latest used is the last one of the map.
    this.answers.delete(key);
    this.answers.set(key, asked);
    if (this.answers.size > this.most) this.answers.delete(this.answers.keys().next().value);
    asked.catch(() => this.answers.get(key) === asked && this.answers.delete(key));
    return asked;
  }

  clear() {
    this.answers.clear();
  }
}
