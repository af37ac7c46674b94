/* What is told above the samples. Its elements stay, so that focus and what is opened outlive an update. */

import { h, problemList, replace, setText } from "./dom.js";
import { whenChanged } from "./update.js";

export class Notices {
  /** @param {HTMLElement} element to fill  @param {function} onOffer called when what is offered is wanted */
  constructor(element, onOffer) {
    this.failure = h("p", { class: "message error", hidden: true });
    this.words = h("p", { class: "message", hidden: true });
    this.missing = h("p", { class: "message problem", hidden: true });
    this.offerWords = h("span", {});
    this.offer = h("p", { class: "message offer no-print", hidden: true }, this.offerWords, " ");
    this.offer.append(h("button", { onclick: onOffer }, "Show"));
    this.note = h("p", { class: "message muted", hidden: true });
    const live = h("div", { "aria-live": "polite" }, this.failure, this.words, this.missing, this.offer);
    const problems = h("div", {});
    this.showProblems = whenChanged((list) => replace(problems, problemList(list)));
    replace(element, live, this.note, problems);
  }

  /** Show texts; "" for one that isn't to be seen. `note` and `problems` are the run's. */
  show({ failure = "", missing = "", offer = "", note = "", problems = [] }) {
    tell(this.failure, this.failure, failure);
    tell(this.missing, this.missing, missing);
    tell(this.offer, this.offerWords, offer);
    tell(this.note, this.note, note);
    this.showProblems(problems);
  }

  /** Words in the place of the samples, and a link or null; "" for none. */
  tell(words, link = null) {
    if (this.words.dataset.words === words) return;
    this.words.dataset.words = words;
    this.words.hidden = !words;
    replace(this.words, words, " ", link);
  }
}

function tell(element, place, words) {
  element.hidden = !words;
  setText(place, words);
}
