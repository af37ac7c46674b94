"""[`Clicks`]: the samples of a run and what was answered, in the pieces that a page asks for."""

from __future__ import annotations

import hashlib
from array import array
from collections import OrderedDict
from pathlib import Path
from typing import Any

from .lines import Lines, parse_line
from .reading import MAX_NAME, Problem, mapping, number, numbers, short, text

BLOCK = 200
"""Samples in a block of samples or of answers."""
TRACK_BLOCK = 20
"""Samples whose way over all evaluations is sent at once."""
MAX_GROUPINGS = 10
MAX_GROUP_VALUES = 1000
MAX_OPEN = 128
"""Files whose line beginnings are remembered; 80 kB each for 10,000 samples."""

SCALE = 10_000
"""Distances and offsets of all samples are sent as whole ten-thousandths of the screen."""

LETTERS = {
    "correct": "c",
    "near": "n",
    "wrong_side": "w",
    "elsewhere": "e",
    "unreadable": "u",
    "no_place": "p",
}
UNREAD, ABSENT = "?", "-"


class Clicks:
    """The samples and answers of one run folder.

    Args:
        folder: The run folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: OrderedDict[str, Lines] = OrderedDict()

    def lines(self, name: str) -> Lines:
        """A file's lines, as they are now."""
        lines = self._open.pop(name, None) or Lines(self._folder, name)
        self._open[name] = lines
        if len(self._open) > MAX_OPEN:
            self._open.popitem(last=False)
        lines.refresh()
        return lines

    # Samples -----------------------------------------------------------------------------------------------------

    def samples(self, name: str) -> dict[str, Any]:
        """How many samples there are, and the groups of all of them."""
        lines = self.lines(name)
        groups: dict[str, dict[str, Any]] = {}
        digest = hashlib.blake2b(digest_size=8)
        for line, data in lines.read():
            record = _parsed(data)
            digest.update(f"{short(record.get('id'))}\n".encode("utf-8", "replace"))
            for grouping, value in list(mapping(record.get("groups")).items())[:MAX_GROUPINGS]:
                _add_group(groups, short(grouping), short(value), line, len(lines))
        return {
            "count": len(lines),
            "block": BLOCK,
            "track_block": TRACK_BLOCK,
            "digest": digest.hexdigest(),
            "groups": {
                grouping: {"values": list(group["values"]), "codes": group["codes"].tolist()}
                for grouping, group in groups.items()
            },
        }

    def ids(self, name: str) -> list[str]:
        """The ids of all samples, in order."""
        return [short(_parsed(data).get("id")) for _, data in self.lines(name).read()]

    def sample_block(self, name: str, block: int) -> list[dict[str, Any]]:
        """The samples of a block."""
        lines = self.lines(name)
        first = block * BLOCK
        _check_block(block, first, len(lines))
        return [_sample(data, f"{name}, line {line + 1},") for line, data in lines.read(first, BLOCK)]

    # Answers -----------------------------------------------------------------------------------------------------

    def verdicts(self, samples: str, answers: str) -> dict[str, Any]:
        """The verdict on every sample of an evaluation, and where its click lies beside its target."""
        total = len(self.lines(samples))
        letters = [ABSENT] * total
        columns: dict[str, list[int | None]] = {name: [None] * total for name in ("distance", "dx", "dy")}
        for line, data in self.lines(answers).read():
            record = _parsed(data)
            place = record.get("sample", line)
            if not isinstance(place, int) or not 0 <= place < total:
                continue
            letters[place] = letter(record)
            offset = numbers(record.get("offset"), 2) or (None, None)
            for name, value in zip(columns, (record.get("distance"), *offset), strict=True):
                found = number(value)
                columns[name][place] = round(found * SCALE) if found is not None and abs(found) < 1e6 else None
        return {"outcome": "".join(letters), **columns}

    def answers(self, samples: str, answers: str, block: int) -> list[dict[str, Any] | None]:
        """What was answered to the samples of a block; `None` for one that wasn't asked."""
        total, lines = len(self.lines(samples)), self.lines(answers)
        _check_block(block, block * BLOCK, total)
        found: list[dict[str, Any] | None] = []
        for place in range(block * BLOCK, min((block + 1) * BLOCK, total)):
            line = lines.line_of(place)
            data = lines.line(line) if line is not None else None
            found.append(
                _answer(data, f"{answers}, line {line + 1},") if line is not None and data is not None else None
            )
        return found

    def track(self, samples: str, evaluations: dict[str, str], block: int) -> dict[str, Any]:
        """How the clicks on the samples of a track block went over the evaluations.

        Args:
            samples: The samples' file.
            evaluations: The answers' files, by the evaluations' keys.
            block: The track block.
        """
        first = block * TRACK_BLOCK
        _check_block(block, first, len(self.lines(samples)))
        places = range(first, min(first + TRACK_BLOCK, len(self.lines(samples))))
        outcomes: list[list[str]] = [[] for _ in places]
        points: list[list[list[float] | None]] = [[] for _ in places]
        for answers in evaluations.values():
            lines = self.lines(answers)
            for index, place in enumerate(places):
                line = lines.line_of(place)
                record = _parsed(lines.line(line) or b"") if line is not None else None
                outcomes[index].append(letter(record) if record is not None else ABSENT)
                points[index].append(numbers(record.get("point"), 2) if record is not None else None)
        return {
            "first": first,
            "evaluations": list(evaluations),
            "outcome": ["".join(letters) for letters in outcomes],
            "point": points,
        }


def _check_block(block: int, first: int, count: int) -> None:
    if first >= count and block:
        raise Problem(f"there is no block {block}: there are {count} samples")


def letter(record: dict[str, Any]) -> str:
    """A verdict as one letter."""
    outcome = record.get("outcome")
    return LETTERS.get(outcome, UNREAD) if isinstance(outcome, str) else UNREAD


def _sample(data: bytes, where: str) -> dict[str, Any]:
    try:
        record = parse_line(data, where)
        problem = None
    except Problem as error:
        record, problem = {}, str(error)
    sample = {
        "id": short(record.get("id")),
        "instruction": text(record.get("instruction")),
        "target": text(record.get("target")),
        "box": numbers(record.get("box"), 4),
        "point": numbers(record.get("point"), 2),
        "picture": text(record.get("picture"), MAX_NAME),
        "size": _size(record.get("size")),
        "groups": {
            short(name): short(value) for name, value in list(mapping(record.get("groups")).items())[:MAX_GROUPINGS]
        },
    }
    return sample if problem is None else {**sample, "problem": problem}


def _answer(data: bytes, where: str) -> dict[str, Any]:
    try:
        record = parse_line(data, where)
        problem = None
    except Problem as error:
        record, problem = {}, str(error)
    answer = {
        "answer": text(record.get("answer")),
        "status": short(record.get("status")) or None,
        "action": short(record.get("action")) or None,
        "point": numbers(record.get("point"), 2),
        "box": numbers(record.get("box"), 4),
        "correct": record.get("correct") is True,
        "distance": number(record.get("distance")),
        "outcome": short(record.get("outcome")) or None,
        "stopped": record.get("stopped") is not False,
    }
    return answer if problem is None else {**answer, "problem": problem}


def _size(value: Any) -> list[int] | None:
    found = numbers(value, 2)
    return [int(side) for side in found] if found is not None and all(0 < side < 1e6 for side in found) else None


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        return parse_line(data, "")
    except Problem:
        return {}


def _add_group(groups: dict[str, dict[str, Any]], grouping: str, value: str, place: int, total: int) -> None:
    if grouping not in groups:
        if len(groups) >= MAX_GROUPINGS:
            return
        groups[grouping] = {"values": {}, "codes": array("h", [-1]) * total}
    values = groups[grouping]["values"]
    if value not in values:
        if len(values) >= MAX_GROUP_VALUES:
            return
        values[value] = len(values)
    groups[grouping]["codes"][place] = values[value]
