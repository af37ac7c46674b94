"""Which samples several evaluations have in common, and whether they are of the same evaluation set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..clean_text import one_line
from ..errors import UserError
from .runs import Answer, ReadRun, RunEvaluation

Key: TypeAlias = tuple[Any, ...]

TEXT_COMPARED = 1500
"""Characters of an instruction that tell samples apart: of more, run folders and W&B's rows keep different numbers."""
NAMED = 3
"""Samples that a message names."""


class DifferentSets(UserError):
    """Runs whose evaluations are of different samples, or graded by different rules."""


@dataclass(frozen=True)
class Evaluated:
    """A run, the evaluation of it that is compared, and its name in messages."""

    label: str
    run: ReadRun
    evaluation: RunEvaluation

    @property
    def named(self) -> str:
        """`B (abc123)`."""
        return f"{self.label} ({one_line(self.run.id)})"

    @property
    def fingerprint(self) -> str | None:
        """Of its evaluation set; `None` where the run doesn't know it."""
        found = self.run.fingerprints.get(self.evaluation.split, {}).get("fingerprint")
        return found if isinstance(found, str) else None

    @property
    def rules(self) -> Mapping[str, Any]:
        """How its answers were asked for and graded; empty where the run doesn't know it."""
        rules = self.run.fingerprints.get(self.evaluation.split, {}).get("rules")
        return rules if isinstance(rules, Mapping) else {}


@dataclass(frozen=True)
class Matched:
    """Every run's answers to the samples that all of them have, in one order, and what to know of that."""

    answers: Sequence[Sequence[Answer]]
    same_set: bool
    notes: Sequence[str]


def match(evaluated: Sequence[Evaluated], *, common: bool) -> Matched:
    """Put several runs' answers side by side.

    Evaluation sets are told by their fingerprints; where a run has none, by the samples themselves: id, instruction
    and target.

    Args:
        evaluated: Two runs or more.
        common: Take the samples that all have where the sets differ.

    Raises:
        DifferentSets: The sets differ; says in what. Or nothing is common to them.
        RunReferenceError: Answers can't be read.
    """
    told = [one for one in evaluated if one.fingerprint is not None]
    differ = [other for other in told[1:] if other.fingerprint != told[0].fingerprint]
    if differ and not common:
        raise DifferentSets(_refusal(told[0], differ[0], *(_answers_if_any(one) for one in (told[0], differ[0]))))
    answers = [one.run.answers(one.evaluation) for one in evaluated]
    keyed = _keyed(answers, _key)
    shared = _shared(keyed)
    if len(told) == len(evaluated) and not differ and len(shared) < min(map(len, answers)):
        # What makes no difference to a fingerprint, ids, may differ; only what is there once can be told without.
        without = _keyed(answers, _content)
        if len(_shared(without)) > len(shared):
            keyed, shared = without, _shared(without)
    notes = []
    if len(told) < len(evaluated) and not differ:
        differ = [other for other, its in zip(evaluated[1:], keyed[1:], strict=True) if set(its) != set(keyed[0])]
        if differ and not common:
            theirs = answers[evaluated.index(differ[0])]
            raise DifferentSets(_refusal(evaluated[0], differ[0], answers[0], theirs))
        unknown = [one.label for one in evaluated if one.fingerprint is None]
        notes.append(
            f"{_and(unknown)} {'has' if len(unknown) == 1 else 'have'} no fingerprint of the evaluation set: that the "
            "samples are the same is told by their ids, instructions and targets, and not by their pictures."
        )
    if not shared:
        counts = ", ".join(f"{one.named} has {len(its)}" for one, its in zip(evaluated, answers, strict=True))
        raise DifferentSets(f"the runs have no sample in common: {counts}, of other ids, instructions or targets.")
    if differ:
        notes.insert(0, _common_note(evaluated, answers, len(shared), differ))
    else:
        for one, its in zip(evaluated, answers, strict=True):
            if len(its) > len(shared):
                notes.append(
                    f"{len(its) - len(shared)} samples of {one.label} are left out: not all runs answered them, or "
                    "several are the same."
                )
    for one, its in zip(evaluated, answers, strict=True):
        counted = one.evaluation.metrics.get("grounding_samples")
        if counted is not None and counted > len(its):
            notes.append(f"{one.label}: of {counted:.0f} answers {len(its)} could be read; the figures are of these.")
    rows = [[its[key] for key in shared] for its in keyed]
    return Matched(rows, not differ, notes)


def _key(answer: Answer) -> Key:
    return (answer.id, *_content(answer))


def _content(answer: Answer) -> Key:
    place = (answer.box, answer.point)
    what = answer.target[:TEXT_COMPARED] if place == (None, None) else ""
    return (answer.instruction[:TEXT_COMPARED], *place, what)


def _keyed(answers: Sequence[Sequence[Answer]], key: Callable[[Answer], Key]) -> list[dict[Key, Answer]]:
    """Each run's answers by their samples; those that can't be told apart are in it not at all."""
    made = []
    for its in answers:
        keys = [key(answer) for answer in its]
        counts = Counter(keys)
        made.append({one: answer for one, answer in zip(keys, its, strict=True) if counts[one] == 1})
    return made


def _shared(keyed: Sequence[Mapping[Key, Answer]]) -> list[Key]:
    return [key for key in keyed[0] if all(key in its for its in keyed[1:])]


def _answers_if_any(one: Evaluated) -> Sequence[Answer] | None:
    """For a message; it can do without."""
    try:
        return one.run.answers(one.evaluation)
    except UserError:
        return None


# What differs --------------------------------------------------------------------------------------------------------


def _refusal(
    first: Evaluated, other: Evaluated, answers: Sequence[Answer] | None, others: Sequence[Answer] | None
) -> str:
    found = " ".join(f"{one[0].upper()}{one[1:]}." for one in differences(first, other, answers, others))
    return (
        f"{other.named} was evaluated on another set than {first.named}, so their accuracies say nothing of which is "
        f"better. {found} --common compares them on the samples that both have."
    )


def differences(
    first: Evaluated, other: Evaluated, answers: Sequence[Answer] | None, others: Sequence[Answer] | None
) -> list[str]:
    """In what two evaluation sets differ, in words.

    Args:
        first: A run.
        other: Another one.
        answers: The first one's answers, where they are known.
        others: The other one's.
    """
    found = []
    counts = [_count(one, its) for one, its in ((first, answers), (other, others))]
    if counts[0] != counts[1]:
        found.append(f"{first.label} has {counts[0]} samples, {other.label} {counts[1]}")
    rules = first.rules, other.rules
    if all(rules):
        found += [
            f"the rule {name} is {rules[0].get(name)} in {first.label} and {rules[1].get(name)} in {other.label}"
            for name in sorted({*rules[0], *rules[1]})
            if rules[0].get(name) != rules[1].get(name)
        ]
    if answers is not None and others is not None:
        mine, theirs = ({answer.id: answer for answer in its} for its in (answers, others))
        found += _named(f"in {first.label} alone", [name for name in mine if name not in theirs])
        found += _named(f"in {other.label} alone", [name for name in theirs if name not in mine])
        changed = [name for name in mine if name in theirs and _content(mine[name]) != _content(theirs[name])]
        found += _named("of the same id, with another instruction or target,", changed)
    if not found:
        found.append(
            "number, rules, ids, instructions and targets are the same, so pictures, groups or prompts must differ"
        )
    return found


def _count(one: Evaluated, answers: Sequence[Answer] | None) -> Any:
    if answers is not None:
        return len(answers)
    return one.run.fingerprints.get(one.evaluation.split, {}).get("samples") or "an unknown number of"


def _named(what: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return [f"{what} {'is' if len(names) == 1 else 'are'} {', '.join(map(one_line, names[:NAMED]))}{more}"]


def _common_note(
    evaluated: Sequence[Evaluated], answers: Sequence[Sequence[Answer]], shared: int, differ: Sequence[Evaluated]
) -> str:
    counts = ", ".join(f"{one.label}'s {len(its)}" for one, its in zip(evaluated, answers, strict=True))
    rules = [
        rule
        for other in differ
        for rule in differences(evaluated[0], other, None, None)
        if rule.startswith("the rule")
    ]
    asked = f" They were not asked or graded alike: {'; '.join(rules)}." if rules else ""
    return (
        f"DIFFERENT EVALUATION SETS: all figures are over the {shared} samples that all runs have, of {counts}. These "
        f"are the same by id, instruction and target; whether their pictures are, nobody has checked.{asked}"
    )


def _and(labels: Iterable[str]) -> str:
    *others, last = labels
    return f"{', '.join(others)} and {last}" if others else last
