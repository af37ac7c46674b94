"""W&B's server, asked about sweeps: each question in bounded time, and each refusal in a sentence."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from typing import Any, TypeVar
from urllib.parse import quote, unquote

from ..bounded import NoAnswer, in_time
from ..clean_text import error_text, one_line
from .sweep_file import Sweep, SweepError

ASK_SECONDS = 30.0
"""How long the server may take to say what a sweep is, and how long to take a new one."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_PLACE = re.compile(r"(?!\.+$)[\w .-]{1,128}")
_URL = re.compile(r"https?://[^/]+/([^/]+)/([^/]+)/sweeps/([^/?#]+)")
_AWAY = ("did not respond", "timed out", "imeout", "onnection refused", "onnection reset", "no such host", "lookup")
_OVER = ("FINISHED", "CANCELED", "CANCELLED")

T = TypeVar("T")


@dataclass(frozen=True)
class ServerSweep:
    """A sweep as the server has it.

    Args:
        entity: Whose it is.
        project: Where it is.
        id: Its id.
        state: `PENDING`, `RUNNING`, `PAUSED`, `FINISHED` or `CANCELED`.
        url: Its page.
        content: Its file's values; of a new one, empty.
    """

    entity: str
    project: str
    id: str
    state: str
    url: str | None
    content: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def path(self) -> str:
        """`entity/project/id`, as an agent takes it on any machine."""
        return f"{self.entity}/{self.project}/{self.id}"

    @property
    def is_over(self) -> bool:
        """Whether it gives no more trials."""
        return self.state in _OVER


def create_sweep(
    sweep: Sweep, *, project: str | None = None, entity: str | None = None, seconds: float = ASK_SECONDS
) -> ServerSweep:
    """Hand a sweep file to W&B.

    Args:
        sweep: What to hand over; checked.
        project: Where to; `None` for the file's `project`, else `WANDB_PROJECT`.
        entity: Whose; `None` for the file's `entity`, else the account's.
        seconds: How long it may take.

    Raises:
        SweepError: There's no server to be had, or it refuses.
    """
    _needs_server("starting a sweep", "Or run the file without one: `oaml sweep local`.")
    content = {"program": "oaml", **sweep.content}  # W&B's agent asks for its name, though the command says all
    project = project or content.get("project") or os.environ.get("WANDB_PROJECT")
    entity = entity or content.get("entity") or os.environ.get("WANDB_ENTITY")
    if not project:
        raise SweepError("which W&B project? Give --project, or `project:` in the sweep file")

    def ask() -> ServerSweep:
        import wandb

        name = wandb.sweep(content, project=project, entity=entity)
        # W&B notes there where the server has put it.
        whose, where = os.environ.get("WANDB_ENTITY", entity or ""), os.environ.get("WANDB_PROJECT", project)
        if not _ID.fullmatch(name) or not all(_PLACE.fullmatch(part) for part in (whose, where)):
            raise SweepError(
                f"the server has put the sweep where no agent can be sent: {one_line(f'{whose}/{where}/{name}')}"
            )
        return ServerSweep(whose, where, name, "PENDING", _url(whose, where, name))

    return _in_time(ask, seconds, f"the sweep can't be started in {project}")


def find_sweep(
    reference: str, *, project: str | None = None, entity: str | None = None, seconds: float = ASK_SECONDS
) -> ServerSweep:
    """What the server knows of a sweep.

    Args:
        reference: Its id, `project/id`, `entity/project/id`, or the address of its page.
        project: Where it is, where the reference doesn't say; `None` for `WANDB_PROJECT`.
        entity: Whose it is, likewise; `None` for `WANDB_ENTITY`, else the account's.
        seconds: How long it may take.

    Raises:
        SweepError: It can't be read as a reference, there is no such sweep, or nobody answers.
    """
    entity, project, name = _parts(reference, project, entity)
    _needs_server("an agent", "`oaml sweep local` runs a sweep file without one.")
    if project is None:
        raise SweepError(f"{name}: in which project? Write project/{name}, or give --project")
    shown = "/".join(part for part in (entity, project, name) if part)

    def ask() -> ServerSweep:
        import wandb

        api = wandb.Api(timeout=max(1, int(seconds / 2)))
        whose = entity or api.default_entity or ""
        found = api.sweep(f"{whose}/{project}/{name}")  # type: ignore[no-untyped-call]
        return ServerSweep(
            whose, project, name, str(found.state).upper(), _url(whose, project, name), found.config or {}
        )

    return _in_time(ask, seconds, f"the sweep {shown} can't be had")


def _parts(reference: str, project: str | None, entity: str | None) -> tuple[str | None, str | None, str]:
    at = _URL.match(reference)
    parts = [unquote(part) for part in at.groups()] if at else reference.strip("/").split("/")
    if len(parts) > 3 or not _ID.fullmatch(parts[-1]) or not all(_PLACE.fullmatch(part) for part in parts):
        raise SweepError(
            f"{one_line(reference)} is no sweep; expected its id, project/id, entity/project/id or its page's address"
        )
    project = parts[-2] if len(parts) > 1 else project or os.environ.get("WANDB_PROJECT")
    entity = parts[-3] if len(parts) > 2 else entity or os.environ.get("WANDB_ENTITY")
    return entity or None, project or None, parts[-1]


def _needs_server(what: str, instead: str) -> None:
    from ..opening import why_no_server

    if (why := why_no_server()) is not None:
        raise SweepError(f"{what} needs W&B's server: {why} {instead}")


def _in_time(ask: Callable[[], T], seconds: float, failed: str) -> T:
    """The answer, or a sentence. W&B's own time limit holds for each of many tries."""
    try:
        with redirect_stdout(StringIO()):  # W&B prints there what is told by us
            return in_time(ask, seconds)
    except SweepError:
        raise
    except Exception as error:
        raise _in_a_sentence(error, failed) from error


def _in_a_sentence(error: Exception, failed: str) -> SweepError:
    if isinstance(error, NoAnswer):
        return SweepError(f"{failed}: W&B's server gave {error}. Is it reachable from here?")
    text = str(error)
    if any(word in text for word in _AWAY):
        return SweepError(f"{failed}: W&B's server doesn't answer. Is it reachable from here? ({error_text(error)})")
    if "ould not find" in text or "not found" in text or "404" in text:
        return SweepError(f"{failed}: there is no such sweep, or it belongs to others and this key may not see it")
    if any(word in text for word in ("401", "403", "ermission", "denied", "Unauthorized", "API key")):
        return SweepError(f"{failed}: this API key may not. `wandb login` with one that may, or give --entity")
    return SweepError(f"{failed}: {error_text(error)}")


def _url(entity: str, project: str, name: str) -> str | None:
    import wandb

    if not entity:
        return None
    try:
        base = str(wandb.setup().settings.app_url).rstrip("/")
    except Exception:  # noqa: BLE001 - an address that can't be told is no reason to fail
        return None
    return f"{base}/{quote(entity)}/{quote(project)}/sweeps/{quote(name)}"
