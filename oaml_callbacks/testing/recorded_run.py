"""What a W&B run holds, as plain values to assert on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class RecordedMetric:
    """One `define_metric` call; a later call for the same name counts instead of, or on top of, an earlier one.

    Attributes:
        name: The key or glob (`"eval/*"`) as it was given.
        step_metric: The key that charts draw it over, if one was given.
        step_sync: Whether the SDK copies the step metric's last value into rows without it.
        hidden: Whether it gets no chart.
        summary: What the run's summary keeps of it: any of `min`, `max`, `mean`, `best`, `last`, `none`, `copy`,
            `first`; empty is the default, the last value.
        goal: `"minimize"`, `"maximize"` or None.
    """

    name: str
    step_metric: str | None = None
    step_sync: bool = False
    hidden: bool = False
    summary: frozenset[str] = frozenset()
    goal: str | None = None


@dataclass(frozen=True)
class RecordedFile:
    """A file of the run's `files/` folder, or one given to `run.save`.

    Attributes:
        path: Where it's in `files/`, with forward slashes.
        policy: When it's uploaded: `"now"`, `"end"` or `"live"`.
    """

    path: str
    policy: str


@dataclass(frozen=True)
class RecordedArtifactFile:
    """A file of an artifact.

    Attributes:
        size: In bytes; 0 for a reference.
        digest: The content's MD5 in base64; of a reference, what the store says (an ETag, or the URL itself).
        reference: The URL, of a reference.
        local_path: The staged copy that would be uploaded. It lies in W&B's data folder, not in the run's.
    """

    size: int
    digest: str
    reference: str | None = None
    local_path: Path | None = None


@dataclass(frozen=True)
class RecordedArtifact:
    """An artifact that the run logged, a table's own (type `run_table`) among them.

    Attributes:
        name: Without a version: those are the server's to give.
        type: As it was given (`"model"`).
        aliases: Sorted; the SDK keeps no order. `"latest"` is among them unless others were given and it wasn't.
        tags: Sorted.
        metadata: Empty where none was given.
        description: None where none was given.
        files: By their path in the artifact. Empty for an artifact of more than 100,000 files, whose list the SDK
            keeps elsewhere.
    """

    name: str
    type: str
    aliases: tuple[str, ...]
    tags: tuple[str, ...]
    metadata: dict[str, Any]
    description: str | None
    files: dict[str, RecordedArtifactFile]


@dataclass(frozen=True)
class RecordedAlert:
    """A `run.alert` call. `level` is `"INFO"`, `"WARN"` or `"ERROR"`; `wait_seconds` is the pause it asked for."""

    title: str
    text: str
    level: str
    wait_seconds: float


@dataclass(frozen=True)
class RecordedRun:
    """A run as the SDK recorded it. Equal numbers may change type: W&B writes `2.0` as `2`, which reads as an int.

    Attributes:
        id: The run's id.
        name: Its display name. None in an offline run that was given none: the server makes one up.
        project: None where none was given.
        entity: The team or user; None where none was given.
        group: `wandb.init(group=)`.
        job_type: `wandb.init(job_type=)`.
        tags: In order.
        notes: None where there are none.
        config: As nested dicts. NaN and infinity are None: the SDK drops them from the config.
        wandb_config: W&B's own entry of the config (`_wandb`: versions, telemetry).
        summary: As nested dicts, `_step`, `_runtime` and `_timestamp` included. Logged NaN and infinity are floats;
            where they were put into `run.summary` itself the SDK writes null, which is None.
        history: The rows in order, as nested dicts, with `_step`, `_timestamp` (Unix seconds) and `_runtime` (s).
            NaN and infinity are floats; a table, image or other medium is the dict W&B keeps of it.
        metrics: What `define_metric` said, by name or glob; those that the SDK made out of a glob are left out.
        files: In the order in which they were announced.
        artifacts: In the order of logging.
        alerts: In the order of sending.
        exit_code: 0 for success; None where the run never ended (killed, or still going).
        started: When it was opened, in Unix seconds; None where the file ends before that was written.
        segments: The `.wandb` files it was read from, oldest first; more than one only where segments were merged.
        damaged: Whether a part of a file was skipped because it was corrupt. A torn end isn't damage.
    """

    id: str
    name: str | None
    project: str | None
    entity: str | None
    group: str | None
    job_type: str | None
    tags: tuple[str, ...]
    notes: str | None
    config: dict[str, Any]
    wandb_config: dict[str, Any]
    summary: dict[str, Any]
    history: list[Row]
    metrics: dict[str, RecordedMetric]
    files: tuple[RecordedFile, ...]
    artifacts: tuple[RecordedArtifact, ...]
    alerts: tuple[RecordedAlert, ...]
    exit_code: int | None
    started: float | None
    segments: tuple[Path, ...]
    damaged: bool

    @property
    def path(self) -> Path:
        """The `.wandb` file; of merged segments, the last."""
        return self.segments[-1]

    @property
    def rows(self) -> list[Row]:
        """The history without the keys that W&B adds (`_step`, `_timestamp`, `_runtime`), a new list each time."""
        return [{key: value for key, value in row.items() if not key.startswith("_")} for row in self.history]

    def column(self, key: str) -> list[Any]:
        """Return the values of `key`, in order, of the rows that have it.

        Args:
            key: As logged. A key inside a logged dict is named as W&B's charts name it: `a.b` for
                `log({"a": {"b": 1}})`.

        Raises:
            KeyError: No row has it. (To assert that: `not any(key in row for row in run.rows)`.)
        """
        return [value for _, value in self._found(key)]

    def series(self, key: str, *, step: str = "train/global_step") -> list[tuple[Any, Any]]:
        """Return `(step, value)` of the rows that have both keys, in order.

        Args:
            key: As in `column`.
            step: The key of the x axis; `"_step"` is W&B's own row number.

        Raises:
            KeyError: No row has `key`, or none that has it has `step`.
        """
        pairs = [(_look_up(row, step), (value,)) for row, value in self._found(key)]
        found = [(at[0], value) for at, (value,) in pairs if at]
        if not found:
            raise KeyError(f"None of the {len(pairs)} rows with {key!r} has the step {step!r}.")
        return found

    def media_path(self, value: Mapping[str, Any]) -> Path:
        """Return the file of a table, image or other medium in a row, such as `run.column("eval/table")[-1]`.

        Raises:
            ValueError: `value` is no medium.
            FileNotFoundError: No segment's `files/` folder has it.
        """
        if not isinstance(value, Mapping) or "path" not in value or "_type" not in value:
            raise ValueError(f"Expected the dict that W&B keeps of a medium, with '_type' and 'path', got {value!r}.")
        places = [segment.parent / "files" / str(value["path"]) for segment in self.segments]
        for place in places:
            if place.is_file():
                return place
        raise FileNotFoundError(f"The medium's file is missing: none of {', '.join(map(str, places))} exists.")

    def _found(self, key: str) -> list[tuple[Row, Any]]:
        found = [(row, value[0]) for row in self.history if (value := _look_up(row, key))]
        if not found:
            known = {name: None for row in self.history for name in _names(row)}
            near = get_close_matches(key, known, n=3)
            hint = f"Did you mean {' or '.join(map(repr, near))}?" if near else f"Keys: {', '.join(known) or 'none'}."
            raise KeyError(f"None of the {len(self.history)} rows of run {self.id} has {key!r}. {hint}")
        return found


def _look_up(row: Mapping[str, Any], key: str) -> tuple[Any] | None:
    """Return the value in a tuple, so that a logged None differs from no value."""
    if key in row:  # First: a key may itself hold dots, as a parameter's name does.
        return (row[key],)
    for dot in (at for at, letter in enumerate(key) if letter == "."):
        inner = row.get(key[:dot])
        if isinstance(inner, Mapping) and (value := _look_up(inner, key[dot + 1 :])):
            return value
    return None


def _names(row: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in row.items():
        yield prefix + key
        if isinstance(value, Mapping):
            yield from _names(value, f"{prefix}{key}.")
