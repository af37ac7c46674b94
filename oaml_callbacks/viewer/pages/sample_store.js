/* The samples of a set, block by block: only the blocks that were needed are there. */

import { source } from "./source.js";

export class SampleStore {
  /** @param data the run's RunData  @param {string} set */
  constructor(data, set) {
    this.data = data;
    this.set = set;
    this.blocks = new Map();
    /** Samples a block, once it is known. */
    this.block = null;
  }

  /** The sample, if it is there already; undefined if it isn't. */
  peek(index) {
    return this.block === null ? undefined : this.blocks.get(Math.floor(index / this.block))?.[index % this.block];
  }

  /** The sample; null where the set has none of that index. */
  async load(index) {
    const block = await this.data.blockSize(this.set, index);
    const samples = await this.loadBlock(Math.floor(index / block));
    return samples[index % block] ?? null;
  }

  /** All samples of a block; what the block holds can be had with `peek` after that, too. */
  async loadBlock(number) {
    const samples = (await source.sampleBlock(this.data.key, this.set, number)) ?? [];
    this.blocks.set(number, samples);
    return samples;
  }
}
