"""The evaluation sets' fingerprints in a run's folder, written once and kept when a training goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from oaml_callbacks.run_folder import layout
from oaml_callbacks.run_folder.writer import RunFolder

from ..run_folders import FACTS, trainer_state
from .examples import SET


def told(folder: RunFolder) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder.path / layout.RUN).read_text(encoding="utf-8"))
    return found


def test_a_resumed_training_keeps_them_and_a_new_one_does_not(tmp_path: Path) -> None:
    first = RunFolder(tmp_path, "abc", FACTS, trainer_state(), resumes=False)
    first.describe_sets({"eval": SET})
    resumed = RunFolder(tmp_path, "abc", FACTS, trainer_state(10), resumes=True)
    resumed.describe(project="clicks")
    assert told(resumed)["grounding"] == {"eval": SET}
    resumed.describe_sets({"eval_web": SET})
    assert told(resumed)["grounding"] == {"eval": SET, "eval_web": SET}
    new = RunFolder(tmp_path, "abc", FACTS, trainer_state(), resumes=False)
    assert told(new)["grounding"] == {}


def test_rules_are_written_without_secrets_and_as_plain_values(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "abc", FACTS, trainer_state(), resumes=False)
    rules = {"api_key": "abcdefgh12345678", "images": Path("screens"), "limit": float("inf")}
    folder.describe_sets({"eval": {**SET, "rules": rules}})
    assert told(folder)["grounding"]["eval"]["rules"] == {"api_key": "***", "images": "screens", "limit": "Infinity"}


def test_what_is_known_is_not_written_again(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "abc", FACTS, trainer_state(), resumes=False)
    folder.describe_sets({"eval": SET})
    before = (folder.path / layout.RUN).stat().st_ino
    folder.describe_sets({"eval": SET})
    assert (folder.path / layout.RUN).stat().st_ino == before
