"""`oaml view --export`: a copy of the viewer and of all it shows, in files that any host, or a disk, serves."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import UserError
from .bundle import bundled
from .clicks import BLOCK, TRACK_BLOCK
from .pages import CHARTS, FOLDER, charts_library
from .pictures import Pictures
from .pieces import NAMES, Pieces
from .reading import Problem
from .runs import Run, Runs

PAGES = ("index.html", "dashboard.html", "viewer.html")
MAX_NAME = 120
"""Characters of a file's name."""
MARK = ".oaml-export"
"""Lies in every copy: a folder that has it, or is empty, may be written to."""


class ExportError(UserError):
    """A copy that can't be written; the text says why, and what to do."""


@dataclass
class Written:
    """What an export has written.

    Attributes:
        runs: How many runs.
        files: How many files, those of the pages among them.
        bytes: All of them together.
        left_out: What could not be read, and so is not in the copy.
    """

    runs: int = 0
    files: int = 0
    bytes: int = 0
    left_out: list[str] = field(default_factory=list)


def export_runs(folder: Path, out: Path, *, progress: bool = True) -> Written:
    """Write a static copy of the runs below `folder` to `out`.

    Args:
        folder: Where the runs lie.
        out: Where the copy goes: a new folder, an empty one, or an earlier copy, which is replaced.
        progress: Show a bar.

    Raises:
        ExportError: `out` holds something else, lies in a run folder, or can't be written to.
    """
    out = out.absolute()
    try:
        _check(folder, out)
        new = out.with_name(f".{out.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        written = _Export(new, Pieces(Runs(folder))).write(progress=progress)
        _put_in_place(new, out)
    except OSError as error:
        raise ExportError(f"{out} can't be written to: {error.strerror or error}") from None
    return written


def _put_in_place(new: Path, out: Path) -> None:
    """Let the whole copy take the place of an earlier one at once."""
    old = out.with_name(f".{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        os.replace(out, old)
    os.replace(new, out)
    shutil.rmtree(old, ignore_errors=True)


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
        self._out.mkdir(parents=True)
        (self._out / MARK).write_text("A copy that `oaml view --export` has written, and may replace.\n")
        self._write_pages()
        whole = set()
        for run in _with_bar(self._pieces.runs.all(), shown=progress):
            if self._write_run(run):
                whole.add(run.key)
        listed = self._pieces.run_list()
        listed["runs"] = [row for row in listed["runs"] if row["key"] in whole]
        self._write_value("runs", {}, listed)
        self._written.runs = len(whole)
        return self._written

    def _write_pages(self) -> None:
        for page in PAGES:
            self._write_file(page, bundled(page, source="files", inline_styles=False).encode())
        for path in sorted(FOLDER.glob("*.css")):
            self._write_file(path.name, path.read_bytes())
        self._write_file("icon.svg", (FOLDER / "icon.svg").read_bytes())
        self._write_file(CHARTS, charts_library().read_bytes())

    def _write_run(self, run: Run) -> bool:
        of_run = {"run": run.key}
        about = self._write_made("run", of_run, run.run)
        if about is None:
            return False
        self._write_made("history", of_run, run.history)
        for one in about["sets"]:
            self._write_set(run, one["name"], about["evaluations"])
        return True

    def _write_set(self, run: Run, name: str, evaluations: list[Mapping[str, Any]]) -> None:
        of_set = {"run": run.key, "set": name}
        samples = self._write_made("samples", of_set, lambda: run.samples(name))
        if samples is None:
            return
        self._write_made("ids", of_set, lambda: run.ids(name))
        for block in _blocks(samples["count"], TRACK_BLOCK):
            self._write_made("track", {**of_set, "block": block}, partial(run.track, name, block))
        for block in _blocks(samples["count"], BLOCK):
            rows = self._write_made("sample_block", {**of_set, "block": block}, partial(run.sample_block, name, block))
            for path in {row["picture"] for row in rows or () if row["picture"]}:
                self._write_picture(run, path)
        for evaluation in (one["key"] for one in evaluations if one["set"] == name):
            of_evaluation = {"run": run.key, "evaluation": evaluation}
            self._write_made("verdicts", of_evaluation, partial(run.verdicts, evaluation))
            for block in _blocks(samples["count"], BLOCK):
                answers = partial(run.answers, evaluation, block)
                self._write_made("answers", {**of_evaluation, "block": block}, answers)

    def _write_picture(self, run: Run, path: str) -> None:
        try:
            picture = self._pictures.picture(run.picture_folder(), path)
        except (Problem, OSError):
            return  # the page says that there is none
        name = "/".join(("pictures", file_name(run.key), *path.split("/")))
        if not (self._out / name).exists():
            self._write_file(name, picture.data)

    def _write_made(self, name: str, parameters: Mapping[str, str | int], make: Callable[[], Any]) -> Any:
        """Make a piece and write it; one that can't be made is left out, which the page tells, and `None`."""
        try:
            value = make()
        except (Problem, OSError) as error:
            self._written.left_out.append(f"{parameters['run']}: {getattr(error, 'strerror', None) or error}")
            return None
        self._write_value(name, parameters, value)
        return value

    def _write_value(self, name: str, parameters: Mapping[str, str | int], value: Any) -> None:
        assert name in NAMES
        path = "/".join(("pieces", name, *(file_name(str(one)) for one in parameters.values())))
        # A script, since a page from a disk may not fetch files; and JSON in it, where `__proto__` is a name like any.
        body = json.dumps(json.dumps(value, separators=(",", ":"), allow_nan=False))
        self._write_file(f"{path}.js", f"globalThis.oamlPiece=JSON.parse({body});\n".encode())

    def _write_file(self, name: str, data: bytes) -> None:
        path = self._out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}.new")
        new.write_bytes(data)
        os.replace(new, path)
        self._written.files += 1
        self._written.bytes += len(data)


def file_name(value: str) -> str:
    """A run's key or an evaluation's as a file's name; the same as in `pages/source.js`.

    Of a long one the beginning, and a digest: FNV-1a of 64 bits (http://www.isthe.com/chongo/tech/comp/fnv), which
    takes three lines in either language.
    """
    name = "".join(
        chr(byte) if chr(byte).isascii() and (chr(byte).isalnum() or byte in b"_-") else f".{byte:02x}"
        for byte in value.encode()
    )
    if len(name) <= MAX_NAME:
        return name
    digest = 0xCBF29CE484222325
    for byte in value.encode():
        digest = (digest ^ byte) * 0x100000001B3 % 2**64
    return f"{name[: MAX_NAME - 17]}.{digest:016x}"


def _blocks(count: int, size: int) -> range:
    return range(-(-count // size))


def _with_bar(runs: list[Run], *, shown: bool) -> Iterator[Run]:
    if not shown:
        yield from runs
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(runs, "Runs", console=Console(stderr=True), transient=True)
