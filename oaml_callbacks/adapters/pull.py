"""Fetching an adapter from W&B: found, checked before and after it came, and put in place whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..clean_text import one_line
from ..links import LinkError, check_url
from ..values import fit_file_name
from .adapter_files import CONFIG, WEIGHTS, AdapterError, AdapterFacts, adapter_digest, check_adapter, check_no_code
from .download import download
from .folder import Record, check_target, write_record, written_whole
from .stored import ServerError, StoredAdapter, StoredFile, find_adapter

PULL_SECONDS = 600.0
"""How long a pull may take in all."""

FOLDER = "adapters"
"""Where an adapter is put, unless it is said: `adapters/NAME-vN`."""

_SHARE = ("grounding_accuracy", "grounding_accuracy_low", "grounding_accuracy_high", "baseline_grounding_accuracy")


@dataclass(frozen=True)
class Figures:
    """How well an adapter clicks, by what was logged beside it; `None` where it wasn't.

    Args:
        accuracy: Share of clicks that hit, 0-1.
        low: The 95 % interval's lower end.
        high: Its upper end.
        samples: How many clicks.
        baseline: The base model's accuracy on the same samples.
        distance: Mean distance to the target, a share of the screen.
        step: The training's step.
    """

    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    samples: int | None = None
    baseline: float | None = None
    distance: float | None = None
    step: int | None = None


@dataclass(frozen=True)
class PulledAdapter:
    """An adapter that was fetched and checked.

    Args:
        folder: Where it lies.
        source: `ENTITY/PROJECT/NAME:vN`.
        aliases: What the version is called too.
        facts: What its files say.
        figures: How well it clicks.
        base_model: What it is loaded on.
        revision: The base model's, where it is known.
        run_url: The run that logged it.
        files: Its files' sizes by their names.
        left_out: Other files of the artifact, with the reasons.
        digest: Over its files: the same for the same adapter.
    """

    folder: Path
    source: str
    aliases: tuple[str, ...]
    facts: AdapterFacts
    figures: Figures
    base_model: str | None
    revision: str | None
    run_url: str | None
    files: Mapping[str, int]
    left_out: tuple[str, ...]
    digest: str

    @property
    def imports(self) -> list[str]:
        """What the lines of `load` need."""
        return ["from peft import PeftModel", "from transformers import AutoModelForImageTextToText"]

    @property
    def load(self) -> list[str]:
        """The two lines of Python that load it."""
        revision = f", revision={self.revision!r}" if self.revision else ""
        base = self.base_model or "BASE MODEL"
        return [
            f"model = AutoModelForImageTextToText.from_pretrained({base!r}{revision})",
            f"model = PeftModel.from_pretrained(model, {str(self.folder)!r})",
        ]


def pull_adapter(
    text: str,
    to: Path | None = None,
    *,
    base: str | None = None,
    overwrite: bool = False,
    timeout: float = PULL_SECONDS,
    begun: Callable[[StoredAdapter], Callable[[int], None]] | None = None,
) -> PulledAdapter:
    """Fetch an adapter that a run has logged.

    Everything is checked before it is in place: paths and sizes of the manifest, digests of the files, that they are a
    LoRA adapter in safetensors and name no code, and which base model it is for.

    Args:
        text: `ENTITY/PROJECT/adapter-RUN:best`; see [`Reference`][oaml_callbacks.adapters.references.Reference].
        to: Where to put it. Default: `adapters/NAME-vN`.
        base: The base model that it has to be for.
        overwrite: Replace what an earlier pull has put there.
        timeout: Seconds that all of it may take.
        begun: Called when it is found; gives what is called with the bytes that come.

    Raises:
        AdapterError: There is no such adapter, it may not be read, it isn't what it says or not safe, it is for
            another base model, or the folder isn't free.
        ServerError: W&B, or the way to it, failed.
    """
    deadline = time.monotonic() + timeout
    if to is not None:
        check_target(to, overwrite=overwrite)
    stored = find_adapter(text, timeout=timeout)
    _check_expected(stored, base)
    folder = to or Path(FOLDER) / fit_file_name(f"{stored.name}-{stored.version}")
    with written_whole(folder, overwrite=overwrite) as new:
        told = begun(stored) if begun is not None else lambda _: None
        digests = _download_all(stored, new, deadline, told)
        paths = {file.name: new / file.name for file in stored.files}
        try:
            facts = check_adapter(new)
            check_no_code(paths)
        except AdapterError as error:
            raise AdapterError(str(error).replace(f"{new}/", f"{stored.path}: ")) from None
        base_model = _checked_base(stored, facts, base)
        digest = adapter_digest(paths)
        at = datetime.now(timezone.utc).isoformat(timespec="seconds")
        write_record(new, Record(stored.path, digests), {"digest": digest, "pulled_at": at})
    return PulledAdapter(
        folder=folder,
        source=stored.path,
        aliases=stored.aliases,
        facts=facts,
        figures=_figures(stored.metadata),
        base_model=base_model,
        revision=_text(stored.metadata.get("base_revision")) or facts.revision,
        run_url=_url(stored.metadata.get("run_url")),
        files={file.name: file.size for file in stored.files},
        left_out=stored.left_out,
        digest=digest,
    )


def _download_all(stored: StoredAdapter, folder: Path, deadline: float, told: Callable[[int], None]) -> dict[str, str]:
    """Fetch the files, the config first; their digests by their names."""
    import wandb

    urls = stored.urls(deadline - time.monotonic())
    # What a company's storage may ask for; W&B's own downloads send them too.
    headers = dict(getattr(wandb.setup().settings, "x_extra_http_headers", None) or {})
    logged = stored.metadata.get("sha256")
    logged = logged if isinstance(logged, Mapping) else {}
    if missing := sorted(str(name) for name in logged if name not in {file.name for file in stored.files}):
        raise AdapterError(f"{stored.path} lacks {one_line(missing[0])}, which was logged with it. Nothing was kept.")
    digests = {}
    for file in sorted(stored.files, key=_first_the_small):
        if file.name not in urls:
            raise ServerError(f"W&B names no address of {file.name} of {stored.path}.")
        path = folder / file.name
        path.parent.mkdir(exist_ok=True)
        digests[file.name] = download(file, urls[file.name], path, deadline=deadline, headers=headers, told=told)
        if file.name in logged and digests[file.name] != logged[file.name]:
            raise AdapterError(
                f"{file.name} of {stored.path} is not what was logged: its SHA-256 isn't the one in the metadata. "
                "Nothing was kept."
            )
    return digests


def _first_the_small(file: StoredFile) -> tuple[bool, bool, str]:
    return file.name == WEIGHTS, file.name != CONFIG, file.name


def _check_expected(stored: StoredAdapter, base: str | None) -> None:
    """Refuse another base model before anything is fetched, where the metadata names it."""
    said = _text(stored.metadata.get("base_model"))
    if base is not None and said is not None and not _same_model(said, base):
        raise _other_base(stored.path, said, _text(stored.metadata.get("base_revision")), base)


def _checked_base(stored: StoredAdapter, facts: AdapterFacts, base: str | None) -> str | None:
    said = _text(stored.metadata.get("base_model"))
    if said and facts.base_model and not _same_model(said, facts.base_model):
        raise AdapterError(
            f"{stored.path} contradicts itself: its metadata says that it is for {said}, and its {CONFIG} for "
            f"{one_line(facts.base_model)}. Nothing was kept."
        )
    if base is None:
        return facts.base_model or said
    named = facts.base_model or said
    if named is None:
        raise AdapterError(f"{stored.path} doesn't say which base model it is for; --base expects {one_line(base)}.")
    if not _same_model(named, base):
        raise _other_base(stored.path, named, facts.revision, base)
    return base


def _other_base(path: str, named: str, revision: str | None, base: str) -> AdapterError:
    at = f" (revision {one_line(revision)})" if revision else ""
    return AdapterError(
        f"{path} is an adapter for {one_line(named)}{at}, and not for {one_line(base)}, which --base expects. On "
        "another base model its weights mean nothing. Nothing was kept."
    )


def _same_model(one: str, other: str) -> bool:
    """Whether two names are one model's: equal, or one folder; in metadata a home directory is written as `~`."""
    if _plain(one) == _plain(other):
        return True
    for short, long in ((_plain(one), _plain(other)), (_plain(other), _plain(one))):
        if short.startswith("~/") and long.endswith(short[1:]) and long.startswith("/"):
            return True
    try:
        return Path(one).expanduser().samefile(Path(other).expanduser())
    except (OSError, RuntimeError, ValueError):
        return False


def _plain(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").removeprefix("./")


def _figures(metadata: Mapping[str, Any]) -> Figures:
    accuracy, low, high, baseline = (_number(metadata.get(name), most=1.0) for name in _SHARE)
    return Figures(
        accuracy=accuracy,
        low=low,
        high=high,
        samples=_count(metadata.get("grounding_samples")),
        baseline=baseline,
        distance=_number(metadata.get("grounding_distance"), most=2.0),
        step=_count(metadata.get("step")),
    )


def _number(value: Any, *, most: float) -> float | None:
    right = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= most
    return float(value) if right else None


def _count(value: Any) -> int | None:
    number = _number(value, most=2.0**53)
    return None if number is None else int(number)


def _text(value: Any) -> str | None:
    return one_line(value) if isinstance(value, str) and value else None


def _url(value: Any) -> str | None:
    try:
        return check_url("run_url", value) if isinstance(value, str) and len(value) < 2000 else None
    except LinkError:
        return None
