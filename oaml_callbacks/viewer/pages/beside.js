/* The other run's pane. It is there while the state names another run. */

import { Comparison } from "./compare.js";
import { Pane } from "./pane.js";
import { PaneHead } from "./pane_head.js";

export class Beside {
  /**
   * @param {function} onChoose called with the key of an evaluation of the other run
   * @param {function} onUnknown called when it has none of the key that is asked for
   * @param {function} onChange called when its evaluations are others than before
   */
  constructor({ onChoose, onUnknown, onChange }) {
    Object.assign(this, { onUnknown, onChange });
    this.pane = new Pane("The other run");
    this.head = new PaneHead(this.pane.head, "B", onChoose);
    this.element = this.pane.element;
    this.comparison = null;
    this.turn = 0;
  }

  /** Compare with that run; "" for none. */
  choose(key) {
    this.element.hidden = !key;
    if ((this.comparison?.data.key ?? "") === key) return;
    this.comparison?.close();
    this.comparison = key ? new Comparison(key, this.onChange) : null;
  }

  /** The other run's letters in the order of this one's samples; null where no run is beside. */
  async letters(mine, evaluation, key) {
    const { comparison } = this;
    const theirs = comparison && (await this.evaluation(evaluation, key));
    return theirs ? comparison.letters(mine, evaluation.set, theirs) : null;
  }

  /** Show the same sample as in `view`, which is the other pane's, of the evaluation `key`. */
  async show(view, key) {
    const { comparison } = this;
    if (!comparison) return;
    const turn = ++this.turn;
    try {
      const evaluation = await this.evaluation(view.evaluation, key);
      if (!evaluation) throw new Error("That run has no evaluations yet.");
      const index = await comparison.indexOf(view.data, view.evaluation.set, evaluation.set, view.index);
      if (turn !== this.turn) return;
      this.head.show(comparison.data, evaluation);
      if (index === null) this.pane.tell("That run's evaluation doesn't have this sample.");
      else await this.pane.show({ ...view, data: comparison.data, evaluation, index });
    } catch (error) {
      if (turn === this.turn) this.pane.tell(error.message);
    }
  }

  /** @private */
  async evaluation(mine, key) {
    const { comparison } = this;
    await comparison.open();
    const found = comparison.evaluation(key, mine.set);
    if (key && found?.key !== key && comparison === this.comparison) this.onUnknown(key);
    return found;
  }
}
