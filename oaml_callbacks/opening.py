"""Opening a W&B run: what it is opened with, and how else it may be opened where the server refuses."""

from __future__ import annotations

import logging
import os
import random
import string
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .clean_text import cut, error_text
from .private_settings import private_console, private_metadata, private_settings
from .service import others_are_open, tear_down

if TYPE_CHECKING:
    import wandb

    from .resuming import Going

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0
"""How long a row may wait to be written to disk; W&B's own default is 15 s."""

MAX_REQUEST_SECONDS = 10
"""What W&B's service may take for one try of a request about the run; it tries again."""

MAX_STREAM_SECONDS = 30
"""The same for rows, of which there may be many to be sent at once. W&B's own is 180 s, in which nothing would be told
of a server that accepts and says nothing."""

STREAM_VARIABLE = "WANDB_X_FILE_STREAM_TIMEOUT_SECONDS"


@dataclass(frozen=True)
class Opening:
    """What a run is opened with: arguments of `wandb.init`, and how one that exists is gone on with.

    Args:
        arguments: For `wandb.init`: project, entity, name, group, tags, notes.
        run_id: The run's id; `None` leaves it to W&B.
        beside: Leave a run that is already open alone, and open another one beside it.
        resume: `append` to what the run has, or `rewind` it to `last_kept` first; `None` for a new run.
        last_kept: W&B's step of the last row that the run keeps.
        unreachable: Why the server need not be asked: it has just been, in vain.
        earlier: Parts of the run that are on this machine, and not yet on the server.
    """

    arguments: dict[str, Any] = field(default_factory=dict)
    run_id: str | None = None
    beside: bool = False
    resume: Literal["append", "rewind"] | None = None
    last_kept: int = -1
    unreachable: str | None = None
    earlier: Sequence[Path] = ()

    @classmethod
    def of(cls, arguments: dict[str, Any], going: Going | None, *, beside: bool) -> Opening:
        """A new run's, or that of a run which is gone on with."""
        if going is None or going.run_id is None:
            # An id of our own, so that a run can begin offline; one that the user has set is W&B's to take.
            own = not any(os.environ.get(name) for name in ("WANDB_RUN_ID", "WANDB_SWEEP_ID", "WANDB_RESUME"))
            return cls(arguments, run_id=new_run_id() if own else None, beside=beside)
        kept = going.plan.last_kept
        rewinds = going.plan.rewind or (kept >= 0 and (is_offline() or going.unreachable is not None))
        return cls(
            arguments,
            run_id=going.run_id,
            beside=beside,
            resume="rewind" if rewinds else "append",
            last_kept=kept,
            unreachable=going.unreachable,
            earlier=going.earlier,
        )

    def otherwise(self, reason: str) -> Opening | None:
        """How else the run may be opened, which the server refused for this reason."""
        if self.resume == "rewind" and "rewind" in reason:
            logger.warning(
                "W&B's server doesn't rewind runs (%s). The run is gone on with as it is: steps that are trained "
                "again appear twice in its charts.",
                reason,
            )
            return replace(self, resume="append")
        if "deleted" in reason and self.run_id is not None:
            logger.warning("The W&B run %s was deleted on the server (%s). A new one is opened.", self.run_id, reason)
            return replace(self, run_id=new_run_id(), resume=None)
        return None


@dataclass(frozen=True)
class Limits:
    """How long W&B may take.

    Args:
        start: Seconds that the server may take to open the run.
        upload: Seconds that the run's end may wait for what is on its way.
    """

    start: float = 30.0
    upload: float = 24.0


def open_run(opening: Opening, limits: Limits, *, offline: bool = False) -> wandb.Run:
    """Open the run with `wandb.init`.

    Args:
        opening: What to open.
        limits: How long it may take.
        offline: Don't ask the server.

    Raises:
        Exception: What `wandb.init` raises.
    """
    import wandb

    from .sweeps.stop_request import stop_settings

    how: dict[str, Any] = {"id": opening.run_id}
    # Offline, W&B numbers rows from 0 again unless it is told where they begin; a rewind tells it.
    if (opening.resume == "rewind" or (offline and opening.resume is not None)) and opening.last_kept >= 0:
        how = {"resume_from": f"{opening.run_id}?_step={opening.last_kept}"}
    elif opening.resume is not None and not offline:
        how["resume"] = "allow"
    settings = {
        "init_timeout": limits.start,
        "finish_timeout": limits.upload,
        "x_transaction_log_flush_interval": FLUSH_SECONDS,
        "x_graphql_timeout_seconds": MAX_REQUEST_SECONDS,
        **({} if os.environ.get(STREAM_VARIABLE) else {"x_file_stream_timeout_seconds": MAX_STREAM_SECONDS}),
        **private_settings(),
        **stop_settings(),
    }
    _wait_for_another_folder(opening.run_id)
    with private_metadata(), _checkpoint_first() if "resume_from" in how else nullcontext():
        run = wandb.init(
            **opening.arguments,
            **how,
            mode="offline" if offline else None,
            reinit="create_new" if opening.beside else None,
            settings=wandb.Settings(**settings),
        )
    private_console(run)
    return run


@contextmanager
def _checkpoint_first() -> Iterator[None]:
    """Inside, `WANDB_RUN_ID` and `WANDB_RESUME` don't count: beside them W&B raises where a run is to be rewound."""
    import wandb

    settings: Any = wandb.setup().settings
    before = settings.run_id, settings.resume
    settings.run_id = settings.resume = None
    try:
        yield
    finally:
        settings.run_id, settings.resume = before


def let_go() -> None:
    """Make W&B's service forget a run that it could not open, and whose id it holds. There's no other way."""
    import wandb

    if wandb.run is None and not others_are_open():
        tear_down()


def has_key() -> bool:
    """Whether there is an API key, without asking anybody for one."""
    import wandb

    try:
        return wandb.login(prompt=False, verify=False)
    except Exception as error:  # noqa: BLE001 - a key of a wrong form, a file that can't be read
        logger.debug("%s", error_text(error))
        return False


def why_not_asked() -> str | None:
    """Why the server isn't asked: where `WANDB_MODE` is set, nobody wants to be asked for a key at a terminal."""
    unasked = os.environ.get("WANDB_MODE") in ("online", "shared") and not has_key()
    return "there is no API key, or none that can be used" if unasked else None


def is_offline() -> bool:
    """Whether the user has W&B offline."""
    import wandb

    try:
        mode = os.environ.get("WANDB_MODE") or getattr(wandb.setup().settings, "mode", None)
    except Exception as error:  # noqa: BLE001 - a setting that W&B refuses; opening the run tells of it
        logger.debug("%s", error_text(error))
        return False
    return mode in ("offline", "dryrun")


def new_run_id() -> str:
    """An id as W&B makes them: eight letters and digits."""
    return "".join(random.SystemRandom().choices(string.ascii_lowercase + string.digits, k=8))


def is_installed() -> bool:
    """Whether wandb is installed."""
    spec = find_spec("wandb")
    # A folder of that name, such as W&B's own of an earlier run, looks like a package without an origin.
    return spec is not None and spec.origin is not None


def why_no_server() -> str | None:
    """Why a command can't ask W&B's server, and what to do about it; `None` if it can."""
    if not is_installed():
        return 'this needs the package\'s extra: pip install "oaml-callbacks[wandb]".'
    if is_offline():
        return "W&B is offline. Unset WANDB_MODE, or `wandb online`."
    if not has_key():
        return "there is no API key. `wandb login` stores one, WANDB_API_KEY names one."
    return None


def require_wandb() -> None:
    """Raise if wandb isn't installed.

    Raises:
        ImportError: Names the command that installs it, and how to do without.
    """
    if not is_installed():
        raise ImportError(
            "Tracking with Weights & Biases is on, but wandb is not installed. Install it with "
            '`pip install "oaml-callbacks[wandb]"`, or turn it off with report_to="none".'
        )


def user_run_is_open() -> bool:
    """Whether a run is open in this process that is no trial of a sweep."""
    import wandb

    return wandb.run is not None and not wandb.run.sweep_id


def first_line(error: BaseException) -> str:
    """What went wrong, in a line."""
    return cut(error_text(error).split("\n")[0], 200)


def _wait_for_another_folder(run_id: str | None) -> None:
    """Wait, for a second at most, until W&B would name the next folder otherwise than the last one of this run.

    Folders are named by the second and the run's id: one that exists would be written over.
    """
    if run_id is None:
        return
    place = Path(os.environ.get("WANDB_DIR") or ".") / "wandb"
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline and list(place.glob(time.strftime(f"*run-%Y%m%d_%H%M%S-{run_id}"))):
        time.sleep(0.05)
