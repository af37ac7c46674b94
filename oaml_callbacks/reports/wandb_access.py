"""What reports and workspaces ask of W&B: in bounded time, and each refusal in one sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import TypeVar

from ..bounded import NoAnswer, in_time
from ..clean_text import cut, error_text
from ..opening import why_no_server
from ..service import end_service
from .content import ReportError

TIMEOUT = 60.0
"""Seconds that W&B may take to save a report or a workspace."""

TRY_SECONDS = 10
"""Seconds in which its server must answer at all."""

OLDEST = (0, 4, 8)
"""The first wandb-workspaces that works beside wandb 0.31; older ones ask for parts of wandb that it no longer has."""

T = TypeVar("T")

_NO_ANSWER = re.compile("busy|did not respond|connection|timed? ?out|unreachable", re.IGNORECASE)
_EXTRA = 'pip install "oaml-callbacks[report]"'


def modules() -> tuple[ModuleType, ModuleType, ModuleType]:
    """wandb-workspaces' reports, workspaces and expressions.

    Raises:
        ReportError: They aren't installed, or don't go with the installed wandb.
    """
    try:
        installed = version("wandb-workspaces")
        numbers = tuple(int(number) for number in re.findall(r"\d+", installed)[:3])
        if numbers < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            raise ReportError(
                f"wandb-workspaces {installed} is older than the installed wandb; from {oldest} on it goes with it: "
                f"{_EXTRA} --upgrade"
            )
        import wandb_workspaces.reports.v2 as reports
        from wandb_workspaces import expr, workspaces
    except (ImportError, PackageNotFoundError) as error:
        raise ReportError(f"this needs the package's extra: {_EXTRA} ({error})") from None
    return reports, workspaces, expr


def require_account(otherwise: str) -> None:
    """Go on only where W&B can be asked.

    Args:
        otherwise: What does without.

    Raises:
        ReportError: W&B is offline, or there is no API key.
    """
    if (why := why_no_server()) is not None:
        raise ReportError(f"this is saved on W&B's server: {why} {otherwise}")


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

    def work() -> T:
        import wandb

        wandb.Api(timeout=TRY_SECONDS)  # asks whose the key is; the defaults below would wait twice as long
        return ask()

    try:
        return in_time(work, seconds)
    except ReportError:
        raise
    except Exception as error:
        if isinstance(error, NoAnswer) or _NO_ANSWER.search(str(error)):
            # W&B's own process would go on trying, and hold whoever waits for this one's output.
            end_service()
        if isinstance(error, NoAnswer):
            raise ReportError(f"W&B gave no answer in {seconds:.0f} s: {what} may not be saved. {otherwise}") from None
        raise ReportError(f"W&B did not save {what}: {_told(error)} {otherwise}") from error


def _told(error: Exception) -> str:
    said = str(error)
    if re.search(r"\b(401|403)\b|permission|invalid api key|not logged in", said, re.IGNORECASE):
        return f"whose API key this is may not write there ({cut(said, 200)})."
    if _NO_ANSWER.search(said):
        return "its server gave no answer. Try again later."
    return f"{error_text(error)[:300]}."
