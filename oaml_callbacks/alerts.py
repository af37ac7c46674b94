"""[`Alerts`]: what somebody who isn't looking at the training should be told, each cause once."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any, Literal

from . import keys
from .clean_text import one_line
from .values import as_number
from .wilson import wilson_interval

Level = Literal["INFO", "WARN", "ERROR"]

MAX_TITLE = 63
"""Characters of an alert's title; W&B asks for less than 64."""

MAX_TOLD = 50
"""Causes that are told: the first, where there are more (hundreds of evaluation sets). `loss` is told in any case."""

MAX_SHOWN_SETS = 5
"""Evaluation sets whose best figures the end's alert has."""

_LEVELS: dict[str, Level] = {"finished": "INFO", "interrupted": "INFO", "preempted": "WARN"}
# How a training ends that was told of its end by a signal: it stops by itself, or the script's handler exits.
_AFTER_THE_SIGNAL = frozenset({"preempted", "failed: SystemExit"})
# To Slack, which W&B passes alerts on to, `<!channel>` is a call to everybody and `<https://…|text>` a link.
_NO_MARKUP = str.maketrans("<>@", "‹›＠")  # noqa: RUF001 - they look alike on purpose
_BEST = re.compile(f"best/(.*){keys.GROUNDING_ACCURACY}")
_LOSS_ADVICE = (
    "The weights are most likely lost with it, and training on won't bring them back. Go back to a checkpoint from "
    "before; look at the learning rate, at the precision (fp16 overflows where bf16 doesn't), and at samples whose "
    "labels are all masked."
)


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
        self._loss: tuple[float, int] | None = None  # the last that was a number, and its step
        self._end = ("", 0)
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
        for prefix, value in accuracy.items():
            if (share := _finite(value)) is not None:
                self._accuracy[prefix] = share
        for prefix, value in parsed.items():
            if (share := _finite(value)) is not None:
                self._parsed[prefix] = max(share, self._parsed.get(prefix, share))

    def row(self, row: Mapping[str, Any], step: int) -> None:
        """Look at one row of the history.

        Args:
            row: Values by W&B's keys, such as `train/loss` and `eval/web_grounding_accuracy`.
            step: Optimizer steps done.
        """
        self._judge_training(row, step)
        for key, value in row.items():
            if key.startswith("eval/"):
                self._judge_evaluation(key, value, row, step)

    def ended(self, outcome: str, *, step: int, best: Mapping[str, Any]) -> None:
        """Tell that the training has ended, and how. A second call for the same end does nothing.

        The end of a training that was told as preempted, when the signal came, is the same end.

        Args:
            outcome: `finished`, `interrupted`, `preempted` or `failed: <exception>`, as the summary has it.
            step: Optimizer steps done.
            best: The summary; `best/grounding_accuracy`, `best/grounding_distance`, `best/global_step` are taken from
                it, also those of named sets (`best/web_grounding_accuracy`). Others are let be.
        """
        if (outcome, step) == self._end or (self._end[0] == "preempted" and outcome in _AFTER_THE_SIGNAL):
            return
        self._end = (outcome, step)
        lines = [f"After {step} steps.", *self._best(best)]
        if outcome != "finished":
            lines.append("Resumed from its last checkpoint, it goes on with this run.")
        self._alert(f"Training {outcome}", "\n".join(lines), _LEVELS.get(outcome, "ERROR"))

    # Inside ------------------------------------------------------------------------------------------------------

    def _alert(self, title: str, text: str, level: Level) -> None:
        title = one_line(title, MAX_TITLE)[:MAX_TITLE]  # what is spelled out gets longer
        self._send(title.translate(_NO_MARKUP), text.translate(_NO_MARKUP), level)

    def _tell(self, cause: str, title: str, text: str, level: Level) -> None:
        if cause not in self._told and (cause == "loss" or len(self._told) < MAX_TOLD):
            self._told[cause] = None  # first, so that what can't be sent isn't tried at each row
            self._alert(title, text, level)

    def _judge_training(self, row: Mapping[str, Any], step: int) -> None:
        loss, norm = _number(row.get("train/loss")), _number(row.get("train/grad_norm"))
        if loss is None:
            return
        filtered = loss == 0 and norm is not None and not math.isfinite(norm)
        if math.isfinite(loss) and not filtered:
            self._loss = (loss, step)  # not in words: this is done at every log event
            return
        found = _found(loss, step)
        if filtered:
            reason = "the Trainer writes 0 for losses that are NaN or infinite (logging_nan_inf_filter)"
            found += f", with a gradient norm of {norm}: {reason}"
        before = f" It was {_found(*self._loss)}." if self._loss else ""
        text = f"train/loss is {found}.{before}\n{_LOSS_ADVICE}"
        self._tell("loss", "The training loss is NaN or infinite", text, "ERROR")

    def _judge_evaluation(self, key: str, value: Any, row: Mapping[str, Any], step: int) -> None:
        if key == "eval/loss" or key.endswith("_loss"):
            loss = _number(value)
            if loss is not None and not math.isfinite(loss):
                text = f"{one_line(key)} is {loss} at step {step}.\n{_LOSS_ADVICE}"
                self._tell("loss", "The evaluation loss is NaN or infinite", text, "ERROR")
            return
        split, share = keys.split_evaluation_key(key), _finite(value)
        if split is None or share is None or split[1] not in (keys.GROUNDING_ACCURACY, keys.GROUNDING_PARSED):
            return
        prefix, metric = split
        found, high = f"{one_line(key)} at step {step} is {share:.4f}", None
        samples = _finite(row.get(f"eval/{prefix}{keys.GROUNDING_SAMPLES}"))
        if samples is not None and 1 <= samples < 2**53 and 0 <= share <= 1:  # floats above it count nothing
            found += f" of {samples:.0f} samples"
            high = wilson_interval(round(share * int(samples)), int(samples))[1]
        if metric == keys.GROUNDING_PARSED:
            self._judge_parsed(prefix, share, high, found)
        else:
            given = _number(row.get(f"eval/{prefix}{keys.GROUNDING_ACCURACY_HIGH}"))
            self._judge_accuracy(prefix, high if given is None else given, found)

    def _judge_accuracy(self, prefix: str, high: float | None, found: str) -> None:
        baseline = self._accuracy.get(prefix)
        if baseline is None or high is None or not high < baseline:  # NaN isn't either
            return
        text = (
            f"{found}, and by its 95 % interval at most {high:.4f}. The base model's is {baseline:.4f} on the same "
            "samples.\nThe training has made the clicks worse so far. Look at the evaluation's table of misses, at "
            "the learning rate, and at whether the labels hit their own boxes (grounding_labels_ok in the summary)."
        )
        self._tell(f"accuracy/{prefix}", f"Accuracy is below the base model's{_in_brackets(prefix)}", text, "WARN")

    def _judge_parsed(self, prefix: str, share: float, high: float | None, found: str) -> None:
        highest = self._parsed.get(prefix, share)
        self._parsed[prefix] = max(share, highest)
        if high is None or share >= highest / 2 or high >= highest:
            return
        text = (
            f"{found}. It was {highest:.4f}.\nMost answers have no click that could be read; each of them counts as a "
            "miss. Look at the answers in the evaluation's table: the form of the training's answers may differ from "
            "the one that is read, answers may be cut off (max_new_tokens), or the training has gone wrong."
        )
        self._tell(f"parsed/{prefix}", f"Answers can't be read{_in_brackets(prefix)}", text, "WARN")

    def _best(self, summary: Mapping[str, Any]) -> list[str]:
        lines = []
        for key, value in summary.items():
            found, accuracy = _BEST.fullmatch(key), _number(value)
            if found is None or accuracy is None:
                continue
            prefix = found[1]
            line = f"Best evaluation{_in_brackets(prefix)}: accuracy {accuracy:.4f}"
            if prefix in self._accuracy:
                line += f" (base model {self._accuracy[prefix]:.4f})"
            if (distance := _finite(summary.get(f"best/{prefix}{keys.GROUNDING_DISTANCE}"))) is not None:
                line += f", distance {distance:.4f}"
            if (at := _finite(summary.get(f"best/{prefix}global_step"))) is not None:
                line += f", at step {at:.0f}"
            lines.append(f"{line}.")
        more = [f"And of {len(lines) - MAX_SHOWN_SETS} more sets."] if len(lines) > MAX_SHOWN_SETS else []
        return lines[:MAX_SHOWN_SETS] + more


def _found(loss: float, step: int) -> str:
    return f"{loss:.4g} at step {step}"


def _number(value: Any) -> float | None:
    if type(value) is float:  # nearly always
        return value
    number = as_number(value)
    try:
        return float(number) if isinstance(number, Real) else None
    except OverflowError:  # an int beyond a float's range
        return None


def _finite(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and math.isfinite(number) else None


def _in_brackets(prefix: str) -> str:
    return f" ({one_line(prefix.removesuffix('_'), 60)})" if prefix else ""
