"""The folder that an adapter is pulled into: written whole or not at all, and nothing of somebody else's replaced."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..clean_text import one_line
from .adapter_files import AdapterError, file_digest, is_adapter_file, read_object

RECORD = ".oaml_pull.json"
"""What a pulled folder says of itself: where it is from, and the files with their digests."""

UNFINISHED = ".part"
REPLACED = ".old"

LEFT_SECONDS = 24 * 3600.0
"""After so long what a killed pull left is deleted by the next one to the same folder."""


@dataclass(frozen=True)
class Record:
    """What [`RECORD`] says.

    Args:
        source: `ENTITY/PROJECT/NAME:vN`.
        files: Digests, SHA-256, by the files' names.
    """

    source: str
    files: Mapping[str, str]


def write_record(folder: Path, record: Record, more: Mapping[str, Any]) -> None:
    """Write what the folder says of itself."""
    said = {"source": record.source, **more, "sha256": dict(record.files)}
    (folder / RECORD).write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def read_record(folder: Path) -> Record | None:
    """What a pulled folder says of itself; `None` for one that wasn't pulled, or whose record can't be read."""
    path = folder / RECORD
    if path.is_symlink() or not path.is_file():
        return None
    try:
        said = read_object(path)
    except (AdapterError, OSError):
        return None
    files = said.get("sha256")
    if not isinstance(files, dict) or not all(
        is_adapter_file(name) and isinstance(files[name], str) for name in files
    ):
        return None
    return Record(one_line(str(said.get("source"))), files)


def changed_files(folder: Path, record: Record) -> list[str]:
    """Names of the pulled files that aren't what was pulled any more; those that are gone are left out."""
    changed = []
    for name, digest in record.files.items():
        path = folder / name
        if path.is_symlink() or path.is_dir() or (path.exists() and file_digest(path, "sha256") != digest):
            changed.append(name)
    return changed


def check_target(folder: Path, *, overwrite: bool) -> None:
    """Whether something can be pulled into `folder`.

    Raises:
        AdapterError: It can't: the folder holds something, and it may not be replaced, or isn't a pull's; or it can't
            be written there.
    """
    with _told_of(folder):
        _check_target(folder, overwrite=overwrite)


def _check_target(folder: Path, *, overwrite: bool) -> None:
    if not folder.exists():
        if folder.is_symlink():
            raise AdapterError(f"{folder} is a link to nothing. Give another folder by --to.")
        above = next(path for path in folder.absolute().parents if path.exists())
        if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
            raise AdapterError(f"{folder} can't be made: {above} can't be written to. Give another folder by --to.")
        return
    if not folder.is_dir():
        raise AdapterError(f"{folder} is no folder. Give another one by --to.")
    if not any(folder.iterdir()):
        return
    if not overwrite:
        raise AdapterError(
            f"{folder} is not empty. Give another folder by --to; --overwrite replaces what was pulled into it."
        )
    record = read_record(folder)
    if record is None:
        raise AdapterError(
            f"{folder} holds files that were not pulled, and --overwrite replaces none of these. Give another folder "
            "by --to."
        )
    if changed := changed_files(folder, record):
        raise AdapterError(
            f"{folder / changed[0]} was changed since it was pulled{_and_more(changed)}, and --overwrite replaces "
            "only what is as it came. Move it, or give another folder by --to."
        )


@contextmanager
def written_whole(folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """A new folder to write into, which becomes `folder` at the end of the block, and is deleted after an error.

    Files of others in `folder` stay there.

    Raises:
        AdapterError: As [`check_target`], or a file of somebody else's has the name of a new one.
    """
    check_target(folder, overwrite=overwrite)
    with _told_of(folder):
        folder = folder.resolve()
        folder.parent.mkdir(parents=True, exist_ok=True)
        _delete_left(folder)
        # Beside it: a rename within one file system is done at once or not at all.
        unfinished = folder.parent / f".{folder.name}.{secrets.token_hex(4)}{UNFINISHED}"
        unfinished.mkdir()
    try:
        yield unfinished
        check_target(folder, overwrite=overwrite)  # it took a while
        _put_in_place(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _put_in_place(new: Path, folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    if not folder.exists():
        new.rename(folder)
        return
    record = read_record(folder)
    pulled = {RECORD, *(record.files if record else ())}
    kept = [path for path in _files(folder) if path.relative_to(folder).as_posix() not in pulled]
    for path in kept:
        if (new / path.relative_to(folder)).exists():
            raise AdapterError(
                f"{path} was not pulled, and would be replaced. Move it, or give another folder by --to."
            )
    # Before the folders change places, so that whatever ends this leaves others' files where they were.
    for path in kept:
        target = new / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        _keep(path, target)
    old = new.with_suffix(REPLACED)
    try:
        folder.rename(old)
        new.rename(folder)
    except BaseException:  # Ctrl-C too
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _keep(path: Path, target: Path) -> None:
    """Have a file in a second place too, without copying it where the file system can do so."""
    if not path.is_symlink():
        with suppress(OSError):
            os.link(path, target)
            return
    shutil.copy2(path, target, follow_symlinks=False)


@contextmanager
def _told_of(folder: Path) -> Iterator[None]:
    """What the system refuses, as a mistake in which folder was given."""
    try:
        yield
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise AdapterError(f"{one_line(str(folder))} can't be written: {why}. Give another folder by --to.") from error


def _files(folder: Path) -> list[Path]:
    """All that lies below `folder` but for folders; links are not followed."""
    return [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]


def _delete_left(folder: Path) -> None:
    """Delete what pulls that were killed have left of themselves."""
    theirs = re.compile(rf"\.{re.escape(folder.name)}\.[0-9a-f]{{8}}{re.escape(UNFINISHED)}")
    for path in folder.parent.iterdir():
        if theirs.fullmatch(path.name):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > LEFT_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)


def _and_more(names: list[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""
