"""One file from where it is stored: in bounded time, never more bytes than were said, checked as it comes."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..clean_text import one_line
from .adapter_files import AdapterError
from .stored import ServerError, StoredFile

CONNECT_SECONDS = 10.0
"""How long a connection may take to be made."""

SILENCE_SECONDS = 30.0
"""How long nothing may come."""

TRIES = 3
"""How often a file is asked for, where the connection breaks or the server is busy."""

PAUSE_SECONDS = 0.5
"""Before the second try; twice as long before each further one."""

_CHUNK = 2**18
_SMALL_CHUNK = 2**13
_BUSY = (408, 429, 500, 502, 503, 504)


class _TryAgain(ServerError):
    """The connection broke, or the server is busy."""


def download(
    file: StoredFile,
    url: str,
    path: Path,
    *,
    deadline: float,
    headers: Mapping[str, str],
    told: Callable[[int], None] = lambda _: None,
) -> str:
    """Fetch a file.

    Args:
        file: Which, and how large it is said to be.
        url: Where it lies.
        path: Where to write it.
        deadline: Until when, on the monotonic clock.
        headers: Sent with the request.
        told: Called with how many bytes have come, a negative number where a try begins again.

    Returns:
        Its SHA-256, hexadecimal.

    Raises:
        AdapterError: It is larger than was said, or its digest is another.
        ServerError: It can't be had, or not in time.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise ServerError(f"W&B names no address to fetch {file.name} from.")
    for tried in range(TRIES):
        try:
            return _fetch(file, url, path, told, deadline=deadline, headers=headers)
        except _TryAgain:
            pause = PAUSE_SECONDS * 2**tried
            if tried + 1 == TRIES or time.monotonic() + pause > deadline:
                raise
            told(-(path.stat().st_size if path.exists() else 0))
            time.sleep(pause)
    raise AssertionError("unreachable")


def _fetch(
    file: StoredFile,
    url: str,
    path: Path,
    told: Callable[[int], None],
    *,
    deadline: float,
    headers: Mapping[str, str],
) -> str:
    import requests
    from urllib3.exceptions import HTTPError

    left = max(0.1, deadline - time.monotonic())
    named, sha256, size = _named_digest(file.algorithm), hashlib.sha256(), 0
    try:
        with (
            requests.get(
                url,
                # Packed content would be counted by other bytes than those that are written.
                headers={**headers, "Accept-Encoding": "identity"},
                stream=True,
                timeout=(min(CONNECT_SECONDS, left), min(SILENCE_SECONDS, left)),
            ) as response,
            path.open("wb") as out,
        ):
            _check_status(file.name, response.status_code)
            for chunk in _as_they_come(response.raw):
                size += len(chunk)
                if size > file.size:
                    raise AdapterError(
                        f"{file.name} has more than the {file.size:,} bytes that its manifest says. Nothing was kept."
                    )
                if time.monotonic() > deadline:
                    raise ServerError(f"{file.name} did not come in time: {size:,} of {file.size:,} bytes.")
                out.write(chunk)
                named.update(chunk)
                sha256.update(chunk)
                told(len(chunk))
    except (requests.RequestException, HTTPError) as error:
        if time.monotonic() > deadline:
            raise ServerError(f"{file.name} did not come in time: {size:,} of {file.size:,} bytes.") from error
        raise _TryAgain(f"{file.name} could not be fetched: {_reason(error)}. Try again later.") from error
    if size < file.size:
        raise _TryAgain(f"{file.name} came in part, {size:,} of {file.size:,} bytes. Try again later.")
    if base64.b64encode(named.digest()).decode() != file.digest:
        raise AdapterError(
            f"{file.name} is not what was logged: its digest isn't the manifest's. Nothing was kept; if it is the "
            "same again, fetch another version."
        )
    return sha256.hexdigest()


def _as_they_come(raw: Any) -> Iterator[bytes]:
    """Parts of an answer, each as soon as it is there: to fill a chunk may take a slow server longer than all may."""
    if not hasattr(raw, "read1"):  # urllib3 before 2.1
        yield from raw.stream(_SMALL_CHUNK, decode_content=False)
        return
    while chunk := raw.read1(_CHUNK, decode_content=False):
        yield chunk


def _named_digest(algorithm: str) -> Any:
    if algorithm == "xxh128":
        import xxhash  # wandb needs it where its server names files so

        return xxhash.xxh128()
    return hashlib.new(algorithm, usedforsecurity=False)


def _check_status(name: str, status: int) -> None:
    if status in _BUSY:
        raise _TryAgain(f"{name} could not be fetched: the server answered {status}. Try again later.")
    if status != 200:
        raise ServerError(f"{name} could not be fetched: the server answered {status}.")


def _reason(error: BaseException) -> str:
    """The error without the address, which lets who has it fetch the file."""
    words = {
        "ConnectTimeout": "no connection in time",
        "ConnectionError": "no connection",
        "ReadTimeout": "nothing came in time",
        "ReadTimeoutError": "nothing came in time",
        "ProtocolError": "the connection broke",
        "IncompleteRead": "the connection broke",
        "SSLError": "the connection isn't to be trusted",
        "ProxyError": "the proxy doesn't answer",
    }
    kind = type(error).__name__
    return words.get(kind, one_line(kind))
