"""[`RunFiles`]: what a run is and where it stands, and its evaluations' figures."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..best import rank
from ..links import LinkError, check_url
from ..run_folder import layout
from .lines import Lines, TooLong, parse_line
from .reading import (
    MAX_NAME,
    Problem,
    Stamp,
    mapping,
    number,
    open_inside,
    read_json,
    short,
    stamp,
    text,
    whole,
)

MAX_EVALUATIONS = 2000
MAX_FACTS = 60
MAX_PROBLEMS = 20
_OUTCOMES = ("near", "wrong_side", "elsewhere", "unreadable")


class RunFiles:
    """The small files of one run folder, read when they have changed.

    Args:
        folder: The run folder.
        key: What the run is called in URLs.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        self.key = key
        self._lines = Lines(folder, layout.EVALUATIONS)
        self._stamps: tuple[Stamp | None, ...] | None = None
        self.about: dict[str, Any] = {}
        self.progress: dict[str, Any] = {}
        self.evaluations: list[dict[str, Any]] = []
        self.files: dict[str, tuple[str, str]] = {}
        """The files of an evaluation's samples and answers, by its key."""
        self.sets: dict[str, str] = {}
        """The file of an evaluation set's samples, by its name."""
        self.problems: list[str] = []
        self._evaluation_problems: list[str] = []

    def refresh(self) -> tuple[Stamp | None, ...]:
        """Read what has changed; gives the files' stamps."""
        stamps = tuple(stamp(self.folder, name) for name in (layout.RUN, layout.PROGRESS, layout.EVALUATIONS))
        if stamps == self._stamps:
            return stamps
        before, self._stamps = self._stamps, stamps
        self.problems = []
        self.about = self._read(layout.RUN)
        self.progress = self._read(layout.PROGRESS)
        if before is None or before[2] != stamps[2]:
            self._evaluation_problems = []
            self._read_evaluations()
        self.problems = [*self.problems, *self._evaluation_problems][:MAX_PROBLEMS]
        return stamps

    def _read(self, name: str) -> dict[str, Any]:
        try:
            return read_json(self.folder, name)
        except Problem as problem:
            self.problems.append(str(problem))
            return {}

    def _read_evaluations(self) -> None:
        found: dict[str, dict[str, Any]] = {}
        self.files, self.sets = {}, {}
        try:
            self._lines.refresh()
            self._add_evaluations(found)
        except (OSError, Problem) as error:
            self._evaluation_problems.append(getattr(error, "strerror", None) or str(error))
        self.evaluations = sorted(found.values(), key=lambda one: (one["step"], not one["baseline"]))
        mark_best(self.evaluations)

    def _add_evaluations(self, found: dict[str, dict[str, Any]]) -> None:
        for line, data in self._lines.read():
            if not data.strip() and not isinstance(data, TooLong):
                continue
            try:
                evaluation = _evaluation(parse_line(data, f"{self._lines.name}, line {line + 1},"))
            except Problem as problem:
                self._evaluation_problems.append(str(problem))
                continue
            files = evaluation.pop("files")
            found.pop(evaluation["key"], None)  # one that was made again takes its place
            found[evaluation["key"]] = evaluation
            self.files[evaluation["key"]] = files
            self.sets.setdefault(evaluation["set"], files[0])
            if len(found) >= MAX_EVALUATIONS:
                self._evaluation_problems.append(f"only the first {MAX_EVALUATIONS} evaluations are read")
                break
        for name in dict.fromkeys(name for files in self.files.values() for name in files):
            try:
                open_inside(self.folder, name).close()
            except Problem as problem:
                self._evaluation_problems.append(f"{self._lines.name}: {problem}")

    # For the pages -----------------------------------------------------------------------------------------------

    def standing(self) -> dict[str, Any]:
        """Where the run stands: its state, its steps, when it was last seen."""
        progress = self.progress
        state = progress.get("state")
        seen_at = self._seen_at()
        silent = max(0.0, time.time() - seen_at) if seen_at is not None else None
        if state not in ("training", "evaluating", "ended"):
            state = "unknown"
        elif state != "ended" and silent is not None and silent > layout.SILENT_SECONDS:
            state = "died"
        return {
            "state": state,
            "outcome": text(progress.get("outcome"), MAX_NAME) if state == "ended" else None,
            # In whole tens: what changes at each look can't be kept by who looks.
            "silent_for": int(silent // 10 * 10) if silent is not None else None,
            "step": whole(progress.get("step")),
            "max_steps": whole(progress.get("max_steps")),
            "started_at": number(self.about.get("started_at")),
            "seen_at": seen_at,
        }

    def _seen_at(self) -> float | None:
        # The file's own time, and not what it says: another machine's clock may be wrong.
        assert self._stamps is not None
        progress = self._stamps[1]
        return round(progress[2] / 1e9, 1) if progress is not None else None

    def speed(self) -> dict[str, Any]:
        """How fast it is, and how long it will take."""
        progress, facts = self.progress, mapping(self.about.get("facts"))
        at, begun = number(progress.get("at")), number(progress.get("begun_at"))
        step, begun_step = whole(progress.get("step")), whole(progress.get("begun_step"), 0)
        last = whole(progress.get("max_steps"))
        ended = number(progress.get("ended_at"))
        per_second = left = None
        if at is not None and begun is not None and step is not None and begun_step is not None:
            seconds = (ended or at) - begun
            per_second = _share(step - begun_step, seconds) if seconds > 0 and step > begun_step else None
        samples = number(facts.get("samples_per_step"))
        if per_second and last is not None and step is not None and ended is None:
            left = _share(max(0, last - step), per_second)
        return {
            "steps_per_second": per_second,
            "samples_per_second": number(per_second * samples) if per_second and samples else None,
            "seconds_left": left,
            "ended_at": ended,
            "begun_step": begun_step,
            "epoch": number(progress.get("epoch")),
            "num_epochs": number(progress.get("num_epochs")),
        }

    def names(self) -> dict[str, Any]:
        """The run's names."""
        about, facts = self.about, mapping(self.about.get("facts"))
        identity = short(about.get("id")) or short(self.key.rpartition("/")[2])
        return {
            "key": self.key,
            "id": identity,
            "name": short(facts.get("name")) or identity,
            "project": short(about.get("project")) or None,
            "model": short(facts.get("model")) or None,
        }

    def links(self) -> dict[str, Any]:
        """Its page at W&B, if it is a URL, or else the command that sends it there."""
        return {
            "entity": short(self.about.get("entity")) or None,
            "url": safe_url(self.about.get("url")),
            "sync_command": text(self.about.get("sync_command"), 2000),
        }

    def config(self) -> dict[str, Any]:
        """The training's main numbers."""
        facts = mapping(self.about.get("facts"))
        return {short(name): _fact(value) for name, value in list(facts.items())[:MAX_FACTS]}


def mark_best(evaluations: list[dict[str, Any]]) -> None:
    """Mark each set's best: highest accuracy, then smallest distance, then earliest; never the base model's."""
    best: dict[str, dict[str, Any]] = {}
    for one in evaluations:
        if one["accuracy"] is None or one["baseline"]:
            continue
        now = best.get(one["set"])
        if now is None or _rank(one) < _rank(now):
            best[one["set"]] = one
    for one in best.values():
        one["best"] = True


def _rank(one: Mapping[str, Any]) -> tuple[float, float]:
    return rank(one["accuracy"], one["distance"])


def safe_url(value: Any) -> str | None:
    """`value` if it is a link that can be shown."""
    try:
        return check_url("url", value) if isinstance(value, str) and len(value) < 2000 else None
    except LinkError:
        return None


def _share(count: float, of: float) -> float | None:
    """`count / of`; `None` for what is too large to be true."""
    try:
        return number(count / of)
    except OverflowError:
        return None


def _evaluation(record: Mapping[str, Any]) -> dict[str, Any]:
    metrics = mapping(record.get("metrics"))

    def metric(name: str) -> float | int | None:
        return number(metrics.get(f"grounding_{name}"))

    split, step = short(record.get("set")) or "eval", whole(record.get("step"), 0)
    baseline = record.get("baseline") is True
    groups = {
        short(name.removeprefix("grounding_accuracy/")): number(value)
        for name, value in list(metrics.items())[:500]
        if name.startswith("grounding_accuracy/")
    }
    return {
        "key": layout.evaluation_key(split, step or 0, baseline=baseline),
        "set": split,
        "step": step,
        "epoch": number(record.get("epoch")),
        "at": number(record.get("at")),
        "baseline": baseline,
        "best": False,
        "seconds": metric("seconds"),
        "samples": metric("samples"),
        "correct": metric("correct"),
        "accuracy": metric("accuracy"),
        "low": metric("accuracy_low"),
        "high": metric("accuracy_high"),
        "distance": metric("distance"),
        "parsed": metric("parsed"),
        "fixed": metric("fixed"),
        "broken": metric("broken"),
        "misses": {name: metric(f"misses/{name}") for name in _OUTCOMES},
        "groups": groups,
        "files": (str(record.get("samples")), str(record.get("answers"))),
    }


def _fact(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return value
    found = number(value)
    return found if found is not None else text(value, MAX_NAME)
