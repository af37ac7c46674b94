"""What a Trainer's run is opened with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .adapters.options import AdapterOptions
from .evaluation_record import RecordOptions
from .links import LinkTemplates


@dataclass(frozen=True)
class RunOptions:
    """What a run is opened with, and how; as [`OpenAdaptWandbCallback`] has them."""

    links: LinkTemplates
    record: RecordOptions
    adapter: AdapterOptions
    project: str | None = None
    entity: str | None = None
    run_name: str | None = None
    group: str | None = None
    tags: Sequence[str] = ()
    notes: str | None = None
    config: Mapping[str, Any] | None = None
    start_timeout: float = 30.0
    finish_timeout: float = 60.0
    strict: bool = False
    alerts: bool = False
    new_run: bool = False
    runs_dir: Path | None = None
