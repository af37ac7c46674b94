"""Adapters on W&B's server: found by what a user calls them, and their manifest checked before a byte is fetched."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from ..bounded import NoAnswer, in_time
from ..clean_text import one_line
from .adapter_files import (
    CONFIG,
    MAX_TEMPLATES,
    PICKLES,
    WEIGHTS,
    AdapterError,
    is_adapter_file,
    max_bytes,
)
from .references import Reference

ARTIFACT_TYPE = "model"

MAX_ENTRIES = 200
"""Files that an artifact may have. An adapter has about ten; a whole checkpoint of a large model has a hundred."""

MAX_PATH = 255
"""Characters of a file's path in an artifact."""

ANSWER_SECONDS = 30.0
"""How long W&B may take for one answer."""

DIGESTS = {"MD5": "md5", "XXH128": "xxh128"}
"""What W&B's manifests name a file by, and what it is called here."""

T = TypeVar("T")


class ServerError(RuntimeError):
    """W&B, or the way to it, failed: trying again may help."""


@dataclass(frozen=True)
class StoredFile:
    """A file of an artifact.

    Args:
        name: Its path in the artifact.
        size: Bytes.
        digest: By the manifest, in base 64.
        algorithm: One of `DIGESTS`' values.
    """

    name: str
    size: int
    digest: str
    algorithm: str


@dataclass(frozen=True)
class StoredAdapter:
    """A version of an adapter's artifact.

    Args:
        name: `adapter-RUN`.
        version: `v3`.
        path: `ENTITY/PROJECT/NAME:vN`.
        aliases: Its aliases.
        metadata: What was written beside it, unchecked.
        digest: W&B's digest of it.
        files: The adapter's files.
        left_out: Other files, each with the reason.
        urls: Asks W&B where the files are: name to address. The addresses hold for minutes.
    """

    name: str
    version: str
    path: str
    aliases: tuple[str, ...]
    metadata: Mapping[str, Any]
    digest: str
    files: tuple[StoredFile, ...]
    left_out: tuple[str, ...]
    urls: Callable[[float], dict[str, str]] = field(repr=False)

    @property
    def size(self) -> int:
        """Bytes of the adapter's files."""
        return sum(file.size for file in self.files)


def find_adapter(text: str, *, timeout: float) -> StoredAdapter:
    """Find an adapter's version, and read its manifest.

    Args:
        text: As [`Reference.read`] takes it.
        timeout: Seconds that it may take.

    Raises:
        AdapterError: There is no such version, who has the API key may not read it, there is no key, or what is there
            is no adapter, or one whose files could do harm.
        ServerError: W&B doesn't answer.
    """
    deadline = time.monotonic() + timeout
    artifact = find_artifact(text, timeout=timeout)
    name = one_line(text)
    if artifact.type != ARTIFACT_TYPE:
        raise AdapterError(
            f"{name} is an artifact of the type {one_line(str(artifact.type))}. Adapters are of the type "
            f"{ARTIFACT_TYPE}."
        )
    if artifact.file_count > MAX_ENTRIES:
        raise AdapterError(f"{name} has {artifact.file_count:,} files. An adapter has at most {MAX_ENTRIES}.")
    path = version_path(artifact)
    left = max(0.1, deadline - time.monotonic())
    entries = answered(lambda: artifact.manifest.entries, min(left, ANSWER_SECONDS), f"the manifest of {name}")
    files, left_out = checked_entries(path, entries)

    def urls(seconds: float) -> dict[str, str]:
        def ask() -> dict[str, str]:
            found = artifact.files(names=[file.name for file in files], per_page=MAX_ENTRIES)
            return {str(file.name): str(file.direct_url) for file in islice(found, MAX_ENTRIES)}

        return answered(ask, min(seconds, ANSWER_SECONDS), f"the files of {name}")

    metadata = artifact.metadata
    return StoredAdapter(
        name=str(artifact.name).partition(":")[0],
        version=str(artifact.version),
        path=path,
        aliases=tuple(sorted(one_line(str(alias)) for alias in artifact.aliases)),
        metadata=metadata if isinstance(metadata, Mapping) else {},
        digest=str(artifact.digest),
        files=files,
        left_out=left_out,
        urls=urls,
    )


def find_artifact(text: str, *, timeout: float) -> Any:
    """Find an artifact's version: W&B's own object.

    Raises:
        AdapterError: As [`find_adapter`], of what concerns finding it.
        ServerError: W&B doesn't answer.
    """
    reference = Reference.read(text)
    _require_access(one_line(text))
    deadline = time.monotonic() + min(timeout, ANSWER_SECONDS)

    def left() -> float:
        return max(0.1, deadline - time.monotonic())

    import wandb

    api = answered(lambda: wandb.Api(timeout=max(1, int(left()))), left(), "the API key")
    found = [
        one
        for names in reference.candidates
        if (one := _first(api, names, left, one_line(text))) is not None
    ]  # fmt: skip
    if not found:
        raise _not_found(api, reference, left, one_line(text))
    if len({one.id for one in found}) > 1:
        told = " and ".join(one_line(version_path(one)) for one in found)
        raise AdapterError(f"{one_line(text)} is ambiguous: it could be {told}. Give one of these.")
    return found[0]


def version_path(artifact: Any) -> str:
    """`ENTITY/PROJECT/NAME:vN` of W&B's object, however it was asked for: an alias may move.

    Raises:
        AdapterError: W&B's answer has something in it that no name has: it would be shown, and asked for.
    """
    name = str(artifact.name).partition(":")[0]
    path = f"{artifact.entity}/{artifact.project}/{name}:{artifact.version}"
    if not path.isprintable():
        raise AdapterError(f"W&B answers with {one_line(path)}, which is no adapter's name.")
    return path


def answered(ask: Callable[[], T], seconds: float, what: str) -> T:
    """What W&B answers, in bounded time.

    Args:
        ask: Asks.
        seconds: How long it may take.
        what: What it is about, for the error.

    Raises:
        AdapterError: W&B refuses.
        ServerError: It doesn't answer, or not in time.
    """
    try:
        return in_time(ask, seconds)
    except (AdapterError, ServerError):
        raise
    except Exception as error:
        raise _in_a_sentence(error, seconds, what) from error


def _in_a_sentence(error: Exception, seconds: float, what: str) -> AdapterError | ServerError:
    # W&B's own limit may be met a moment before ours.
    if isinstance(error, NoAnswer) or "did not respond in time" in str(error):
        return ServerError(f"W&B gave no answer about {what} in {max(1.0, seconds):.0f} s. Try again later.")
    status, said = _status(error), one_line(str(error)).rstrip(".")
    if type(error).__name__ == "AuthenticationError" and status is not None and status < 500:
        # Of the client when it is made, before it asks about anything. What is no W&B's server answers 404.
        return AdapterError(
            f"W&B does not take the API key: {said} (status {status}). `wandb login` stores another; WANDB_BASE_URL "
            "says whose server it is for."
        )
    if status in (401, 403):
        return AdapterError(
            f"W&B refuses (status {status}): whose API key this is may not read {what}. Expected one of who owns it "
            "or was invited: `wandb login` stores another."
        )
    if status == 404 or "not found" in said:
        return NotThere(f"W&B has no {what}: {said}")
    return ServerError(f"W&B could not be asked about {what}: {said}. Try again later.")


class NotThere(AdapterError):
    """W&B doesn't know it, or doesn't tell whose API key this is."""


def checked_entries(artifact: str, entries: Mapping[str, Any]) -> tuple[tuple[StoredFile, ...], tuple[str, ...]]:
    """The adapter's files of a manifest, and what is left out with the reason.

    Args:
        artifact: What it is the manifest of.
        entries: W&B's entries by their paths.

    Raises:
        AdapterError: A path leads out of the folder, an entry refers to a place elsewhere, a file is a pickle or too
            large, or there is no adapter.
    """
    if len(entries) > MAX_ENTRIES:
        raise AdapterError(f"{artifact} has {len(entries):,} files. An adapter has at most {MAX_ENTRIES}.")
    files, left_out = [], []
    # As `adapter_files` takes them.
    templates = [name for name in sorted(map(str, entries)) if "/" in name and is_adapter_file(name)]
    too_many = set(templates[MAX_TEMPLATES:])
    for path, entry in entries.items():
        name = str(path)
        shown = one_line(name)
        _refuse_unsafe(artifact, name, entry)
        size = entry.size
        if not is_adapter_file(name):
            left_out.append(f"{shown}: no file of an adapter's")
        elif name in too_many:
            left_out.append(f"{shown}: more than {MAX_TEMPLATES} chat templates")
        elif type(size) is not int or size < 0:
            raise AdapterError(f"{artifact}: its manifest doesn't say how large {shown} is.")
        elif size > max_bytes(name):
            if name in (WEIGHTS, CONFIG):
                raise AdapterError(f"{artifact}: {shown} has {size:,} bytes, more than the {max_bytes(name):,} taken.")
            left_out.append(f"{shown}: {size:,} bytes, more than the {max_bytes(name):,} taken")
        else:
            files.append(StoredFile(name, size, str(entry.digest), _algorithm(artifact, entry)))
    for name in (CONFIG, WEIGHTS):
        if name not in {file.name for file in files}:
            raise AdapterError(f"{artifact} holds no LoRA adapter: {name} is missing.")
    return tuple(files), tuple(left_out)


def _refuse_unsafe(artifact: str, name: str, entry: Any) -> None:
    shown = one_line(name)
    if not _is_inside(name) or str(entry.path) != name:
        raise AdapterError(f"{artifact} has a file {shown}, which would lie outside its folder. Nothing is fetched.")
    if entry.ref is not None:
        raise AdapterError(
            f"{artifact}: {shown} is a reference to {one_line(str(entry.ref))}, and no file of its own. Nothing is "
            "fetched from there."
        )
    if name.lower().endswith(PICKLES):
        raise AdapterError(
            f"{artifact} has a pickle, {shown}, which runs what it says when it is read. Adapters are taken in "
            f"safetensors alone ({WEIGHTS}): log the adapter again, without what else lies in its checkpoint."
        )


def _is_inside(name: str) -> bool:
    """Whether a file of this name lies in its folder, on any system."""
    fit = 0 < len(name) <= MAX_PATH and name.isprintable() and not set(name) & set('\\:*?"<>|')
    return fit and not {"", ".", ".."} & set(name.split("/"))


def _algorithm(artifact: str, entry: Any) -> str:
    named = entry.extra.get("alg", "MD5")
    if named not in DIGESTS:
        raise AdapterError(f"{artifact}: its manifest has digests of an unknown kind, {one_line(str(named))}.")
    return DIGESTS[named]


def _first(api: Any, names: tuple[str, ...], left: Callable[[], float], what: str) -> Any:
    """The first of these versions that there is; `None` if there is none."""
    for name in names:
        try:
            return answered(partial(api.artifact, name), left(), what)
        except NotThere:
            continue
    return None


def _not_found(api: Any, reference: Reference, left: Callable[[], float], what: str) -> AdapterError:
    newest = _first(api, tuple(reference.newest), left, what) if reference.version else None
    if newest is None:
        return NotThere(
            f"W&B has no adapter {what}, or whose API key this is may not see it. Expected "
            "ENTITY/PROJECT/adapter-RUN:best, as the run's page lists it under Artifacts, or a run: "
            "ENTITY/PROJECT/RUN, by its id, which is not its name."
        )
    aliases = ", ".join(sorted(one_line(str(alias)) for alias in newest.aliases))
    return NotThere(
        f"{what}: there is no version {one_line(reference.version)}. The newest is {newest.version} ({aliases})."
    )


def _require_access(name: str) -> None:
    from ..opening import why_no_server

    if (why := why_no_server()) is not None:
        raise AdapterError(f"{name} can't be looked up in W&B: {why}")


def _status(error: BaseException) -> int | None:
    """The status that the server answered with; `None` if there was no answer."""
    for one in _causes(error):
        response = getattr(one, "response", None)
        for name in ("http_status", "status_code"):
            status = getattr(response, name, None)
            if isinstance(status, int) and status:
                return status
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    for _ in range(10):
        if one is None:
            return
        yield one
        inner = getattr(one, "exc", None)
        one = inner if isinstance(inner, BaseException) else one.__cause__ or one.__context__
