"""`oaml view --export`: a copy of the viewer and of all it shows, in files that any host, or a disk, serves."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .bundle import bundled
from .clicks import BLOCK, TRACK_BLOCK
from .pages import CHARTS, charts_library, page_path
from .pictures import Pictures
from .pieces import NAMES, Pieces
from .reading import Problem
from .runs import Run, Runs

PAGES = ("index.html", "dashboard.html", "viewer.html")
MARK = ".oaml-export"
"""Lies in every copy: a folder that has it, or is empty, may be written to."""


class ExportError(ValueError):
    """A copy that can't be written; the text says why, and what to do."""


@dataclass
class Written:
    """What an export has written."""

    runs: int = 0
    files: int = 0
    bytes: int = 0


def export_runs(folder: Path, out: Path, *, progress: bool = True) -> Written:
    """Write a static copy of the runs below `folder` to `out`.

    Args:
        folder: Where the runs lie.
        out: Where the copy goes: a new folder, an empty one, or an earlier copy, which is replaced.
        progress: Show a bar.

    Raises:
        ExportError: `out` holds something else, lies in a run folder, or can't be written to.
    """
    try:
        _check(folder, out)
        return _Export(out, Pieces(Runs(folder))).write(progress=progress)
    except OSError as error:
        raise ExportError(f"{out} can't be written to: {error.strerror or error}") from None


def _check(folder: Path, out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise ExportError(f"{out} is a file; a folder is expected")
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
        raise ExportError(f"{out} holds something that isn't an earlier copy. Name a new folder, or empty this one.")
    if out.resolve().is_relative_to(folder.resolve()):
        raise ExportError(f"{out} lies in {folder}, where runs are looked for. Name a folder outside.")


class _Export:
    def __init__(self, out: Path, pieces: Pieces) -> None:
        self._out = out
        self._pieces = pieces
        self._written = Written()
        self._pictures = Pictures()

    def write(self, *, progress: bool) -> Written:
        self._clear()
        self._write_pages()
        runs = self._pieces.runs.all()
        self._write_value("runs", {}, self._pieces.run_list())
        for run in _with_bar(runs, shown=progress):
            self._write_run(run)
            self._written.runs += 1
        return self._written

    def _clear(self) -> None:
        for name in ("pieces", "pictures"):
            shutil.rmtree(self._out / name, ignore_errors=True)
        self._out.mkdir(parents=True, exist_ok=True)
        (self._out / MARK).write_text("A copy that `oaml view --export` has written, and may replace.\n")

    def _write_pages(self) -> None:
        for page in PAGES:
            self._write_file(page, bundled(page, source="files", inline_styles=False).encode())
        for path in sorted(page_path("").glob("*.css")):
            self._write_file(path.name, path.read_bytes())
        self._write_file("icon.svg", page_path("icon.svg").read_bytes())
        self._write_file(CHARTS, charts_library().read_bytes())

    def _write_run(self, run: Run) -> None:
        about = run.run()
        self._write_value("run", {"run": run.key}, about)
        self._write_value("history", {"run": run.key}, run.history())
        for one in about["sets"]:
            self._write_set(run, one["name"], about["evaluations"])

    def _write_set(self, run: Run, name: str, evaluations: list[Mapping[str, Any]]) -> None:
        of_set = {"run": run.key, "set": name}
        samples = run.samples(name)
        self._write_value("samples", of_set, samples)
        self._write_value("ids", of_set, run.ids(name))
        for block in _blocks(samples["count"], TRACK_BLOCK):
            self._write_value("track", {**of_set, "block": block}, run.track(name, block))
        for block in _blocks(samples["count"], BLOCK):
            rows = run.sample_block(name, block)
            self._write_value("sample_block", {**of_set, "block": block}, rows)
            for path in {row["picture"] for row in rows if row["picture"]}:
                self._write_picture(run, path)
        for evaluation in (one["key"] for one in evaluations if one["set"] == name):
            of_evaluation = {"run": run.key, "evaluation": evaluation}
            self._write_value("verdicts", of_evaluation, run.verdicts(evaluation))
            for block in _blocks(samples["count"], BLOCK):
                self._write_value("answers", {**of_evaluation, "block": block}, run.answers(evaluation, block))

    def _write_picture(self, run: Run, path: str) -> None:
        try:
            picture = self._pictures.picture(run.picture_folder(), path)
        except Problem:
            return  # the page says that there is none
        name = "/".join(("pictures", file_name(run.key), *path.split("/")))
        if not (self._out / name).exists():
            self._write_file(name, picture.data)

    def _write_value(self, name: str, parameters: Mapping[str, str | int], value: Any) -> None:
        assert name in NAMES
        path = "/".join(("pieces", name, *(file_name(str(one)) for one in parameters.values())))
        body = json.dumps(value, separators=(",", ":"), allow_nan=False)
        # A script, since a page from a disk may not fetch files.
        self._write_file(f"{path}.js", f"globalThis.oamlPiece={body};\n".encode("utf-8", "replace"))

    def _write_file(self, name: str, data: bytes) -> None:
        path = self._out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}.new")
        new.write_bytes(data)
        os.replace(new, path)
        self._written.files += 1
        self._written.bytes += len(data)


def file_name(value: str) -> str:
    """A run's key or an evaluation's as a file's name; the same as in `pages/source.js`."""
    return "".join(
        chr(byte) if chr(byte).isascii() and (chr(byte).isalnum() or byte in b"_-") else f".{byte:02x}"
        for byte in value.encode()
    )


def _blocks(count: int, size: int) -> range:
    return range(-(-count // size))


def _with_bar(runs: list[Run], *, shown: bool) -> Iterator[Run]:
    if not shown:
        yield from runs
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(runs, "Runs", console=Console(stderr=True), transient=True)
