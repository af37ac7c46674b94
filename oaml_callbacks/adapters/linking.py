"""Linking an adapter's version to a registry, by what a user calls it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from .registry import LINK_SECONDS, RegistryError, RegistryTarget, link
from .stored import ServerError, find_artifact, version_path


@dataclass(frozen=True)
class LinkedAdapter:
    """A version that is linked.

    Args:
        source: `ENTITY/PROJECT/NAME:vN`.
        linked: What it is called in the registry.
    """

    source: str
    linked: str


def link_adapter(source: str, target: str, *, timeout: float = LINK_SECONDS) -> LinkedAdapter:
    """Find a version, and link it.

    Args:
        source: As [`find_artifact`] takes it.
        target: The registry's collection; see [`RegistryTarget.read`].
        timeout: Seconds that all of it may take.

    Raises:
        AdapterError: There is no such version, or no access.
        RegistryError: The target is no collection, or W&B refuses.
        ServerError: W&B doesn't answer.
    """
    deadline = time.monotonic() + timeout
    RegistryTarget.read(target)
    path = version_path(find_artifact(source, timeout=timeout))
    left = deadline - time.monotonic()
    if left <= 0:
        raise ServerError(f"W&B gave no answer about {path} in {timeout:.0f} s. Try again later.")
    try:
        return LinkedAdapter(path, link(path, target, timeout=left))
    except RegistryError as error:
        # W&B's own limit may be met a moment before ours.
        if time.monotonic() >= deadline or "did not respond in time" in str(error):
            raise ServerError(f"{str(error).rstrip('.')}. Try again later; --timeout gives it longer.") from None
        raise
