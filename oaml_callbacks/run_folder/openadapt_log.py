"""[`OpenAdaptLog`]: the run as openadapt-ml 0.17.0's own pages read it, from files whose size is bounded.

openadapt-ml writes its `training_log.json` anew at every step, with every loss so far. Here it is written at times,
with at most [`MAX_LOSSES`] losses: of a longer training every second, fourth, … of them. The form is that of
`TrainingState.to_dict` (`openadapt_ml/training/trainer.py`) and of `predictions_epoch{N}.json`
(`openadapt_ml/training/viewer.py`); `tests/run_folder/test_openadapt_pages.py` makes its pages from them.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

from .. import keys
from ..clean_text import cut, one_line
from ..grounding.metrics import GradedSample
from ..grounding.samples import chosen_indices

MAX_LOSSES = 1000
MAX_SHOWN = 100
"""Samples in `predictions_epoch<N>.json`, the same ones each time."""
MAX_GALLERY = 24
"""Samples of one evaluation in `training_log.json`, the first of those."""
MAX_GALLERIES = 40
"""Evaluations in `training_log.json`, the last ones."""
MAX_TEXT = 600
"""Characters of an answer in openadapt-ml's pages."""

_TERMINATION = {"finished": "auto_complete", "interrupted": "user_stop", "running": "running"}


class OpenAdaptLog:
    """openadapt-ml's two kinds of file of one run, as text. May be used by two threads.

    Args:
        facts: What its pages tell of the run: `job_id`, `model_name`, `lora_r`, …
        started_at: When the run began, in Unix seconds.

    Attributes:
        num_epochs: Epochs that the training is to have.
        outcome: How it ended; `running` until then.
    """

    def __init__(self, facts: Mapping[str, Any], started_at: float) -> None:
        self._lock = Lock()
        self._facts = dict(facts)
        self._started_at = started_at
        # Entries are turned into text once, not at each writing.
        self._losses: list[str] = []
        self._stride = 1
        self._seen = 0
        self._last: dict[str, Any] = {}
        self._galleries: list[list[str]] = []
        self._shown: list[str] | None = None
        self._base: list[dict[str, Any]] = []
        self.outcome = "running"
        self.num_epochs = 0.0
        self._dirty = True

    def end(self, outcome: str) -> None:
        """Note how the training ended."""
        self.outcome, self._dirty = outcome, True

    def take_up(self, written: Mapping[str, Any], epoch: float | None) -> None:
        """Take over the galleries that an earlier part of the run has written, up to an epoch."""
        galleries: dict[int, list[str]] = {}
        for entry in written.get("evaluations", []):
            if isinstance(entry, dict) and isinstance(entry.get("epoch"), int) and entry["epoch"] <= (epoch or 0):
                galleries.setdefault(entry["epoch"], []).append(json.dumps(entry))
        self._galleries = [*galleries.values()][-MAX_GALLERIES:]

    def add_loss(self, row: Mapping[str, Any], *, at: float) -> None:
        """Add a log event's loss, if it has one that is a number.

        Args:
            row: The row of the history, by W&B's keys.
            at: When it was logged, in Unix seconds.
        """
        loss, rate = row.get("train/loss"), row.get("train/learning_rate", 0.0)
        if not _is_finite(loss) or not _is_finite(rate):
            return  # their page stops at a NaN
        step, epoch = int(row.get(keys.STEP_KEY, 0)), self._epoch(row.get("train/epoch"))
        entry = {"epoch": epoch, "step": step, "loss": loss, "lr": rate, "time": round(at - self._started_at, 3)}
        with self._lock:
            self._last = {"epoch": epoch, "step": step, "loss": loss, "learning_rate": rate}
            self._dirty = True
            self._seen += 1
            if (self._seen - 1) % self._stride:
                return
            self._losses.append(json.dumps(entry))
            if len(self._losses) > MAX_LOSSES:
                self._losses = self._losses[::2]
                self._stride *= 2

    def add_evaluation(
        self, rows: Sequence[GradedSample], pictures: Mapping[str, str | None], *, epoch: float | None
    ) -> tuple[str, str]:
        """Put the first of an evaluation's samples into the log.

        Returns:
            The name and the text of the evaluation's own file; the last of an epoch stays.
        """
        if self._shown is None:
            chosen = [rows[index] for index in chosen_indices(len(rows), MAX_SHOWN)]
            self._shown = [row.sample.id for row in chosen]
            self._base = [
                {
                    "index": index,
                    "time": float(index),
                    "image_path": pictures.get(one_line(row.sample.id)) or "",
                    "human_action": _human_action(row),
                }
                for index, row in enumerate(chosen)
            ]
        by_id = {row.sample.id: row for row in rows}
        answers = [_prediction(by_id.get(name)) for name in self._shown]
        number = self._epoch(epoch)
        gallery = [
            json.dumps(_gallery_entry(number, base, answer, by_id.get(name)), allow_nan=False)
            for base, answer, name in zip(self._base, answers, self._shown, strict=True)
        ]
        with self._lock:
            self._galleries = [*self._galleries, gallery[:MAX_GALLERY]][-MAX_GALLERIES:]
            self._dirty = True
        text = json.dumps({"base_data": self._base, "predictions": answers}, allow_nan=False)
        return f"predictions_epoch{number}.json", text

    def _epoch(self, epoch: float | None) -> int:
        """The number of the epoch, from 0 on; at the end of the last one it is still that."""
        return min(int(epoch or 0), self._total_epochs - 1)

    @property
    def _total_epochs(self) -> int:
        return max(1, math.ceil(self.num_epochs or 0))

    def text(self, *, max_steps: int, samples_seen: int) -> str | None:
        """What `training_log.json` is to hold; `None` if nothing has changed since this was asked last."""
        with self._lock:
            if not self._dirty:
                return None
            self._dirty = False
            return self._as_text(max_steps, samples_seen)

    def _as_text(self, max_steps: int, samples_seen: int) -> str:
        fields = {
            **self._facts,
            "started_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._started_at)),
            "epoch": self._last.get("epoch", 0),
            "step": self._last.get("step", 0),
            "total_steps": max_steps,
            "total_epochs": self._total_epochs,
            "loss": self._last.get("loss", 0.0),
            "learning_rate": self._last.get("learning_rate", 0.0),
            "samples_seen": samples_seen,
            "elapsed_time": round(time.time() - self._started_at, 3),
            "termination_status": _TERMINATION.get(self.outcome, "stopped"),
            "termination_message": "" if self.outcome == "running" else self.outcome,
        }
        evaluations = ",".join(entry for gallery in self._galleries for entry in gallery)
        head = json.dumps(fields, allow_nan=False).removesuffix("}")
        return f'{head}, "losses": [{",".join(self._losses)}], "evaluations": [{evaluations}]}}\n'


def openadapt_facts(run_id: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `training_log.json` that don't change: all that openadapt-ml has, empty where nobody knows."""
    unknown = dict.fromkeys(
        ("capture_path", "config_path", "instance_type", "instance_ip", "cloud_provider", "cloud_dashboard_url"), ""
    )
    return {
        "job_id": run_id,
        "hostname": facts.get("host", ""),
        **unknown,
        "goal": facts.get("name") or run_id,
        "model_name": facts.get("model") or "",
        "lora_r": facts.get("lora_r") or 0,
        "lora_alpha": facts.get("lora_alpha") or 0,
        "load_in_4bit": bool(facts.get("load_in_4bit")),
        "cloud_instance_id": "",
        "setup_status": "complete",
        "setup_logs": [],
    }


def _human_action(row: GradedSample) -> dict[str, Any]:
    point = row.sample.target.point
    place = {"x": point[0], "y": point[1]} if point is not None else {"x": None, "y": None}
    return {"type": "click", **place, "text": _harmless(row.sample.instruction)}


def _prediction(row: GradedSample | None) -> dict[str, Any]:
    """What the model answered. Never `null`, which empties their gallery."""
    if row is None:
        return {"predicted_action": {"type": "none", "raw_output": "(not asked in this evaluation)"}, "match": False}
    action: dict[str, Any] = {"type": row.action.kind or "unreadable", "raw_output": _harmless(row.answer)}
    if row.action.point is not None and all(map(math.isfinite, row.action.point)):
        action |= {"x": row.action.point[0], "y": row.action.point[1]}
    return {"predicted_action": action, "match": row.correct}


def _gallery_entry(
    epoch: int, base: Mapping[str, Any], answer: Mapping[str, Any], row: GradedSample | None
) -> dict[str, Any]:
    distance = row.distance if row is not None else None
    return {
        "epoch": epoch,
        "sample_idx": base["index"],
        "image_path": base["image_path"],
        "human_action": base["human_action"],
        "predicted_action": answer["predicted_action"],
        # Their pages take every distance for a number: where there is none, as far as on a screen a click can be.
        "distance": distance if _is_finite(distance) else math.sqrt(2),
        "correct": bool(row is not None and row.correct),
    }


def _harmless(text: str) -> str:
    """`text` without what their pages would take for markup: they put it into scripts and into elements as it is."""
    return cut(text, MAX_TEXT).replace("<", "\u2039").replace(">", "\u203a").replace("&", "\uff06")


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
