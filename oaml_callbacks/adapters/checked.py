"""An adapter's folder on this machine, checked: what it is, and what else lies there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ..clean_text import one_line
from .adapter_files import AdapterError, AdapterFacts, adapter_digest, adapter_files, check_adapter, check_no_code
from .folder import RECORD, changed_files, read_record

MAX_BESIDE = 1000
"""Names of what lies beside an adapter that are read."""


@dataclass(frozen=True)
class CheckedFolder:
    """A folder with an adapter.

    Args:
        facts: What its files say.
        files: Their sizes in bytes by their names.
        beside: Names of what else lies there, folders with a `/` at the end.
        digest: Over the adapter's files: the same for the same adapter.
        source: Where it was pulled from; `None` if it wasn't.
    """

    facts: AdapterFacts
    files: Mapping[str, int]
    beside: tuple[str, ...]
    digest: str
    source: str | None


def checked_folder(folder: Path) -> CheckedFolder:
    """Check a folder.

    Raises:
        AdapterError: It holds no adapter, or a damaged one, or one that isn't safe to load, or one that isn't what was
            pulled any more.
    """
    if not folder.is_dir():
        raise AdapterError(f"there is no folder {folder}.")
    facts = check_adapter(folder)
    files = adapter_files(folder)
    check_no_code(files)
    record = read_record(folder)
    if record is not None:
        gone = [name for name in record.files if not (folder / name).exists()]
        if differing := [*changed_files(folder, record), *gone]:
            what = "is gone" if differing[0] in gone else "was changed"
            raise AdapterError(
                f"{folder / differing[0]} {what} since it was pulled from {record.source}. `oaml adapter pull` "
                "fetches it again."
            )
    parts = {name.partition("/")[0] for name in files}
    beside = sorted(
        f"{one_line(path.name)}{'/' if path.is_dir() else ''}"
        for path in islice(folder.iterdir(), MAX_BESIDE)
        if path.name not in parts and path.name != RECORD
    )
    return CheckedFolder(
        facts=facts,
        files={name: path.stat().st_size for name, path in files.items()},
        beside=tuple(beside),
        digest=adapter_digest(files),
        source=record.source if record is not None else None,
    )
