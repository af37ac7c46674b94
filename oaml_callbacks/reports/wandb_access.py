"""What reports and workspaces ask of W&B: in bounded time, and each refusal in one sentence."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TypeVar

from ..clean_text import cut, error_text
from ..opening import has_key, is_offline
from .content import ReportError

TIMEOUT = 60.0
"""Seconds that W&B may take to save a report or a workspace."""

T = TypeVar("T")

_EXTRA = 'pip install "oaml-callbacks[report]"'


def modules() -> tuple[ModuleType, ModuleType, ModuleType]:
    """wandb-workspaces' reports, workspaces and expressions.

    Raises:
        ReportError: They aren't installed, or don't go with the installed wandb.
    """
    try:
        import wandb_workspaces.reports.v2 as reports
        from wandb_workspaces import expr, workspaces
    except ImportError as error:
        if (error.name or "").startswith("wandb_gql"):
            raise ReportError(
                f"the installed wandb-workspaces is older than the installed wandb; take a newer one: "
                f"{_EXTRA} --upgrade"
            ) from None
        raise ReportError(f"this needs the package's extra: {_EXTRA} ({error})") from None
    return reports, workspaces, expr


def require_account(otherwise: str) -> None:
    """Go on only where W&B can be asked.

    Args:
        otherwise: What does without.

    Raises:
        ReportError: W&B is offline, or there is no API key.
    """
    if is_offline():
        raise ReportError(f"W&B is offline (WANDB_MODE=offline), and this is saved on its server. {otherwise}")
    if not has_key():
        raise ReportError(
            "there is no API key of W&B's, and this is saved on its server. `wandb login` stores one, WANDB_API_KEY "
            f"names one. {otherwise}"
        )


def asked(ask: Callable[[], T], what: str, *, otherwise: str, seconds: float = TIMEOUT) -> T:
    """What W&B answers, in bounded time.

    Args:
        ask: Asks, and may wait for as long as W&B's own limits are.
        what: What is asked for: `the report`.
        otherwise: What does without.
        seconds: How long it is waited for.

    Raises:
        ReportError: It refuses, fails, or gives no answer.
    """
    answers: list[T] = []
    errors: list[Exception] = []

    def work() -> None:
        try:
            answers.append(ask())
        except Exception as error:  # noqa: BLE001 - told below, by who waits
            errors.append(error)

    thread = threading.Thread(target=work, name="oaml-ask", daemon=True)
    thread.start()
    thread.join(seconds)
    if answers:
        return answers[0]
    if not errors:
        raise ReportError(f"W&B gave no answer in {seconds:.0f} s: {what} may not be saved. {otherwise}")
    if isinstance(errors[0], ReportError):
        raise errors[0]
    raise ReportError(f"W&B did not save {what}: {_told(errors[0])} {otherwise}")


def _told(error: Exception) -> str:
    said = str(error)
    if re.search(r"\b(401|403)\b|permission|invalid api key|not logged in", said, re.IGNORECASE):
        return f"whose API key this is may not write there ({cut(said, 200)})."
    if re.search(r"busy|did not respond|connection|timed? ?out|unreachable", said, re.IGNORECASE):
        return "its server gave no answer. Try again later."
    return f"{error_text(error)[:300]}."


@contextmanager
def quiet() -> Iterator[None]:
    """W&B says nothing of its own on stderr, where it hasn't been told how to be yet."""
    before = os.environ.get("WANDB_SILENT")
    os.environ["WANDB_SILENT"] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ["WANDB_SILENT"]
        else:
            os.environ["WANDB_SILENT"] = before


def place_of(url: str | None) -> tuple[str, str, str] | None:
    """Entity, project and run id of a run's address; `None` of another one."""
    found = re.search(r"^https?://[^/]+/([^/?#]+)/([^/?#]+)/runs/([^/?#]+)", url or "")
    return (found[1], found[2], found[3]) if found else None
