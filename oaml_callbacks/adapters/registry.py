"""W&B's registry: where an adapter's version is linked to, and linking it."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..bounded import NoAnswer, in_time
from ..clean_text import error_text
from ..errors import UserError
from ..typed_command import command

PREFIX = "wandb-registry-"
"""What W&B calls a registry's project begins with."""

MODELS = "model"
"""The registry of models that every organisation has."""

MAX_NAME = 128
"""Characters of a registry's or a collection's name, as W&B has it."""

LINK_SECONDS = 30.0
"""How long `oaml adapter link` waits."""

POLL_SECONDS = 0.25
"""How often a version that is on its way is looked for."""

_UNFIT = re.compile(r"[\s\\#?%:*]")


class RegistryError(UserError):
    """A registry's collection that can't be one, or a version that couldn't be linked to it."""


@dataclass(frozen=True)
class RegistryTarget:
    """A collection of a registry.

    Args:
        organization: Who has it; `None`: the organisation of the run's team.
        registry: The registry's name, without W&B's prefix.
        collection: The collection in it.
    """

    organization: str | None
    registry: str
    collection: str

    @classmethod
    def read(cls, text: str) -> RegistryTarget:
        """Read `ORGANISATION/COLLECTION`, `wandb-registry-NAME/COLLECTION` or all three with slashes between them.

        Raises:
            RegistryError: It is none of these, or a name has characters that W&B refuses.
        """
        form = (
            f'{text!r} is no collection of a registry. Expected "organisation/collection", which is in the registry '
            f'of models, "{PREFIX}NAME/collection", or "organisation/{PREFIX}NAME/collection".'
        )
        parts = text.split("/")
        if not 1 < len(parts) <= 3 or not all(parts):
            raise RegistryError(form)
        *before, collection = parts
        registry = before.pop() if before[-1].startswith(PREFIX) else f"{PREFIX}{MODELS}"
        if len(before) > 1:
            raise RegistryError(form)
        target = cls(before[0] if before else None, registry.removeprefix(PREFIX), collection)
        for name in filter(None, (target.organization, target.registry, target.collection)):
            if _UNFIT.search(name) or not name.isprintable() or len(name) > MAX_NAME:
                raise RegistryError(f"{form} Names have {MAX_NAME} characters at most, and no blanks or \\ # ? % : *")
        if not target.registry:
            raise RegistryError(form)
        return target

    def __str__(self) -> str:
        """The path as W&B takes it."""
        return "/".join(filter(None, (self.organization, f"{PREFIX}{self.registry}", self.collection)))


def link(
    source: str,
    target: str,
    *,
    timeout: float = LINK_SECONDS,
    digest: str | None = None,
    api: Callable[[], Any] | None = None,
) -> str:
    """Link a logged version to a registry's collection.

    Args:
        source: `ENTITY/PROJECT/NAME:ALIAS`.
        target: As [`RegistryTarget.read`] takes it.
        timeout: Seconds that it may take.
        digest: W&B's digest of a version that may still be on its way: until that one has the name, it is waited for.
        api: Makes W&B's client. Default: of the environment.

    Returns:
        The linked version's name, `ORGANISATION/wandb-registry-NAME/COLLECTION:vN`.

    Raises:
        RegistryError: The target is no collection, there is no such version, W&B refused, or it took too long.
    """
    path = str(RegistryTarget.read(target))
    deadline = time.monotonic() + timeout
    try:
        return in_time(lambda: _link(source, path, deadline, digest, api), timeout)
    except NoAnswer as error:
        raise RegistryError(f"{source} is not linked to {path}: {error}") from None
    except Exception as error:
        raise RegistryError(f"{source} is not linked to {path}: {error_text(error)}") from error


def link_command(source: str, target: str) -> str:
    """What to type to link a version later."""
    return f"{command('oaml', module='oaml_callbacks')} adapter link {shlex.quote(source)} {shlex.quote(target)}"


def _link(source: str, path: str, deadline: float, digest: str | None, api: Callable[[], Any] | None) -> str:
    import wandb

    client = api() if api is not None else wandb.Api(timeout=max(1, int(deadline - time.monotonic())))
    while True:
        try:
            artifact = client.artifact(source)
        except (ValueError, wandb.errors.CommError):
            if digest is None or time.monotonic() > deadline:
                raise
            artifact = None
        if artifact is not None and (digest is None or artifact.digest == digest):
            break
        if time.monotonic() > deadline:
            raise RegistryError(f"{source} has not arrived")
        time.sleep(POLL_SECONDS)
    if time.monotonic() > deadline:
        raise RegistryError("it is too late")  # nobody waits any more, and the command to do it was told
    return str(artifact.link(path).qualified_name)
