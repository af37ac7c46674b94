"""Runs from their folders, read by the viewer's careful readers: every value checked, every size bounded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..clean_text import one_line
from ..keys import STEP_KEY
from ..run_folder import layout
from ..run_folder.runs_dir import choose_runs_dir
from ..values import shown
from ..viewer.foreign import NOTE, ForeignRun
from ..viewer.lines import Lines, parse_line
from ..viewer.own_run import OwnRun
from ..viewer.reading import MAX_NAME, Problem, mapping, number, numbers, open_inside, read_json, short, text, whole
from ..viewer.run_files import RunFiles, safe_url
from ..viewer.runs import Run, Runs
from .runs import MAX_NAMED, Answer, ReadRun, RunEvaluation, RunReferenceError

MAX_SAMPLES = 200_000
"""Samples of an evaluation that are read."""
MAX_ROWS = 5000
"""Rows of a history that are given: the evaluations', and of the others some."""
MAX_SETS = 100
MAX_RULES = 50
MAX_GROUPS = 10

_METRICS = {
    "accuracy": "grounding_accuracy",
    "low": "grounding_accuracy_low",
    "high": "grounding_accuracy_high",
    "correct": "grounding_correct",
    "samples": "grounding_samples",
    "distance": "grounding_distance",
    "parsed": "grounding_parsed",
    "seconds": "grounding_seconds",
    "fixed": "grounding_fixed",
    "broken": "grounding_broken",
}
"""What the viewer calls the metrics, and their plain names."""


class NoRunFolder(RunReferenceError):
    """A folder without a run in it: something else may be called so."""


def read_folder(reference: str, there: FolderRuns) -> ReadRun | None:
    """The run whose folder is at this path; `None` if there is no such folder.

    Args:
        reference: The path.
        there: The runs that are known by id: one of these goes before a folder that happens to be called so.

    Raises:
        NoRunFolder: There is no run in the folder.
        RunReferenceError: The folder is W&B's own, or holds several runs.
    """
    if not reference:
        return None
    path = Path(os.path.expanduser(reference))
    if not os.path.isdir(path):  # a Path's own method raises for a name that is too long
        return None
    if not _is_path(reference) and there.has(reference):
        return None
    runs = Runs(path)
    found = runs.all()
    if not found:
        if any(path.glob("*.wandb")) or path.name == "wandb":
            raise RunReferenceError(
                f"{one_line(reference)} is W&B's own folder, which is not read. Send it with `wandb sync` and name "
                "the run as entity/project/run_id, or give its run folder (training_output/RUN_ID)."
            )
        raise NoRunFolder(
            f"{one_line(reference)} is no run folder: trainings with OpenAdaptWandbCallback write one for each run, "
            f"{layout.RUNS_DIR}/RUN_ID."
        )
    if len(found) > 1:
        raise RunReferenceError(
            f"{one_line(reference)} holds {len(found)} runs ({_listed(found)}): name one of them, "
            f"{one_line(os.path.join(reference, found[0].key))}."
        )
    return _read_run(reference, found[0])


def _is_path(reference: str) -> bool:
    return os.sep in reference or "/" in reference or reference in (".", "..")


def _listed(runs: Sequence[Run]) -> str:
    return ", ".join(one_line(run.key) for run in runs[:MAX_NAMED]) + (", …" if len(runs) > MAX_NAMED else "")


class FolderRuns:
    """The runs below a folder, looked for by id, name, or the beginning of an id.

    Args:
        runs_dir: The folder; `None`: where trainings write them.
    """

    def __init__(self, runs_dir: Path | None) -> None:
        self.folder = runs_dir or choose_runs_dir(None) or Path(layout.RUNS_DIR)
        self.shown = shown(self.folder.absolute())
        self._runs: Runs | None = Runs(self.folder) if os.path.isdir(self.folder) else None
        self._known: list[tuple[Run, str, str]] | None = None

    def has(self, reference: str) -> bool:
        """Whether there is a run of exactly that key or id."""
        return any(reference in (run.key, run_id) for run, run_id, _ in self._all())

    def find(self, reference: str) -> ReadRun | None:
        """The run that is meant; `None` if there is none.

        Raises:
            RunReferenceError: Several could be meant.
        """
        if self._runs is None or not reference:
            return None
        known = self._all()
        current = self._runs.current() if reference == layout.CURRENT else None
        matches = (
            [run for run, _, _ in known if run.key == (current or reference)],
            [run for run, run_id, _ in known if reference in (run_id, run.key.rpartition("/")[2])],
            [run for run, _, name in known if name == reference],
            [run for run, run_id, _ in known if run_id.startswith(reference)],
        )
        for what, found in zip(("path", "id", "name", "beginning of the id"), matches, strict=True):
            if len(found) > 1:
                raise RunReferenceError(
                    f"{one_line(reference)} is the {what} of {len(found)} runs in {self.shown}: {_listed(found)}. "
                    "Name one of these."
                )
            if found:
                return _read_run(reference, found[0])
        return None

    def names(self) -> list[str]:
        """What the runs are called: ids, paths below the folder, and names."""
        known = self._all()
        names = [*(run.key for run, _, _ in known), *(name for _, _, name in known if name)]
        return list(dict.fromkeys(map(one_line, names)))

    def _all(self) -> list[tuple[Run, str, str]]:
        if self._known is None:
            runs = self._runs.all() if self._runs is not None else []
            self._known = [(run, *_identity(run)) for run in runs]
        return self._known


def _identity(run: Run) -> tuple[str, str]:
    """A run's id and name, from its smallest file alone."""
    last = run.key.rpartition("/")[2]
    if isinstance(run, ForeignRun):
        return last, ""
    try:
        about = read_json(run.folder, layout.RUN)
    except (Problem, OSError):
        return last, ""
    return short(about.get("id")) or last, short(mapping(about.get("facts")).get("name"))


# One run -----------------------------------------------------------------------------------------------------------


def _read_run(reference: str, run: Run) -> ReadRun:
    try:
        told = run.run()
        about = {} if isinstance(run, ForeignRun) else read_json(run.folder, layout.RUN)
        progress = {} if isinstance(run, ForeignRun) else read_json(run.folder, layout.PROGRESS)
    except (Problem, OSError) as error:
        raise RunReferenceError(f"the run {one_line(reference)} can't be read: {error}") from None
    config, totals = mapping(told["config"]), mapping(about.get("totals"))
    links = mapping(about.get("links"))
    steps = whole(told["step"])
    per_step = number(config.get("samples_per_step"))
    began, ended = number(progress.get("begun_at")), number(progress.get("ended_at")) or number(progress.get("at"))
    measured = ended - began if began is not None and ended is not None and ended > began else None
    return ReadRun(
        reference=reference,
        id=told["id"],
        name=told["name"],
        source="folder",
        evaluations=[_evaluation(one) for one in told["evaluations"]],
        _source=_FolderSource(run),
        url=told.get("url"),
        viewer_url=safe_url(links.get("viewer_url")),
        dashboard_url=safe_url(links.get("dashboard_url")),
        outcome=told["outcome"] or (told["state"] if told["state"] != "unknown" else None),
        started_at=number(told["started_at"]),
        seconds=number(totals.get("train_runtime")) or measured,
        steps=steps,
        samples_seen=int(steps * per_step) if steps is not None and per_step else None,
        total_flos=number(totals.get("total_flos")),
        gpu=text(config.get("gpu"), MAX_NAME),
        config={"model": told["model"], **config} if told.get("model") else dict(config),
        fingerprints=checked_fingerprints(about.get("grounding")),
        adapter=short(about.get("adapter")) or None,
        folder=run.folder,
        notes=(NOTE,) if isinstance(run, ForeignRun) else tuple(told["problems"][:MAX_NAMED]),
    )


def checked_fingerprints(given: Any) -> dict[str, dict[str, Any]]:
    """Evaluation sets' fingerprints, as they were written into a run's folder or config."""
    found: dict[str, dict[str, Any]] = {}
    for split, facts in list(mapping(given).items())[:MAX_SETS]:
        about = mapping(facts)
        digest = about.get("fingerprint")
        rules = list(mapping(about.get("rules")).items())[:MAX_RULES]
        found[short(split)] = {
            "fingerprint": short(digest) if isinstance(digest, str) else None,
            "samples": whole(about.get("samples")),
            "rules": {short(name): _rule(value) for name, value in rules},
        }
    return found


def _rule(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    found = number(value)
    return found if found is not None else text(value, MAX_NAME)


def _evaluation(one: Mapping[str, Any]) -> RunEvaluation:
    metrics = {plain: one[name] for name, plain in _METRICS.items() if one.get(name) is not None}
    metrics |= {f"grounding_accuracy/{group}": value for group, value in one["groups"].items() if value is not None}
    return RunEvaluation(one["key"], one["set"], one["step"], one["baseline"], metrics)


@dataclass(frozen=True)
class _FolderSource:
    """The long parts of a run folder."""

    run: Run

    def history(self) -> Sequence[Mapping[str, float]]:
        if isinstance(self.run, ForeignRun):
            return _rows_of_curves(self.run.history()["series"])
        lines = Lines(self.run.folder, layout.HISTORY)
        try:
            lines.refresh()
            return _thinned(lines)
        except (Problem, OSError):
            return []  # a run that has logged nothing yet

    def answers(self, evaluation: RunEvaluation) -> Sequence[Answer]:
        run = self.run
        try:
            if isinstance(run, ForeignRun):
                return list(_foreign_answers(run, evaluation))
            return list(_own_answers(run, evaluation.key))
        except (Problem, OSError) as error:
            raise RunReferenceError(
                f"the answers of {one_line(run.key)}, {one_line(evaluation.key)}, can't be read: {error}"
            ) from None


def _thinned(lines: Lines) -> list[dict[str, float]]:
    every = max(1, -(-len(lines) // MAX_ROWS))
    rows = []
    for place, data in lines.read():
        if place % every and b"grounding_accuracy" not in data and place != len(lines) - 1:
            continue
        try:
            row = {name: found for name, value in parse_line(data, "").items() if (found := number(value)) is not None}
        except Problem:
            continue
        if STEP_KEY in row:
            rows.append(row)
    return rows


def _rows_of_curves(series: Mapping[str, Mapping[str, Sequence[float]]]) -> list[dict[str, float]]:
    rows: dict[float, dict[str, float]] = {}
    for name, curve in series.items():
        for step, value in zip(curve["step"], curve["value"], strict=True):
            rows.setdefault(step, {STEP_KEY: step})[name] = value
    return [rows[step] for step in sorted(rows)]


def _own_answers(run: OwnRun, key: str) -> Iterator[Answer]:
    files = RunFiles(run.folder, run.key)
    files.refresh()
    if key not in files.files:
        raise Problem("there is no such evaluation")
    for name in files.files[key]:
        open_inside(run.folder, name).close()  # of a file that isn't there `Lines` says nothing
    samples, answers = (Lines(run.folder, name) for name in files.files[key])
    samples.refresh()
    answers.refresh()
    if len(answers) > MAX_SAMPLES:
        raise Problem(f"it has {len(answers):,} answers, more than the {MAX_SAMPLES:,} that are read")
    asked = [_record(data) for _, data in samples.read(0, MAX_SAMPLES)]
    for line, data in answers.read():
        answer = _record(data)
        place = answer.get("sample", line)
        if answer and isinstance(place, int) and 0 <= place < len(asked):
            yield made_answer(asked[place], answer)


def _record(data: bytes) -> dict[str, Any]:
    try:
        return parse_line(data, "")
    except Problem:
        return {}


def _foreign_answers(run: ForeignRun, evaluation: RunEvaluation) -> Iterator[Answer]:
    block = 0
    while samples := run.sample_block(evaluation.split, block):
        for sample, answer in zip(samples, run.answers(evaluation.key, block), strict=True):
            if answer is not None:
                yield made_answer(sample, answer)
        block += 1


def made_answer(sample: Mapping[str, Any], answer: Mapping[str, Any]) -> Answer:
    """An answer of what a file says of its sample and of it, each value checked.

    Args:
        sample: `id`, `instruction`, `target`, `box`, `point`, `groups`, `picture`.
        answer: `answer`, `status`, `point`, `mark`, `correct`, `distance`, `outcome`.
    """
    correct, click = answer.get("correct") is True, _place(answer.get("point"), 2)
    answers_where = click is not None or answer.get("mark") is not None or answer.get("status") == "refusal"
    return Answer(
        id=short(sample.get("id")),
        correct=correct,
        distance=number(answer.get("distance")),
        readable=answers_where or correct,
        groups={short(name): short(value) for name, value in list(mapping(sample.get("groups")).items())[:MAX_GROUPS]},
        instruction=text(sample.get("instruction")) or "",
        answer=text(answer.get("answer")) or "",
        target=text(sample.get("target")) or "",
        box=_place(sample.get("box"), 4),
        point=_place(sample.get("point"), 2),
        click=click,
        outcome=short(answer.get("outcome")) or None,
        picture=text(sample.get("picture"), MAX_NAME),
    )


def _place(value: Any, count: int) -> tuple[float, ...] | None:
    found = numbers(value, count)
    return None if found is None else tuple(found)
