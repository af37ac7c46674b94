"""What a report says of runs, whatever it is written as: which is the best, what can be compared, in words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..best import rank
from ..clean_text import one_line
from ..compared.runs import ACCURACY, DISTANCE, ReadRun, RunEvaluation
from ..errors import UserError
from ..wilson import wilson_interval
from . import words

LOW, HIGH = "grounding_accuracy_low", "grounding_accuracy_high"
PARSED, SAMPLES = "grounding_parsed", "grounding_samples"

MAX_SETS = 6
"""Evaluation sets of a report."""
MAX_NAME = 80
"""Characters of a run's name in a report."""


def place_of(url: str | None) -> tuple[str, str, str] | None:
    """Entity, project and run id of a run's address at W&B; `None` of another one."""
    found = re.search(r"^https?://[^/]+/([^/?#]+)/([^/?#]+)/runs/([^/?#]+)", url or "")
    return (found[1], found[2], found[3]) if found else None


class ReportError(UserError):
    """A report that can't be made of what was given."""


@dataclass(frozen=True)
class SetOfRun:
    """How one run does on one evaluation set.

    Args:
        last: The latest evaluation that isn't the base model's.
        best: The best of them.
        baseline: The base model's.
        comparable: `True` where the run was evaluated on the same samples, by the same rules, as the others that are
            ranked; `False` on others; `None` where nobody knows.
    """

    last: RunEvaluation | None
    best: RunEvaluation | None
    baseline: RunEvaluation | None
    comparable: bool | None


@dataclass(frozen=True)
class RunShown:
    """A run of a report.

    Args:
        run: What was read of it.
        name: A name that no other run of the report has.
        number: Its place, from 0; its colour.
        sets: By evaluation set.
    """

    run: ReadRun
    name: str
    number: int
    sets: Mapping[str, SetOfRun]

    @property
    def adapter(self) -> str | None:
        """What `oaml adapter pull` takes for the adapter of its best evaluation."""
        name = self.run.adapter
        if not name:
            return None
        place = place_of(self.run.url)
        whole = name if "/" in name or place is None else f"{place[0]}/{place[1]}/{name}"
        return one_line(f"{whole}:best")

    @property
    def state(self) -> tuple[str, str]:
        """How it ended or stands, in words, and what kind of news that is: `right`, `wrong`, `live`, or ``."""
        outcome = self.run.outcome
        if outcome is None:
            return "unknown", ""
        if outcome in words.LIVE:
            return outcome, "live"
        if outcome == "finished":
            return outcome, "right"
        return one_line(outcome, MAX_NAME), "wrong" if outcome.startswith(("failed", "died", "crashed")) else "warning"


@dataclass(frozen=True)
class Content:
    """All that a report says.

    Args:
        title: Its title.
        runs: In the order in which they were given.
        sets: The evaluation sets, the main one first; none if nothing was evaluated.
        best: The run with the best evaluation of the main set, of those that can be compared.
        made_at: When it was written, in seconds since the epoch.
        notes: What a reader should know of the figures.
    """

    title: str
    runs: Sequence[RunShown]
    sets: Sequence[str]
    best: RunShown | None
    made_at: float
    notes: Sequence[str]

    @property
    def main(self) -> str:
        """The evaluation set that the report is about."""
        return self.sets[0] if self.sets else "eval"

    @property
    def best_evaluation(self) -> RunEvaluation | None:
        """The best evaluation of the best run."""
        return self.best.sets[self.main].best if self.best is not None else None

    def outcome(self) -> str:
        """What came out, in a sentence or two."""
        evaluation = self.best_evaluation
        if self.best is None or evaluation is None:
            waiting = any(shown.run.outcome in words.LIVE for shown in self.runs)
            return f"Nothing was evaluated {'yet' if waiting else 'in ' + self._runs()}."
        metrics = evaluation.metrics
        # A run alone is called by its name; of several it is said which.
        others = [shown for shown in self.runs if shown.sets[self.main].comparable is False]
        ranked = len(self.runs) - len(others)
        of = f"{self._runs()}" if not others else f"the {words.times(ranked, 'run')} that can be compared"
        who = self.best.name if ranked == 1 else f"The best of {of}, {self.best.name},"
        chance = f"95 % interval {words.interval(metrics.get(LOW), metrics.get(HIGH))}, " if LOW in metrics else ""
        samples = f"{chance}{words.times(int(metrics[SAMPLES]), 'sample')}" if SAMPLES in metrics else chance[:-2]
        around = f" ({samples})" if samples else ""
        said = f"{who} clicks into the target in {words.percent(metrics[ACCURACY])} of the samples{around}"
        said += f" at step {words.whole(evaluation.step)}"
        baseline = self.best.sets[self.main].baseline
        if baseline is not None and ACCURACY in baseline.metrics:
            said += f"; the base model does in {words.percent(baseline.metrics[ACCURACY])}"
        return f"{said}."

    def doubt(self) -> str:
        """What speaks against taking the best for better than the others; empty where nothing does."""
        evaluation = self.best_evaluation
        if self.best is None or evaluation is None:
            return ""
        rivals = [
            (shown, _interval(one.best))
            for shown in self.runs
            if shown is not self.best
            and (one := shown.sets[self.main]).comparable is not False
            and one.best is not None
        ]
        own = _interval(evaluation)
        near = [shown for shown, other in rivals if own is not None and other is not None and other[1] >= own[0]]
        if not near:
            if all(one is not None for one in (own, *(other for _, other in rivals))) or not rivals:
                return ""
            return "Not all runs know their intervals, so it isn't known whether chance alone may have put it first."
        others = f"that of {near[0].name}" if len(near) == 1 else f"those of {len(near)} others"
        return (
            f"Its interval and {others} overlap: chance alone may have put it first. The command "
            "oaml compare tests the difference sample by sample."
        )

    def _runs(self) -> str:
        return words.times(len(self.runs), "run")


def content(runs: Sequence[ReadRun], *, title: str, now: float) -> Content:
    """What a report over these runs says.

    Args:
        runs: The runs; one that is given twice counts once.
        title: The report's title.
        now: When it is made, in seconds since the epoch.

    Raises:
        ReportError: The title is empty.
    """
    if not title.strip():
        raise ReportError("the title is empty; --title gives one.")
    runs = _once(runs)
    sets = _sets(runs)
    shared = {split: _most_common_set(runs, split) for split in sets}
    shown = [
        RunShown(run, name, number, {split: _set_of_run(run, split, shared[split]) for split in sets})
        for number, (run, name) in enumerate(zip(runs, _names(runs), strict=True))
    ]
    return Content(
        title=one_line(title.strip()),
        runs=shown,
        sets=sets,
        best=_best(shown, sets[0]) if sets else None,
        made_at=now,
        notes=_notes(runs, shown, sets),
    )


def _interval(evaluation: RunEvaluation) -> tuple[float, float] | None:
    """The 95 % interval of its accuracy, as it is known or as the number of samples gives it."""
    metrics = evaluation.metrics
    if LOW in metrics and HIGH in metrics:
        return metrics[LOW], metrics[HIGH]
    samples = int(metrics.get(SAMPLES, 0))
    correct = round(metrics[ACCURACY] * samples)
    return wilson_interval(correct, samples) if samples > 0 and 0 <= correct <= samples else None


def _once(runs: Sequence[ReadRun]) -> list[ReadRun]:
    """Each once: `training_output/*` holds one as `current`, too, and a folder's run may be given by its address."""
    seen: set[str] = set()
    found = []
    for run in runs:
        places = {str(place) for place in (run.folder, run.url) if place} or {run.id}
        if not places & seen:
            found.append(run)
        seen |= places
    return found


def _names(runs: Sequence[ReadRun]) -> list[str]:
    """A name for each run: its own, with its id where another has the same."""
    plain = [one_line(run.name or run.id, MAX_NAME) for run in runs]
    count = Counter(plain)
    names: list[str] = []
    for run, name in zip(runs, plain, strict=True):
        full = name if count[name] == 1 else f"{name} ({one_line(run.id, MAX_NAME)})"
        names.append(full if full not in names else f"{full} [{len(names) + 1}]")
    return names


def _sets(runs: Sequence[ReadRun]) -> list[str]:
    """The evaluation sets, those of the most runs first, `eval` before others of as many."""
    count = Counter(split for run in runs for split in run.splits)
    order = list(count)
    return sorted(count, key=lambda split: (-count[split], split != "eval", order.index(split)))[:MAX_SETS]


def _fingerprint(run: ReadRun, split: str) -> str | None:
    found = run.fingerprints.get(split, {}).get("fingerprint")
    return found if isinstance(found, str) else None


def _most_common_set(runs: Sequence[ReadRun], split: str) -> str | None:
    found = [print_ for run in runs if split in run.splits and (print_ := _fingerprint(run, split)) is not None]
    return Counter(found).most_common(1)[0][0] if found else None


def _set_of_run(run: ReadRun, split: str, shared: str | None) -> SetOfRun:
    own = _fingerprint(run, split)
    return SetOfRun(
        last=run.last(split),
        best=run.best(split),
        baseline=run.baseline(split),
        comparable=None if own is None else own == shared,
    )


def _best(shown: Sequence[RunShown], split: str) -> RunShown | None:
    ranked = [
        (rank(best.metrics[ACCURACY], best.metrics.get(DISTANCE)), one.number)
        for one in shown
        if (best := one.sets[split].best) is not None and one.sets[split].comparable is not False
    ]
    return shown[min(ranked)[1]] if ranked else None


def _notes(runs: Sequence[ReadRun], shown: Sequence[RunShown], sets: Sequence[str]) -> list[str]:
    notes = []
    for split in sets:
        others = [one.name for one in shown if one.sets[split].comparable is False]
        if others:
            notes.append(
                f"{_listed(others)} {'was' if len(others) == 1 else 'were'} evaluated on other samples or by other "
                f"rules than the rest ({split}); these figures can't be compared with the others'."
            )
        unknown = [one.name for one in shown if one.sets[split].comparable is None and one.sets[split].last]
        evaluated = [one for one in shown if one.sets[split].last]
        if len(unknown) == len(evaluated) > 1:
            notes.append(f"Whether the runs were evaluated on the same samples ({split}) isn't known.")
        elif unknown and len(evaluated) > 1:
            notes.append(
                f"On which samples {_listed(unknown)} {'was' if len(unknown) == 1 else 'were'} evaluated ({split}) "
                "isn't known; whether it compares with the rest isn't, either."
            )
    left_out = len({split for run in runs for split in run.splits}) - len(sets)
    if left_out > 0:
        notes.append(f"{words.times(left_out, 'further evaluation set')} not shown.")
    notes += [f"{one.name}: {one_line(note, 300)}" for one in shown for note in one.run.notes[:3]]
    return notes


def _listed(names: Sequence[str]) -> str:
    few = list(names[:5])
    more = [f"{len(names) - 5} more"] if len(names) > 5 else []
    *front, last = [*few, *more]
    return f"{', '.join(front)} and {last}" if front else last
