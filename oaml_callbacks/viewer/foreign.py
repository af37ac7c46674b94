"""[`ForeignRun`]: a run that openadapt-ml's own trainer has written, from its `training_log.json` alone.

Its `correct` is true of every click (it takes shares of the screen for pixels), so clicks are graded here again:
within 0.05 of the recorded one, which is openadapt-ml's own click tolerance.
"""

from __future__ import annotations

import calendar
import hashlib
import math
import time
from pathlib import Path
from typing import Any

from ..run_folder import layout
from ..wilson import wilson_interval
from .clicks import ABSENT, BLOCK, LETTERS, SCALE, TRACK_BLOCK
from .history import thinned
from .reading import MAX_NAME, Problem, Stamp, mapping, number, read_json, short, stamp, text, whole
from .run_files import mark_best, safe_url

TOLERANCE = 0.05
MAX_ROWS = 200_000
MAX_LOG = 32 * 2**20
"""Bytes of a log; openadapt-ml's own has every loss and every answer in one object."""
MAX_SHARE = 1e6
"""Places further off are no places: with them distances would be no numbers."""
SET = "eval"
NOTE = (
    "Written by openadapt-ml: a click counts as right within 0.05 of the recorded one. Its log has no baseline, and "
    "of a step its epoch alone."
)
_ENDED = ("auto", "complete", "user", "stopped", "failed", "error")

Stamps = tuple[Stamp | None, ...]


class ForeignRun:
    """One run folder without files of ours; its methods are those of [`OwnRun`].

    Args:
        folder: The run folder.
        key: What the run is called in URLs.
    """

    foreign = True

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        self.key = key
        self._stamp: Stamp | None = None
        self._log: dict[str, Any] = {}
        self._problems: list[str] = []
        self._samples: dict[int, dict[str, Any]] = {}
        self._epochs: dict[int, dict[int, dict[str, Any]]] = {}
        self._evaluations: list[dict[str, Any]] = []

    def _refresh(self) -> None:
        now = stamp(self.folder, layout.TRAINING_LOG)
        if now is not None and now == self._stamp:
            return
        self._stamp, self._problems = now, []
        try:
            self._log = read_json(self.folder, layout.TRAINING_LOG, MAX_LOG)
        except Problem as problem:
            self._log, self._problems = {}, [str(problem)]
        self._samples, self._epochs = {}, {}
        rows = self._log.get("evaluations")
        if rows is not None and not isinstance(rows, list):
            self._problems.append("`evaluations` is no list")
        for row in rows[:MAX_ROWS] if isinstance(rows, list) else []:
            self._add(mapping(row))
        self._evaluations = [self._evaluation(epoch) for epoch in sorted(self._epochs)]
        mark_best(self._evaluations)

    def _add(self, row: dict[str, Any] | Any) -> None:
        epoch, index = whole(row.get("epoch")), whole(row.get("sample_idx"))
        if epoch is None or index is None:
            return
        human, predicted = mapping(row.get("human_action")), mapping(row.get("predicted_action"))
        target, click = _point(human), _point(predicted)
        self._samples.setdefault(
            index,
            {
                "id": f"sample {index}",
                "instruction": text(human.get("text")) or text(self._log.get("goal"), MAX_NAME) or "",
                "target": f"{short(human.get('type')) or 'click'} {target or ''}".strip(),
                "box": None,
                "point": target,
                "picture": text(row.get("image_path"), MAX_NAME) or None,
                "size": None,
                "groups": {},
            },
        )
        distance = math.dist(target, click) if target and click else None
        correct = distance is not None and distance < TOLERANCE
        self._epochs.setdefault(epoch, {})[index] = {
            "answer": text(predicted.get("raw_output")),
            "status": "ok" if click else "unreadable",
            "action": short(predicted.get("type")) or None,
            "point": click,
            "box": None,
            "correct": correct,
            "distance": distance,
            "outcome": "correct" if correct else "elsewhere" if click else "unreadable",
            "stopped": True,
        }

    def _evaluation(self, epoch: int) -> dict[str, Any]:
        rows = self._epochs[epoch].values()
        correct, distances = sum(row["correct"] for row in rows), [row["distance"] for row in rows if row["point"]]
        readable = [distance for distance in distances if distance is not None]
        low, high = wilson_interval(correct, len(rows))
        return {
            "key": layout.evaluation_key(SET, epoch),
            "set": SET,
            "step": epoch,
            "epoch": epoch,
            "at": None,
            "baseline": False,
            "best": False,
            "seconds": None,
            "samples": len(rows),
            "correct": correct,
            "accuracy": correct / len(rows),
            "low": low,
            "high": high,
            "distance": math.fsum(readable) / len(readable) if readable else None,
            "parsed": len(distances) / len(rows),
            "fixed": None,
            "broken": None,
            "misses": {},
            "groups": {},
        }

    def forget(self) -> None:
        """Give back the memory that looking at the run has taken."""
        self._stamp, self._log, self._samples, self._epochs = None, {}, {}, {}

    # Pieces ------------------------------------------------------------------------------------------------------

    def identity(self) -> str:
        """The run's id."""
        self._refresh()
        return short(self._log.get("job_id")) or short(self.key.rpartition("/")[2])

    def row(self) -> dict[str, Any]:
        """The run's row in the list of runs."""
        self._refresh()
        return {
            **self._names(),
            **self._standing(),
            "accuracy": {
                "last": self._evaluations[-1]["accuracy"] if self._evaluations else None,
                "best": next((one["accuracy"] for one in self._evaluations if one["best"]), None),
                "baseline": None,
            },
            "samples": len(self._samples) or None,
            "evaluations": len(self._evaluations),
            "problems": len(self._problems),
            "foreign": True,
        }

    def run(self) -> dict[str, Any]:
        """What the run is and where it stands."""
        self._refresh()
        log = self._log
        return {
            **self._names(),
            "entity": None,
            "url": safe_url(log.get("cloud_dashboard_url")),
            "sync_command": None,
            **self._standing(),
            "steps_per_second": None,
            "samples_per_second": None,
            "seconds_left": None,
            "ended_at": None,
            "begun_step": 0,
            "epoch": number(log.get("epoch")),
            "num_epochs": number(log.get("total_epochs")),
            "host": short(log.get("hostname")) or None,
            "config": {
                name: text(log.get(name), MAX_NAME)
                for name in ("model_name", "lora_r", "lora_alpha", "load_in_4bit", "goal", "learning_rate")
                if log.get(name) not in (None, "")
            },
            "sets": [{"name": SET, "samples": len(self._samples)}] if self._samples else [],
            "evaluations": self._evaluations,
            "problems": self._problems,
            "foreign": True,
            "note": NOTE,
        }

    def history(self) -> dict[str, Any]:
        """The run's curves."""
        self._refresh()
        losses = self._log.get("losses")
        rows = [mapping(row) for row in losses] if isinstance(losses, list) else []
        series = {}
        for name, key in (("train/loss", "loss"), ("train/learning_rate", "lr")):
            points = [
                (step, value)
                for row in rows
                if (step := number(row.get("step"))) is not None and (value := number(row.get(key))) is not None
            ]
            series[name] = thinned([step for step, _ in points], [value for _, value in points])
        problems = [] if losses is None or isinstance(losses, list) else ["`losses` is no list"]
        return {"rows": len(rows), "series": series, "odd": [], "problems": problems}

    def samples(self, name: str) -> dict[str, Any]:
        """How many samples there are."""
        ids = "\n".join(self.ids(name))
        digest = hashlib.blake2b(ids.encode("utf-8", "replace"), digest_size=8).hexdigest()
        return {
            "count": len(self._samples),
            "block": BLOCK,
            "track_block": TRACK_BLOCK,
            "digest": digest,
            "groups": {},
        }

    def ids(self, name: str) -> list[str]:
        """The ids of all samples."""
        return [sample["id"] for _, sample in self._ordered(name)]

    def sample_block(self, name: str, block: int) -> list[dict[str, Any]]:
        """The samples of a block."""
        return [sample for _, sample in self._ordered(name)[block * BLOCK : (block + 1) * BLOCK]]

    def verdicts(self, evaluation: str) -> dict[str, Any]:
        """The verdict on every sample of an evaluation."""
        rows = self._rows(evaluation)
        columns: dict[str, list[int | None]] = {name: [] for name in ("distance", "dx", "dy")}
        letters = ""
        for index, sample in self._ordered(SET):
            row = rows.get(index)
            letters += LETTERS[row["outcome"]] if row is not None else ABSENT
            click, target = row["point"] if row is not None else None, sample["point"]
            if click is None or target is None:
                values: list[float | None] = [None, None, None]
            else:
                values = [math.dist(click, target), click[0] - target[0], click[1] - target[1]]
            for column, value in zip(columns.values(), values, strict=True):
                column.append(None if value is None else round(value * SCALE))
        return {"outcome": letters, **columns}

    def answers(self, evaluation: str, block: int) -> list[dict[str, Any] | None]:
        """What was answered to the samples of a block."""
        rows = self._rows(evaluation)
        return [rows.get(index) for index, _ in self._ordered(SET)[block * BLOCK : (block + 1) * BLOCK]]

    def track(self, name: str, block: int) -> dict[str, Any]:
        """How the clicks of a track block's samples went over the evaluations."""
        first = block * TRACK_BLOCK
        places = [index for index, _ in self._ordered(name)[first : first + TRACK_BLOCK]]
        epochs = [self._epochs[epoch] for epoch in sorted(self._epochs)]
        rows = [[epoch.get(index) for epoch in epochs] for index in places]
        return {
            "first": first,
            "evaluations": [one["key"] for one in self._evaluations],
            "outcome": ["".join(LETTERS[row["outcome"]] if row else ABSENT for row in one) for one in rows],
            "point": [[row["point"] if row else None for row in one] for one in rows],
        }

    def picture_folder(self) -> Path:
        """Where the paths of pictures begin."""
        return self.folder

    def _stamps(self, *_: Any) -> Stamps:
        self._refresh()
        return (self._stamp,)

    history_stamps = set_stamps = evaluation_stamps = track_stamps = _stamps

    # Inside ------------------------------------------------------------------------------------------------------

    def _ordered(self, name: str) -> list[tuple[int, dict[str, Any]]]:
        self._refresh()
        if name != SET:
            raise Problem(f"the run has no evaluation set {short(name)}")
        return sorted(self._samples.items())

    def _rows(self, evaluation: str) -> dict[int, dict[str, Any]]:
        self._refresh()
        for epoch, rows in self._epochs.items():
            if layout.evaluation_key(SET, epoch) == evaluation:
                return rows
        raise Problem(f"the run has no evaluation {short(evaluation)}")

    def _names(self) -> dict[str, Any]:
        log = self._log
        return {
            "key": self.key,
            "id": self.identity(),
            "name": short(log.get("goal")) or self.identity(),
            "project": None,
            "model": short(log.get("model_name")) or None,
        }

    def _standing(self) -> dict[str, Any]:
        log = self._log
        status = short(log.get("termination_status"))
        seen_at = round(self._stamp[2] / 1e9, 1) if self._stamp is not None else None
        silent = max(0.0, time.time() - seen_at) if seen_at is not None else None
        state = "unknown"
        if status.startswith(_ENDED):
            state = "ended"
        elif status == "running" or (silent is not None and silent < layout.SILENT_SECONDS):
            # Its trainer says nothing between two steps, so silence doesn't mean that it died.
            state = "training" if silent is not None and silent < 10 * layout.SILENT_SECONDS else "unknown"
        return {
            "state": state,
            "outcome": (text(log.get("termination_message"), MAX_NAME) or status) if state == "ended" else None,
            "silent_for": int(silent // 10 * 10) if silent is not None else None,
            "step": whole(log.get("step")),
            "max_steps": whole(log.get("total_steps")) or None,
            "started_at": _unix(log.get("started_at")),
            "seen_at": seen_at,
        }


def _point(action: Any) -> list[float] | None:
    x, y = number(action.get("x")), number(action.get("y"))
    if x is None or y is None or max(abs(x), abs(y)) > MAX_SHARE:
        return None
    return [float(x), float(y)]


def _unix(value: Any) -> float | None:
    try:
        return float(calendar.timegm(time.strptime(str(value), "%Y-%m-%dT%H:%M:%SZ")))
    except (ValueError, OverflowError):
        return None
