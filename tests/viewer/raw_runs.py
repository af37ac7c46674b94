"""Run folders whose files hold what a test says, and pieces as a browser reads them."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oaml_callbacks.run_folder import layout
from oaml_callbacks.viewer.pieces import Pieces
from oaml_callbacks.viewer.runs import Runs

SAMPLES = layout.samples_file("eval")
ANSWERS = layout.answers_file("eval", 10)


def raw_run(parent: Path, files: Mapping[str, str | bytes], name: str = "raw") -> Path:
    """Write files into a run folder, by their paths in it."""
    folder = parent / name
    for relative, content in files.items():
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def lines(*rows: Any) -> str:
    """Rows as lines of JSON; NaN and Infinity as Python writes them, which JSON hasn't."""
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def evaluation(step: int = 10, **changed: Any) -> dict[str, Any]:
    """An evaluation's line."""
    files = {"samples": SAMPLES, "answers": layout.answers_file("eval", step)}
    return {"set": "eval", "step": step, **files, "metrics": {"grounding_accuracy": 0.5}, **changed}


def evaluated_run(parent: Path, samples: str | bytes, answers: str | bytes, name: str = "raw") -> Path:
    """A run folder with one evaluation, `eval@10`, of such samples and answers."""
    files = {layout.RUN: "{}", layout.EVALUATIONS: lines(evaluation()), SAMPLES: samples, ANSWERS: answers}
    return raw_run(parent, files, name)


def piece(folder: Path, name: str, **parameters: str) -> Any:
    """A piece of the runs below a folder; what a browser can't read is an error."""
    return strict(Pieces(Runs(folder)).get(name, parameters).body)


def strict(data: bytes) -> Any:
    """The value of JSON, as browsers read it: there is no NaN."""

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is no JSON")

    return json.loads(data.decode("utf-8"), parse_constant=refuse)


@contextmanager
def without_rights() -> Iterator[Path]:
    """Be somebody who may not read everything; gives a folder of theirs. (Containers run tests as root, who may.)"""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as folder:
        if root:
            os.chown(folder, 65534, 65534)
            os.seteuid(65534)
        try:
            yield Path(folder)
        finally:
            if root:
                os.seteuid(0)
