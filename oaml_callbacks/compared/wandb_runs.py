"""Runs from W&B: summary, config and evaluations at once; curves and answers when they are asked for."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .. import keys
from ..clean_text import one_line
from ..keys import STEP_KEY
from ..run_folder import layout
from ..values import fit_file_name
from ..viewer.lines import Lines, parse_line
from ..viewer.reading import MAX_NAME, Problem, mapping, number, short, text, whole
from ..viewer.run_files import safe_url
from .folder_runs import MAX_SAMPLES, checked_fingerprints, made_answer
from .runs import Answer, ReadRun, RunEvaluation, RunReferenceError

if TYPE_CHECKING:
    from ..adapters.stored import StoredFile

MAX_EVALUATIONS = 2000
"""Evaluations of each set that are read; of more, so many are drawn by W&B."""
MAX_ROWS = 1000
"""Rows of the history that are read, drawn by W&B; each costs as much as it has values."""
MAX_SETS = 20
MAX_ROWS_BYTES = 512 * 2**20
"""Bytes of an evaluation's graded rows."""
DOWNLOAD_FACTOR = 6
"""How many times as long as an answer a download may take."""
MAX_CONFIG = 1000
"""Settings that are read of a config."""
MAX_DEPTH = 4

_METRICS = (
    keys.GROUNDING_DISTANCE,
    keys.GROUNDING_PARSED,
    keys.GROUNDING_SAMPLES,
    keys.GROUNDING_CORRECT,
    keys.GROUNDING_ACCURACY_LOW,
    keys.GROUNDING_ACCURACY_HIGH,
)

T = TypeVar("T")


def read_wandb_run(reference: str, entity: str | None, project: str, run_id: str, *, timeout: float) -> ReadRun:
    """Read a run of W&B's.

    Args:
        reference: How it was asked for.
        entity: Whose it is; `None`: of who has the API key.
        project: Its project.
        run_id: Its id.
        timeout: Seconds that W&B may take.

    Raises:
        RunReferenceError: There is no such run, it may not be read, W&B can't be asked or doesn't answer.
    """
    name = one_line(reference)
    _require_access(name)
    path = "/".join(part for part in (entity, project, run_id) if part)
    return _asked(lambda: _read(reference, path, timeout), timeout, name)


def _require_access(name: str) -> None:
    from ..opening import why_no_server

    if (why := why_no_server()) is not None:
        raise RunReferenceError(
            f"{name} is no run folder here, and can't be read from W&B: {why} Or give a run folder."
        )


def _asked(ask: Callable[[], T], seconds: float, name: str, *, absent: str = "") -> T:
    """What W&B answers, in bounded time.

    Args:
        ask: Asks.
        seconds: How long it may take.
        name: What it is about, for the error.
        absent: What is said where W&B has no such thing; the default is about a run.

    Raises:
        RunReferenceError: It has none, refuses, doesn't answer, or what `ask` raises of that kind.
    """
    from ..adapters.adapter_files import AdapterError
    from ..adapters.stored import ServerError, answered

    try:
        return answered(ask, seconds, name)
    except (AdapterError, ServerError) as error:
        if isinstance(error.__cause__, RunReferenceError):
            raise error.__cause__ from None
        if "ould not find run" in str(error) or "not found" in str(error).lower():
            no_run = (
                f"W&B has no run {name}, or whose API key this is may not see it. Expected entity/project/run_id: the "
                "id stands at the end of its address, and is not its name."
            )
            raise RunReferenceError(absent or no_run) from None
        raise RunReferenceError(f"{error} A run folder can be given instead, if there is one.") from error


def _read(reference: str, path: str, timeout: float) -> ReadRun:
    import wandb

    api = wandb.Api(timeout=max(1, int(timeout)))
    run: Any = api.run(path)
    summary = _plain(run.summary)
    config = mapping(_plain(run.config))
    if not isinstance(summary, dict):
        summary = {}
    evaluations = _evaluations(run, summary)
    runtime = number(summary.get("train_runtime"))
    rate = number(summary.get("train_samples_per_second"))
    outcome = text(summary.get(keys.OUTCOME), MAX_NAME) or text(run.state, MAX_NAME)
    return ReadRun(
        reference=reference,
        id=short(run.id),
        name=short(run.name) or short(run.id),
        source="wandb",
        evaluations=evaluations,
        _source=_WandbSource(api, run, timeout, one_line(reference)),
        url=safe_url(run.url),
        viewer_url=safe_url(summary.get(keys.VIEWER_URL)),
        dashboard_url=safe_url(summary.get(keys.DASHBOARD_URL)),
        outcome=outcome,
        started_at=_unix(run.created_at),
        seconds=runtime or number(summary.get("_runtime")),
        steps=whole(summary.get(STEP_KEY)),
        # The Trainer's: samples of the whole training over its time.
        samples_seen=round(runtime * rate) if runtime and rate else None,
        total_flos=number(summary.get("total_flos")),
        gpu=_gpu(run),
        config=_flat_config(config),
        fingerprints=checked_fingerprints(mapping(config.get("oaml")).get("grounding")),
        adapter=_adapter(api, run),
    )


def _plain(value: Any) -> Any:
    """W&B's own mappings as dicts."""
    if hasattr(value, "_json_dict"):
        value = value._json_dict
    return dict(value) if isinstance(value, Mapping) else value


def _unix(value: Any) -> float | None:
    from datetime import datetime, timezone

    try:
        at = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=timezone.utc)).timestamp()


def _gpu(run: Any) -> str | None:
    """What W&B's own look at the machine found; `None` where it found none, or can't be asked."""
    try:
        metadata = mapping(run.metadata)
    except Exception:  # noqa: BLE001 - a file that isn't there, in any of W&B's errors
        return None
    name, count = text(metadata.get("gpu"), MAX_NAME), whole(metadata.get("gpu_count"))
    return f"{count} x {name}" if name and count and count > 1 else name


def _adapter(api: Any, run: Any) -> str | None:
    """The name of the artifact that its adapter is kept as; `None` where there is none, or nobody knows."""
    from ..adapters.adapter_log import artifact_name

    name = f"{run.entity}/{run.project}/{artifact_name(str(run.id))}"
    try:
        api.artifact(f"{name}:latest")
    except Exception:  # noqa: BLE001 - there is none, in any of W&B's errors
        return None
    return one_line(name)


# Evaluations -------------------------------------------------------------------------------------------------------


def _evaluations(run: Any, summary: Mapping[str, Any]) -> list[RunEvaluation]:
    prefixes = [
        found[0] for name in summary if (found := keys.split_evaluation_key(name)) and found[1] == "grounding_accuracy"
    ]
    made: list[RunEvaluation] = []
    for prefix in prefixes[:MAX_SETS]:
        split = short(f"eval_{prefix.removesuffix('_')}" if prefix else "eval")
        base = {
            metric: value
            for metric in (keys.GROUNDING_ACCURACY, keys.GROUNDING_DISTANCE)
            if (value := number(summary.get(f"baseline/{prefix}{metric}"))) is not None
        }
        if base:
            made.append(RunEvaluation(layout.evaluation_key(split, 0, baseline=True), split, 0, True, base))
        accuracy = f"eval/{prefix}{keys.GROUNDING_ACCURACY}"
        known = [name for metric in _METRICS if (name := f"eval/{prefix}{metric}") in summary]
        # Of several keys W&B gives the rows that have all: one without a distance counts, too.
        rows = [*_rows(run, accuracy), *(_rows(run, accuracy, *known) if known else ())]
        by_step: dict[int, RunEvaluation] = {}
        for step, row in rows:
            metrics = {
                name.removeprefix(f"eval/{prefix}"): value
                for name in (accuracy, *known)
                if (value := number(row.get(name))) is not None
            }
            by_step[step] = RunEvaluation(layout.evaluation_key(split, step), split, step, False, metrics)
        made += [by_step[step] for step in sorted(by_step)]
    return made


def _rows(run: Any, accuracy: str, *others: str) -> list[tuple[int, Mapping[str, Any]]]:
    """Rows with an accuracy and all the others, and their steps."""
    rows = map(mapping, run.history(samples=MAX_EVALUATIONS, keys=[STEP_KEY, accuracy, *others], pandas=False))
    return [
        (step, row)
        for row in rows
        if (step := whole(row.get(STEP_KEY))) is not None and number(row.get(accuracy)) is not None
    ]


@dataclass(frozen=True)
class _WandbSource:
    """The long parts of a run of W&B's."""

    api: Any
    run: Any
    timeout: float
    name: str

    def history(self) -> Sequence[Mapping[str, float]]:
        rows = _asked(lambda: self.run.history(samples=MAX_ROWS, pandas=False), self.timeout, self.name)
        found = [
            {short(name): value for name, given in mapping(row).items() if (value := number(given)) is not None}
            for row in rows
        ]
        return [row for row in found if STEP_KEY in row]

    def answers(self, evaluation: RunEvaluation) -> Sequence[Answer]:
        if evaluation.baseline:
            raise RunReferenceError(f"W&B keeps no answers of the base model; the run folder of {self.name} has them.")
        with tempfile.TemporaryDirectory(prefix="oaml-rows-") as folder:
            return self._rows(evaluation, Path(folder))

    def _rows(self, evaluation: RunEvaluation, folder: Path) -> list[Answer]:
        name = f"run_{self.run.id}_graded_rows"
        place, what = f"{self.run.entity}/{self.run.project}/{name}:latest", f"the graded rows of {self.name}"
        absent = (
            f"W&B has no graded rows of {self.name} ({one_line(name)}), which a training sends when it ends; without "
            "them runs can't be compared sample by sample. A run folder can be given instead, if there is one."
        )
        artifact = _asked(lambda: self.api.artifact(place), self.timeout, what, absent=absent)
        entries = _asked(lambda: artifact.manifest.entries, self.timeout, what)
        steps = []
        for which in ("best", "last"):
            file = f"{fit_file_name(evaluation.split)}_{which}.jsonl"
            if file not in entries:
                continue
            _fetch(artifact, stored_file(file, entries[file]), folder, self.timeout, what)
            step, found = _graded_rows(folder, file)
            if step == evaluation.step:
                return found
            steps.append(str(step))
        raise RunReferenceError(
            f"W&B keeps the answers of {self.name}'s best and last evaluation "
            f"({'of steps ' + ' and '.join(steps) if steps else 'none of this set'}), and none of "
            f"{one_line(evaluation.key)}; its run folder has those of all."
        )


def stored_file(name: str, entry: Any) -> StoredFile:
    """A file of an artifact's manifest, checked.

    Args:
        name: Its name in the artifact.
        entry: W&B's entry for it.

    Raises:
        RunReferenceError: It is no file of the artifact's own, its size isn't told or too large, or its digest is of
            no known kind.
    """
    from ..adapters.stored import DIGESTS, StoredFile

    if entry.ref is not None:  # it could lead to any file of this machine, or to any host
        raise RunReferenceError(f"the graded rows {name} are a reference to another place, which isn't followed.")
    if type(entry.size) is not int or not 0 <= entry.size <= MAX_ROWS_BYTES:
        raise RunReferenceError(
            f"the graded rows {name} have {one_line(str(entry.size))} bytes; {MAX_ROWS_BYTES:,} are read at most."
        )
    algorithm = DIGESTS.get(entry.extra.get("alg", "MD5"))
    if algorithm is None:
        raise RunReferenceError(f"the graded rows {name} have a digest of an unknown kind.")
    return StoredFile(name, entry.size, str(entry.digest), algorithm)


def _fetch(artifact: Any, file: StoredFile, folder: Path, timeout: float, what: str) -> None:
    import wandb

    from ..adapters.adapter_files import AdapterError
    from ..adapters.download import download
    from ..adapters.stored import ServerError

    def ask() -> str | None:
        return next((str(one.direct_url) for one in artifact.files(names=[file.name], per_page=1)), None)

    url = _asked(ask, timeout, what)
    if url is None:
        raise RunReferenceError(f"W&B names no address for {what}, {file.name}.")
    headers = dict(getattr(wandb.setup().settings, "x_extra_http_headers", None) or {})
    try:
        deadline = time.monotonic() + DOWNLOAD_FACTOR * timeout
        download(file, url, folder / file.name, deadline=deadline, headers=headers)
    except (AdapterError, ServerError) as error:
        raise RunReferenceError(f"{what} can't be had: {error}") from error


def _graded_rows(folder: Path, name: str) -> tuple[int | None, list[Answer]]:
    """The step and the answers of a file of graded rows."""
    lines = Lines(folder, name)
    found: list[Answer] = []
    step: int | None = None
    try:
        lines.refresh()
        for _, data in lines.read(0, MAX_SAMPLES):
            row = parse_line(data, name)
            step = whole(row.get("step")) if step is None else step
            sample = {**row, "box": row.get("target_box"), "point": row.get("target_point"), "picture": None}
            found.append(made_answer(sample, row))
    except (Problem, OSError) as error:
        raise RunReferenceError(f"the graded rows can't be read: {error}") from None
    return step, found


# Settings ----------------------------------------------------------------------------------------------------------


def _flat_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings under dotted names; the model's name and LoRA's settings as run folders have them."""
    flat: dict[str, Any] = {}
    _flatten(config, "", flat, 0)
    own = {
        "model": flat.pop("_name_or_path", None) or None,
        "lora_r": flat.get("peft_config.default.r"),
        "lora_alpha": flat.get("peft_config.default.lora_alpha"),
        "lora_dropout": flat.get("peft_config.default.lora_dropout"),
    }
    return {**{name: value for name, value in own.items() if value is not None}, **flat}


def _flatten(value: Mapping[str, Any], prefix: str, flat: dict[str, Any], depth: int) -> None:
    for name, item in value.items():
        key = short(f"{prefix}{name}")
        if len(flat) >= MAX_CONFIG or key in ("_wandb", "oaml.grounding"):
            continue
        if isinstance(item, Mapping) and depth < MAX_DEPTH:
            _flatten(item, f"{key}.", flat, depth + 1)
        elif item is None or isinstance(item, bool):
            flat[key] = item
        else:
            found = number(item)
            flat[key] = found if found is not None else text(item, MAX_NAME)
