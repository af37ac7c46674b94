"""[`compare_runs`]: which of several runs clicks better, on the same samples, and how sure that is."""

from __future__ import annotations

import itertools
import math
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..clean_text import one_line
from ..errors import UserError
from ..wilson import wilson_interval
from .matching import Evaluated, match
from .mcnemar import difference_interval, holm, mcnemar_p
from .runs import Answer, ReadRun, RunEvaluation
from .settings import differing_settings

SIGNIFICANT = 0.05
"""P values below this are called a difference, above it chance."""
MAX_GROUPS = 100
"""Groups that are compared by themselves; the largest."""


class ComparisonError(UserError):
    """What can't be compared: too few runs, an evaluation or a set that a run doesn't have."""


@dataclass(frozen=True)
class Share:
    """`correct` of `total`."""

    correct: int
    total: int

    @property
    def value(self) -> float:
        """0-1."""
        return self.correct / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval."""
        return wilson_interval(self.correct, self.total)


@dataclass(frozen=True)
class Side:
    """One run's figures, over the samples that are compared.

    Args:
        label: What it is called beside the others: `A`, `B`, …
        run: The run.
        evaluation: The evaluation of it that is compared.
        answers: To the samples, in the order that all sides share.
        accuracy: Right answers, of all.
        readable: Answers that could be read, of all.
        distance: Mean distance of the clicks, in shares of the screen; `None` without any.
        groups: Right answers by group: `{"platform: web": …}`.
        baseline: The base model's accuracy over its own evaluation; `None` where it isn't known.
    """

    label: str
    run: ReadRun
    evaluation: RunEvaluation
    answers: Sequence[Answer]
    accuracy: Share
    readable: Share
    distance: float | None
    groups: Mapping[str, Share]
    baseline: float | None

    @property
    def name(self) -> str:
        """The run's name on one line; of one without a name its id."""
        return one_line(self.run.name or self.run.id)


@dataclass(frozen=True)
class Pair:
    """Two sides on the same samples: how `second` differs from `first`.

    Args:
        first: Its place among the sides.
        second: The other's.
        both: Samples that both have right.
        gained: Places of the samples that the second alone has right.
        lost: Places of the samples that the first alone has right.
        neither: Samples that neither has right.
        interval: The 95 % interval of the difference of the accuracies.
        p: McNemar's exact two-sided p value.
        corrected_p: The same, by Holm's method where there are several pairs.
        distance_change: Mean change of the distance over the samples with a click in both; negative is closer.
        distance_samples: How many these are.
        groups: Samples gained and lost by group.
        verdict: All of it in a sentence.
    """

    first: int
    second: int
    both: int
    gained: Sequence[int]
    lost: Sequence[int]
    neither: int
    interval: tuple[float, float]
    p: float
    corrected_p: float
    distance_change: float | None
    distance_samples: int
    groups: Mapping[str, tuple[int, int]]
    verdict: str = ""

    @property
    def difference(self) -> float:
        """The second's accuracy minus the first's."""
        return (len(self.gained) - len(self.lost)) / self.samples

    @property
    def samples(self) -> int:
        """How many samples are compared."""
        return self.both + len(self.gained) + len(self.lost) + self.neither


@dataclass(frozen=True)
class Comparison:
    """Several runs beside each other.

    Args:
        split: The evaluation set.
        at: Which evaluation of each: `best`, `last`, `base`, or a step.
        sides: The runs.
        pairs: Which of them are held against each other.
        same_set: Whether all were evaluated on the same set.
        notes: What to know of it.
        settings: The settings in which the runs differ, each run's value.
    """

    split: str
    at: str
    sides: Sequence[Side]
    pairs: Sequence[Pair]
    same_set: bool
    notes: Sequence[str]
    settings: Mapping[str, Sequence[Any]]

    @property
    def samples(self) -> int:
        """How many samples are compared."""
        return self.sides[0].accuracy.total


def compare_runs(
    runs: Sequence[ReadRun],
    *,
    at: str = "best",
    split: str | None = None,
    common: bool = False,
    all_pairs: bool = False,
) -> Comparison:
    """Compare runs on the samples that all of them were evaluated on.

    Args:
        runs: Two or more.
        at: Which evaluation of each run: `best`, `last`, `base` (the base model's), or a step.
        split: The evaluation set, as a name (`web`) or as a run has it (`eval_web`); `None`: the one that all have.
        common: Where the sets differ, compare on the samples that all have.
        all_pairs: Hold each run against each other, and not all against the first.

    Raises:
        ComparisonError: Too few runs, or a run has no such evaluation or set.
        DifferentSets: The evaluation sets differ, and `common` is not given.
        RunReferenceError: A run's answers can't be read.
    """
    if len(runs) < 2:
        raise ComparisonError(f"two runs or more can be compared, found {len(runs)}.")
    at = at.strip()
    runs, twice = _once(runs)
    if len(runs) < 2:
        raise ComparisonError(f"{' and '.join(twice[0])} are the same run; two runs or more can be compared.")
    name = _split(runs, split)
    evaluated = [Evaluated(label(place), run, _evaluation(run, name, at)) for place, run in enumerate(runs)]
    matched = match(evaluated, common=common)
    sides = [_side(one, answers) for one, answers in zip(evaluated, matched.answers, strict=True)]
    if not matched.same_set:
        sides = [replace(side, baseline=None) for side in sides]  # it is over all of its samples
    places = (
        list(itertools.combinations(range(len(sides)), 2))
        if all_pairs
        else [(0, place) for place in range(1, len(sides))]
    )
    pairs = [_pair(sides, first, second) for first, second in places]
    corrected = holm([pair.p for pair in pairs])
    pairs = [replace(pair, corrected_p=value) for pair, value in zip(pairs, corrected, strict=True)]
    pairs = [replace(pair, verdict=_verdict(sides, pair, corrected=len(pairs) > 1)) for pair in pairs]
    notes = [*matched.notes, *_notes(sides, at)]
    notes += [f"{first} and {other} are the same run, which is compared once." for first, other in twice]
    return Comparison(name, at, sides, pairs, matched.same_set, notes, differing_settings(runs))


def _once(runs: Sequence[ReadRun]) -> tuple[list[ReadRun], list[tuple[str, str]]]:
    """Each run once, and the references of those given twice: `training_output/*` has the last one as `current`, too.

    A run's folder and its twin at W&B count as two.
    """
    known: dict[Any, ReadRun] = {}
    twice = []
    for run in runs:
        first = known.setdefault(run.folder or run.url or (run.source, run.id), run)
        if first is not run:
            twice.append((one_line(first.reference), one_line(run.reference)))
    return list(known.values()), twice


def label(place: int) -> str:
    """`A`, `B`, …, `Z`, `A2`, …"""
    turn, letter = divmod(place, len(string.ascii_uppercase))
    return string.ascii_uppercase[letter] + (str(turn + 1) if turn else "")


def _split(runs: Sequence[ReadRun], given: str | None) -> str:
    """The evaluation set that all runs have."""
    if given is not None:
        for run in runs:
            if not {given, f"eval_{given}"} & set(run.splits):
                raise ComparisonError(f"{_named(run)} has no evaluation set {one_line(given)}; {_sets(run)}.")
        return given if given in runs[0].splits else f"eval_{given}"
    for run in runs:
        if not run.splits:
            raise ComparisonError(
                f"{_named(run)} has no evaluation by generation yet. A training with OpenAdaptWandbCallback makes one "
                "at each of the Trainer's evaluations."
            )
    shared = [name for name in runs[0].splits if all(name in run.splits for run in runs[1:])]
    if not shared:
        told = "; ".join(f"{_named(run)}: {_sets(run)}" for run in runs)
        raise ComparisonError(f"the runs have no evaluation set of the same name: {told}.")
    return "eval" if "eval" in shared else shared[0]


def _sets(run: ReadRun) -> str:
    return f"it has {', '.join(map(one_line, run.splits)) or 'none'}"


def _named(run: ReadRun) -> str:
    return f"the run {one_line(run.reference)}"


def _evaluation(run: ReadRun, split: str, at: str) -> RunEvaluation:
    wanted = at.removeprefix("step").strip()
    of_set = [one for one in run.evaluations if one.split == split]
    if wanted == "best":
        found = run.best(split)
    elif wanted == "last":
        found = run.last(split)
    elif wanted == "base":
        found = run.baseline(split)
    elif wanted.isascii() and wanted.isdigit() and len(wanted) < 16:
        found = next((one for one in of_set if one.step == int(wanted) and not one.baseline), None)
        if found is None:
            steps = sorted({one.step for one in of_set if not one.baseline}, key=lambda at: abs(at - int(wanted)))
            raise ComparisonError(
                f"{_named(run)} has no evaluation at step {int(wanted)}; the nearest are at "
                f"{', '.join(map(str, sorted(steps[:5]))) or 'none'}."
            )
    else:
        raise ComparisonError(f"{one_line(at)} names no evaluation; expected best, last, base, or a step.")
    if found is None:
        raise ComparisonError(f"{_named(run)} has no evaluation {wanted} of the set {one_line(split)}.")
    return found


# Figures -----------------------------------------------------------------------------------------------------------


def _side(one: Evaluated, answers: Sequence[Answer]) -> Side:
    distances = [answer.distance for answer in answers if answer.distance is not None]
    baseline = one.run.baseline(one.evaluation.split)
    return Side(
        label=one.label,
        run=one.run,
        evaluation=one.evaluation,
        answers=answers,
        accuracy=Share(sum(answer.correct for answer in answers), len(answers)),
        readable=Share(sum(answer.readable for answer in answers), len(answers)),
        distance=math.fsum(distances) / len(distances) if distances else None,
        groups={name: _share(answers, places) for name, places in _groups(answers).items()},
        baseline=baseline.metrics.get("grounding_accuracy") if baseline is not None else None,
    )


def _share(answers: Sequence[Answer], places: Sequence[int]) -> Share:
    return Share(sum(answers[place].correct for place in places), len(places))


def _groups(answers: Sequence[Answer]) -> dict[str, list[int]]:
    """The places of each group's samples; of many groups the largest, in order of names."""
    members: dict[tuple[str, str], list[int]] = {}
    for place, answer in enumerate(answers):
        for group in answer.groups.items():
            members.setdefault(group, []).append(place)
    kept = sorted(members, key=lambda group: (-len(members[group]), group))[:MAX_GROUPS]
    return {f"{grouping}: {value}": members[grouping, value] for grouping, value in sorted(kept)}


def _pair(sides: Sequence[Side], first: int, second: int) -> Pair:
    before, after = sides[first].answers, sides[second].answers
    gained, lost, changes = [], [], []
    both = neither = 0
    for place, (old, new) in enumerate(zip(before, after, strict=True)):
        if old.correct and new.correct:
            both += 1
        elif new.correct:
            gained.append(place)
        elif old.correct:
            lost.append(place)
        else:
            neither += 1
        if old.distance is not None and new.distance is not None:
            changes.append(new.distance - old.distance)
    p = mcnemar_p(len(gained), len(lost))
    won, gone = set(gained), set(lost)
    return Pair(
        first=first,
        second=second,
        both=both,
        gained=gained,
        lost=lost,
        neither=neither,
        interval=difference_interval(both, len(gained), len(lost), neither),
        p=p,
        corrected_p=p,
        distance_change=math.fsum(changes) / len(changes) if changes else None,
        distance_samples=len(changes),
        # The samples' groups are the same on both sides, unless one was written before they were kept.
        groups={
            name: (len(won.intersection(places)), len(gone.intersection(places)))
            for name, places in _groups(before if any(answer.groups for answer in before) else after).items()
        },
    )


def spelled_p(value: float) -> str:
    """`p = 0.013`, `p < 0.0001`; beside 0.05 with a digit more, so that one sees on which side it is."""
    if value < 0.0001:
        return "p < 0.0001"
    return f"p = {value:.4f}" if value < 0.001 or abs(value - SIGNIFICANT) < 0.0005 else f"p = {value:.3f}"


def _verdict(sides: Sequence[Side], pair: Pair, *, corrected: bool) -> str:
    first, second = sides[pair.first].label, sides[pair.second].label
    gained, lost = len(pair.gained), len(pair.lost)
    if not gained and not lost:
        same = f"{second} and {first} have the same {pair.both:,} of {pair.samples:,} samples right"
        return f"{same}: nothing tells them apart."
    value = spelled_p(pair.corrected_p) + (", corrected for the number of comparisons" if corrected else "")
    counts = (
        f"of {pair.samples:,} samples {second} alone has {gained:,} right, {first} alone {lost:,} "
        f"(McNemar's exact test, {value})"
    )
    if pair.corrected_p >= SIGNIFICANT:
        return f"The difference between {first} and {second} may be chance: {counts}."
    better, worse = (second, first) if gained > lost else (first, second)
    return f"{better} is better than {worse}: {counts}."


def _notes(sides: Sequence[Side], at: str) -> list[str]:
    notes = [f"{side.label}: {note}" for side in sides for note in side.run.notes]
    counts = [
        sum(one.split == side.evaluation.split and not one.baseline for one in side.run.evaluations) for side in sides
    ]
    if at == "best" and len(set(counts)) > 1:
        told = ", ".join(f"{side.label} had {count}" for side, count in zip(sides, counts, strict=True))
        notes.append(
            "Each run's best evaluation was chosen on these very samples, and more evaluations are more chances: "
            f"{told}. --at last doesn't choose."
        )
    return notes
