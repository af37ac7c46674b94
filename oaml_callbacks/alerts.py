"""[`Alerts`]: what somebody who isn't looking at the training should be told, each cause once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any, Literal

from . import keys
from .clean_text import one_line
from .values import as_number

Level = Literal["INFO", "WARN", "ERROR"]

MAX_TITLE = 63
"""Characters of an alert's title; W&B asks for less than 64."""

MAX_TOLD = 50
"""Causes that are told; of a training with more, such as one with hundreds of evaluation sets, the first."""

MAX_SHOWN_SETS = 5
"""Evaluation sets whose best figures the end's alert has."""

_TRAIN_LOSS, _GRAD_NORM = "train/loss", "train/grad_norm"
_LEVELS: dict[str, Level] = {"finished": "INFO", "interrupted": "INFO", "preempted": "WARN"}
# To Slack, which W&B passes alerts on to, `<!channel>` is a call to everybody and `<https://…|text>` a link.
_NO_MARKUP = str.maketrans("<>", "‹›")


class Alerts:
    """Looks at each row of the history, and tells once per cause what is going wrong.

    | cause | level | told when |
    | --- | --- | --- |
    | `loss` | ERROR | a training or evaluation loss is NaN or infinite; or `train/loss` is exactly 0 beside a \
`train/grad_norm` that is NaN or infinite, which is what the Trainer writes for such losses by default \
(`logging_nan_inf_filter`) |
    | `accuracy/<set>` | WARN | the upper end of the accuracy's 95 % Wilson interval is below the base model's \
accuracy on the same samples: chance alone seldom does that |
    | `parsed/<set>` | WARN | the share of readable answers is below half of the highest so far (the base model's is \
one of them), and the upper end of its 95 % Wilson interval is below that highest |
    | the end | INFO, WARN preempted, ERROR failed | [`ended`] is called |

    An accuracy without a known number of samples (`eval/grounding_accuracy_high` or `eval/grounding_samples`) says
    nothing about chance, and is told of never. `<set>` is the evaluation set's prefix: empty, or `web_` of one that is
    named `web`.

    Args:
        send: Gets title (63 characters at most), text and level. Not called twice for a cause, even if it raises.
        told: Causes that were told before, as [`told`] had them when the checkpoint was saved.
        seen: What evaluations are compared with, as [`seen`] had it then.
    """

    def __init__(
        self,
        send: Callable[[str, str, Level], None],
        *,
        told: Iterable[str] = (),
        seen: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        self._send = send
        self._told = dict.fromkeys(told)  # in the order in which they were told
        self._accuracy: dict[str, float] = {}
        self._parsed: dict[str, float] = {}
        self._loss: float | None = None
        self._loss_step = 0
        self._end: tuple[str, int] | None = None
        if seen is not None:
            self.baselines(seen.get("accuracy", {}), seen.get("parsed", {}))

    @property
    def told(self) -> list[str]:
        """Causes that were told, for the checkpoint. The end isn't one: a resumed training has its own."""
        return list(self._told)

    @property
    def seen(self) -> dict[str, dict[str, float]]:
        """What evaluations are compared with, by set, for the checkpoint: a resumed training measures no base model.

        `accuracy` are the base model's accuracies, `parsed` the highest shares of readable answers.
        """
        return {"accuracy": dict(self._accuracy), "parsed": dict(self._parsed)}

    def baselines(self, accuracy: Mapping[str, float], parsed: Mapping[str, float]) -> None:
        """Take what the base model reached.

        Args:
            accuracy: Its accuracy, 0-1, by the set's prefix as [`split_evaluation_key`] has it: `""`, `"web_"`.
            parsed: Its share of readable answers, 0-1, likewise.
        """
        for prefix, share in accuracy.items():
            if math.isfinite(share):
                self._accuracy[prefix] = float(share)
        for prefix, share in parsed.items():
            self._saw_parsed(prefix, share)

    def row(self, row: Mapping[str, Any], step: int) -> None:
        """Look at one row of the history.

        Args:
            row: Values by W&B's keys, such as `train/loss` and `eval/web_grounding_accuracy`.
            step: Optimizer steps done.
        """
        loss = row.get(_TRAIN_LOSS)
        if loss is not None:
            if type(loss) is not float:
                loss = _number(loss)
            if loss and math.isfinite(loss):
                self._loss, self._loss_step = loss, step
            elif loss is not None:
                self._odd_loss(loss, row, step)
        for key in row:
            if key.startswith("eval/"):
                self._evaluation(row, step)
                break

    def ended(self, outcome: str, *, step: int, best: Mapping[str, Any]) -> None:
        """Tell that the training has ended, and how. A second call for the same end does nothing.

        Args:
            outcome: `finished`, `interrupted`, `preempted` or `failed: <exception>`, as the summary has it.
            step: Optimizer steps done.
            best: The summary; `best/grounding_accuracy`, `best/grounding_distance`, `best/global_step` are taken from
                it, also those of named sets (`best/web_grounding_accuracy`). Others are let be.
        """
        if (outcome, step) == self._end:
            return
        self._end = (outcome, step)
        how = _plain(outcome, 40)
        lines = [f"The training has {_ENDS.get(outcome, how)} after {step} steps.", *self._best(best)]
        if outcome not in _LEVELS:
            lines.append(
                "The run's log has the exception. Resumed from its last checkpoint, the training goes on with this run."
            )
        elif outcome != "finished":
            lines.append("Resumed from its last checkpoint, it goes on with this run.")
        self._send(f"Training {how}"[:MAX_TITLE], "\n".join(lines), _LEVELS.get(outcome, "ERROR"))

    # Inside ------------------------------------------------------------------------------------------------------

    def _tell(self, cause: str, title: str, text: str, level: Level) -> None:
        if cause not in self._told and len(self._told) < MAX_TOLD:
            self._told[cause] = None  # first, so that what can't be sent isn't tried at each row
            self._send(title[:MAX_TITLE], text, level)

    def _odd_loss(self, loss: float, row: Mapping[str, Any], step: int) -> None:
        """A training loss that is 0, NaN or infinite."""
        if loss == 0:
            norm = _number(row.get(_GRAD_NORM))
            if norm is None or math.isfinite(norm):
                self._loss, self._loss_step = loss, step
                return
            found = (
                f"{_TRAIN_LOSS} at step {step} is written as 0, with a gradient norm of {norm}: the Trainer leaves "
                "losses that are NaN or infinite out of what it writes (logging_nan_inf_filter)."
            )
        else:
            found = f"{_TRAIN_LOSS} at step {step} is {loss}."
        before = f" It was {self._loss:.4g} at step {self._loss_step}." if self._loss is not None else ""
        what = "NaN" if loss == 0 or math.isnan(loss) else "infinite"
        self._tell("loss", f"The training loss is {what}", f"{found}{before}\n{_LOSS_ADVICE}", "ERROR")

    def _evaluation(self, row: Mapping[str, Any], step: int) -> None:
        for key, value in row.items():
            if not key.startswith("eval/"):
                continue
            if key.endswith(keys.GROUNDING_ACCURACY) or key.endswith(keys.GROUNDING_PARSED):
                split = keys.split_evaluation_key(key)
                share = _number(value)
                if split is None or share is None or not math.isfinite(share):
                    continue
                if split[1] == keys.GROUNDING_ACCURACY:
                    self._judge_accuracy(split[0], share, row, step)
                elif split[1] == keys.GROUNDING_PARSED:
                    self._judge_parsed(split[0], share, row, step)
            elif key == "eval/loss" or key.endswith("_loss"):
                loss = _number(value)
                if loss is not None and not math.isfinite(loss):
                    found = f"{_plain(key, keys.MAX_KEY)} at step {step} is {loss}."
                    title = f"The evaluation loss is {'NaN' if math.isnan(loss) else 'infinite'}"
                    self._tell("loss", title, f"{found}\n{_LOSS_ADVICE}", "ERROR")

    def _judge_accuracy(self, prefix: str, share: float, row: Mapping[str, Any], step: int) -> None:
        baseline = self._accuracy.get(prefix)
        if baseline is None or share >= baseline:
            return
        high = _number(row.get(f"eval/{prefix}{keys.GROUNDING_ACCURACY_HIGH}"))
        high = high if high is not None else _upper_end(share, prefix, row)
        if high is None or not high < baseline:
            return
        text = (
            f"{_key(prefix, keys.GROUNDING_ACCURACY)} at step {step} is {share:.4f}{_of(prefix, row)}, and by its "
            f"95 % interval at most {high:.4f}. The base model's is {baseline:.4f} on the same samples.\n"
            "The training has made the clicks worse so far. Look at the evaluation's table of misses, at the learning "
            "rate, and at whether the labels hit their own boxes (grounding_labels_ok in the summary)."
        )
        title = f"Accuracy is below the base model's{_in_title(prefix)}"
        self._tell(f"accuracy/{prefix}", title, text, "WARN")

    def _judge_parsed(self, prefix: str, share: float, row: Mapping[str, Any], step: int) -> None:
        highest = self._parsed.get(prefix)
        self._saw_parsed(prefix, share)
        if highest is None or not share < highest / 2:
            return
        high = _upper_end(share, prefix, row)
        if high is None or not high < highest:
            return
        text = (
            f"{_key(prefix, keys.GROUNDING_PARSED)} at step {step} is {share:.4f}{_of(prefix, row)}. It was "
            f"{highest:.4f}.\nMost answers have no click that could be read; each of them counts as a miss. Look at "
            "the answers in the evaluation's table: the form of the training's answers may differ from the one that "
            "is read, answers may be cut off (max_new_tokens), or the training has gone wrong."
        )
        self._tell(f"parsed/{prefix}", f"Answers can't be read{_in_title(prefix)}", text, "WARN")

    def _saw_parsed(self, prefix: str, share: float) -> None:
        if math.isfinite(share) and share > self._parsed.get(prefix, -math.inf):
            self._parsed[prefix] = float(share)

    def _best(self, best: Mapping[str, Any]) -> list[str]:
        lines = []
        for key, value in best.items():
            prefix = key.removeprefix("best/").removesuffix(keys.GROUNDING_ACCURACY)
            accuracy = _number(value)
            if accuracy is None or key != f"best/{prefix}{keys.GROUNDING_ACCURACY}":
                continue
            distance = _number(best.get(f"best/{prefix}{keys.GROUNDING_DISTANCE}"))
            at = _number(best.get(f"best/{prefix}global_step"))
            baseline = self._accuracy.get(prefix)
            lines.append(
                f"Best evaluation{f' of {_name(prefix)}' if prefix else ''}: accuracy {accuracy:.4f}"
                + (f" (base model {baseline:.4f})" if baseline is not None else "")
                + (f", distance {distance:.4f}" if distance is not None and math.isfinite(distance) else "")
                + (f", at step {at:.0f}" if at is not None and math.isfinite(at) else "")
                + "."
            )
        more = [f"And of {len(lines) - MAX_SHOWN_SETS} more sets."] if len(lines) > MAX_SHOWN_SETS else []
        return lines[:MAX_SHOWN_SETS] + more


_ENDS = {"interrupted": "been interrupted", "preempted": "been preempted"}

_LOSS_ADVICE = (
    "The weights are most likely lost with it, and training on won't bring them back. Go back to a checkpoint from "
    "before; look at the learning rate, at the precision (fp16 overflows where bf16 doesn't), and at samples whose "
    "labels are all masked."
)


def _number(value: Any) -> float | None:
    number = as_number(value)
    try:
        return float(number) if isinstance(number, Real) else None
    except OverflowError:  # an int beyond a float's range
        return None


def _upper_end(share: float, prefix: str, row: Mapping[str, Any]) -> float | None:
    """The upper end of a share's 95 % Wilson interval; `None` if the row doesn't say of how many samples it is."""
    from .grounding.metrics import wilson_interval

    samples = _number(row.get(f"eval/{prefix}{keys.GROUNDING_SAMPLES}"))
    if samples is None or not 1 <= samples < math.inf or not 0 <= share <= 1:
        return None
    return wilson_interval(round(share * int(samples)), int(samples))[1]


def _of(prefix: str, row: Mapping[str, Any]) -> str:
    samples = _number(row.get(f"eval/{prefix}{keys.GROUNDING_SAMPLES}"))
    return f" of {samples:.0f} samples" if samples is not None and math.isfinite(samples) else ""


def _plain(text: str, length: int) -> str:
    """Text of others, which nothing acts in where the alert is shown."""
    return one_line(text, length).translate(_NO_MARKUP)


def _key(prefix: str, metric: str) -> str:
    return _plain(f"eval/{prefix}{metric}", keys.MAX_KEY)


def _name(prefix: str) -> str:
    return _plain(prefix.removesuffix("_"), 60)


def _in_title(prefix: str) -> str:
    return f": {_plain(prefix.removesuffix('_'), 24)}" if prefix else ""
