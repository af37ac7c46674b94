/* Search in the samples' texts. They come block by block: what is there already is searched, the rest follows. */

/** Blocks asked for at the same time. */
const AT_ONCE = 4;

export class TextSearch {
  /**
   * @param store the set's SampleStore  @param {object} samples the set's `{count, block}`
   * @param {function} onProgress called when more texts are there
   */
  constructor(store, samples, onProgress) {
    this.store = store;
    this.blocks = Math.ceil(samples.count / samples.block);
    this.onProgress = onProgress;
    this.texts = [];
    this.next = 0;
    this.done = 0;
    this.failed = 0;
    this.running = 0;
    this.words = [];
  }

  /** Search for all words of `query`, in any order; load what isn't there yet. */
  search(query) {
    this.words = query.toLowerCase().split(/\s+/).filter(Boolean);
    while (this.words.length && this.running < AT_ONCE && this.next < this.blocks) {
      this.running++;
      this.work();
    }
  }

  /** Whether a sample has all the words; false while its text isn't there. */
  admits(index) {
    if (!this.words.length) return true;
    const text = this.texts[index];
    return text !== undefined && this.words.every((word) => text.includes(word));
  }

  /** The share of the blocks that were searched, 0-1. */
  get progress() {
    return this.blocks ? this.done / this.blocks : 1;
  }

  /** @private */
  async work() {
    while (this.words.length && this.next < this.blocks) await this.read(this.next++);
    this.running--;
  }

  /** @private */
  async read(number) {
    try {
      const samples = await this.store.loadBlock(number);
      samples.forEach((sample, at) => {
        this.texts[number * this.store.block + at] = searchable(sample);
      });
    } catch {
      this.failed++;
    }
    this.done++;
    this.onProgress();
  }
}

function searchable(sample) {
  return [sample?.instruction, sample?.id, sample?.target].filter(Boolean).join("\n").toLowerCase();
}
