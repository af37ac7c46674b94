"""[`RunConnection`]: one W&B run, from opening to end, whatever W&B does. Nothing of W&B's is raised from here."""

from __future__ import annotations

import logging
import os
import random
import string
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from .clean_text import cut, error_text
from .core_log import CORE_LOG, CoreLog, UploadEvent
from .private_settings import private_console, private_metadata, private_settings
from .secrets import redacted_text
from .sync import send, sync_command, write_unsent
from .values import shown

if TYPE_CHECKING:
    import wandb

logger = logging.getLogger(__name__)
T = TypeVar("T")

State = Literal["closed", "opening", "online", "offline", "failed", "finished"]

FLUSH_SECONDS = 1.0
"""How long a row may wait to be written to disk; W&B's own default is 15 s."""

LOOK_SECONDS = 1.0
"""How often the upload is looked at."""

EXIT_SHARE = 0.35
"""Share of `finish_timeout` that is left for the process's exit: W&B's service ends within 3 s, and its telemetry takes
up to 20 s at a server that hangs."""

UPLOAD_SHARE = 0.4
"""Share of `finish_timeout` that W&B may take to send what is left."""

MAX_REQUEST_SECONDS = 10
"""What W&B's service may take for one try of a request about the run; it tries again."""

MAX_CAUSES = 20
"""Different causes that are told; further ones are not."""


@dataclass(frozen=True)
class Opening:
    """What a run is opened with: arguments of `wandb.init`, and how one that exists is gone on with.

    Args:
        arguments: For `wandb.init`: project, entity, name, group, tags, notes.
        run_id: The run's id.
        beside: Leave a run that is already open alone, and open another one beside it.
        resume: `append` to what the run has, or `rewind` it to `last_kept` first; `None` for a new run.
        last_kept: W&B's step of the last row that the run keeps.
        unreachable: Why the server need not be asked: it has just been, in vain.
        earlier: Parts of the run that are on this machine, and not yet on the server.
    """

    arguments: dict[str, Any]
    run_id: str | None = None
    beside: bool = False
    resume: Literal["append", "rewind"] | None = None
    last_kept: int = -1
    unreachable: str | None = None
    earlier: Sequence[Path] = ()


class RunConnection:
    """Owns one W&B run.

    ```
    closed ── open ──▶ opening ─┬─▶ online ──┐
                                ├─▶ offline ─┼── finish ──▶ finished
                                └─▶ failed ◀─┘  (the disk is full; W&B's service died)
    ```

    *online*: rows are on disk within a second and sent by W&B's service. While its uploads fail it tries again, and
    tells nobody; here they are watched and told. *offline*: rows are on disk alone, because the user said so, or
    because the server didn't open the run in `start_timeout`; in the second case they are sent at the end, if the
    server is back then. *failed*: nothing is written any more; what was written stays readable.

    Each change is logged, each cause of it once.

    Args:
        start_timeout: Seconds that opening may take.
        finish_timeout: Seconds that the end may take, the process's exit included.
        strict: Raise what W&B raises, instead of going on without it.

    Attributes:
        state: Where it is in the picture.
        run: The W&B run; `None` before it is open, once it has failed or is finished.
        folder: Where W&B keeps it on disk.
        owned: Whether it was opened here, and not by the user.
        unsent: What is to be sent, in this order; empty once everything has arrived.
    """

    def __init__(self, *, start_timeout: float = 30.0, finish_timeout: float = 60.0, strict: bool = False) -> None:
        if start_timeout <= 0 or finish_timeout <= 0:
            raise ValueError(
                "start_timeout and finish_timeout are seconds and must be above 0, found "
                f"{start_timeout} and {finish_timeout}."
            )
        self.state: State = "closed"
        self.run: wandb.Run | None = None
        self.folder: Path | None = None
        self.owned = False
        self.unsent: list[Path] = []
        self._start_timeout = start_timeout
        self._finish_timeout = finish_timeout
        self._strict = strict
        self._trouble: str | None = None
        self._earlier: list[Path] = []
        self._lost: str | None = None
        self._failed_run: wandb.Run | None = None
        self._by_fault = self._gave_up = False
        self._told: set[str] = set()
        self._log: CoreLog | None = None
        self._lock = threading.Lock()
        self._ends = threading.Event()
        self._watcher: threading.Thread | None = None

    # Opening -----------------------------------------------------------------------------------------------------

    def open(self, opening: Opening) -> None:
        """Open the run: online, else offline, else not at all."""
        import wandb

        self.state = "opening"
        begun = time.monotonic()
        if wandb.run is not None and not opening.beside:
            self._opened(wandb.run, owned=False)
            return
        reason = self._why_not_asked() or opening.unreachable
        while reason is None:
            try:
                self._opened(self._init(opening), owned=True, earlier=opening.earlier)
                return
            except Exception as error:
                if self._strict:
                    raise
                reason = _first_line(error)
            # Refused at once, and so by a server that is there: is there another way?
            if time.monotonic() - begun < self._start_timeout / 2 and (other := _otherwise(opening, reason)):
                opening, reason = other, None
                self._let_go()
        self._let_go()
        if wandb.run is not None:
            opening = replace(opening, run_id=None, resume=None)  # its id can't be had while another run is open
        try:
            run = self._init(opening, offline=True)
        except Exception as error:  # noqa: BLE001 - the same
            self._fail(f"the run could not be opened: {reason}; nor offline: {_first_line(error)}")
            return
        self._by_fault = True
        self._opened(run, owned=True, earlier=opening.earlier, reason=reason, seconds=time.monotonic() - begun)

    @staticmethod
    def _let_go() -> None:
        """Make W&B's service forget the run that it could not open, and whose id it holds. There's no other way."""
        import wandb

        if wandb.run is None:
            _quietly(wandb.teardown)

    def adopt(self) -> None:
        """Take over a run that was open already: it is then finished as if it had been opened here."""
        self.owned = True

    def _why_not_asked(self) -> str | None:
        """Why the server isn't asked: where `WANDB_MODE` is set, nobody wants to be asked for a key at a terminal."""
        import wandb

        if os.environ.get("WANDB_MODE") not in ("online", "shared"):
            return None
        try:
            return None if wandb.login(prompt=False, verify=False) else "there is no API key"
        except Exception as error:  # noqa: BLE001 - a key of a wrong form, a file that can't be read
            return _first_line(error)

    def _init(self, opening: Opening, *, offline: bool = False) -> wandb.Run:
        import wandb

        how: dict[str, Any] = {"id": opening.run_id}
        if opening.resume == "rewind" and opening.last_kept >= 0:
            how = {"resume_from": f"{opening.run_id}?_step={opening.last_kept}"}
        elif opening.resume is not None and not offline:
            how["resume"] = "allow"
        settings = {
            "init_timeout": self._start_timeout,
            "finish_timeout": self._finish_timeout * UPLOAD_SHARE,
            "x_transaction_log_flush_interval": FLUSH_SECONDS,
            "x_graphql_timeout_seconds": MAX_REQUEST_SECONDS,
            **private_settings(),
        }
        _wait_for_another_folder(opening.run_id)
        with private_metadata():
            run = wandb.init(
                **opening.arguments,
                **how,
                mode="offline" if offline else None,
                reinit="create_new" if opening.beside else None,
                settings=wandb.Settings(**settings),
            )
        private_console(run)
        return run

    def _opened(
        self,
        run: wandb.Run,
        *,
        owned: bool,
        earlier: Sequence[Path] = (),
        reason: str | None = None,
        seconds: float = 0.0,
    ) -> None:
        self.run, self.owned = run, owned
        self.folder = Path(run.dir).parent
        self.state = "offline" if run.offline else "online"
        self._earlier = list(earlier)
        if self.state == "offline":
            self.unsent = [*self._earlier, self.folder]
        if reason is not None:
            self._tell(
                reason,
                "W&B could not open the run in %.0f s (%s). It goes on offline, in %s, and is sent at the end if the "
                "server is back then. By hand: %s",
                seconds,
                reason,
                shown(self.folder),
                self.sync_command,
            )
        elif self.state == "offline":
            logger.info("W&B run %s is offline, in %s", run.id, shown(self.folder))
        else:
            logger.info("W&B run %s is open: %s", run.id, run.url)
        self._log = CoreLog(self.folder / CORE_LOG)
        self._watcher = threading.Thread(target=self._watch, name="oaml-uploads", daemon=True)
        self._watcher.start()

    # Writing -----------------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether there is a run to write to: not failed, and finished neither here nor by `wandb.finish()`."""
        # wandb has no public way to ask, and raises at a write to a finished run.
        return self.run is not None and not getattr(self.run, "_is_finished", False)

    def write(self, what: Callable[[wandb.Run], T]) -> T | None:
        """Do something with the run; `None` where there is none, or it fails."""
        if self._strict and self._lost is not None:
            raise RuntimeError(f"W&B: {self._lost}")
        run = self.run
        if run is None or not self.is_open:
            return None
        try:
            return what(run)
        except Exception as error:  # noqa: BLE001 - whatever W&B fails at, the training goes on
            self._failed_at(error)
            return None

    def _failed_at(self, error: Exception) -> None:
        if self._strict:
            raise error
        if isinstance(error, OSError) or "mailbox" in type(error).__module__:
            self._fail(f"W&B's service is gone ({_first_line(error)})")
        else:
            self._tell(error_text(error), "W&B refused something that is left out: %s", error_text(error))

    def log(self, row: dict[str, Any]) -> None:
        """Write one row: what [`write`] does, without a closure, since this is what every log event costs."""
        run = self.run
        if run is None or self._lost is not None or getattr(run, "_is_finished", False):
            self.write(lambda run: run.log(row))
            return
        try:
            run.log(row)
        except Exception as error:  # noqa: BLE001 - whatever W&B fails at, the training goes on
            self._failed_at(error)

    # Looking after the upload ------------------------------------------------------------------------------------

    @property
    def sync_command(self) -> str | None:
        """What to type to send what has not arrived; `None` if there is nothing."""
        return sync_command(self.unsent) if self.unsent else None

    def _watch(self) -> None:
        while not self._ends.wait(LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        with self._lock:
            log = self._log
            for event in log.read() if log is not None else ():
                self._take(event)

    def _take(self, event: UploadEvent) -> None:
        if event.kind == "unwritten":
            self._fail(f"its files can't be written ({event.reason})")
        elif self.state != "online":
            return
        elif event.kind == "sent":
            if self._trouble is not None and not self._gave_up:
                self._tell("recovered", "W&B's server answers again; nothing is lost.")
                self._trouble = None
                self.unsent = []
        else:
            if event.kind == "gave_up":
                self._gave_up, self._lost = True, event.reason
            if self._trouble is None or self._gave_up:
                self._trouble = event.reason
                self.unsent = [*self._earlier, self.folder] if self.folder is not None else []
                self._tell(
                    event.reason,
                    "W&B's server can't be reached (%s). The training goes on, every row is kept in %s%s",
                    event.reason,
                    shown(self.folder) if self.folder is not None else "",
                    "." if not self._gave_up else ", and it is tried again when the run ends.",
                )

    def _fail(self, reason: str) -> None:
        self._lost = reason
        self.state, self._failed_run, self.run = "failed", self.run, None
        where = f" What was written before is in {shown(self.folder)}; {self.sync_command}" if self.folder else ""
        self._tell(reason, "W&B: %s. Nothing more is logged; the training goes on.%s", redacted_text(reason), where)

    def _tell(self, cause: str, message: str, *arguments: Any) -> None:
        if cause not in self._told and len(self._told) < MAX_CAUSES:
            self._told.add(cause)
            logger.warning(message, *arguments)

    # Ending ------------------------------------------------------------------------------------------------------

    def finish(self, exit_code: int, *, begun: float) -> None:
        """Finish the run, if it was opened here, and say where it is.

        Args:
            exit_code: 0 finished, anything else failed.
            begun: When the end began, by `time.monotonic()`: all of it is held against `finish_timeout`.
        """
        run, open_still = self.run, self.is_open
        self._ends.set()
        if self._failed_run is not None and self.owned:
            _quietly(lambda: self._failed_run and self._failed_run.finish(exit_code=exit_code))
        if run is None or not open_still or not self.owned:
            self.run = None
            return
        timed_out = False
        try:
            run.finish(exit_code=exit_code)
            timed_out = bool(getattr(run, "_finish_timed_out", False))
        except Exception as error:
            self.run = None
            if self._strict:
                raise
            self._fail(f"the run's end could not be written ({_first_line(error)})")
            return
        self._look()
        self.run = None
        online = self.state == "online"
        if self.state == "failed":
            return
        self.state = "finished"
        if online and not timed_out and not self._gave_up:
            self.unsent = []
            logger.info("W&B run %s has ended: %s", run.id, run.url)
        elif online or self._by_fault:
            self._send_rest(run, begun, timed_out=timed_out)
        else:
            logger.info("W&B run %s has ended. Send it with: %s", run.id, self.sync_command)

    def _send_rest(self, run: wandb.Run, begun: float, *, timed_out: bool) -> None:
        """What the server lacks: send it, if there is time and hope, else say how it is sent."""
        assert self.folder is not None
        part: Path | None = self.folder
        if self._log is not None and self._log.arrived:
            try:
                part = write_unsent(self.folder, self._log.arrived)
            except (OSError, ValueError) as error:
                logger.debug("The unsent rows have no file of their own: %s", error)
        self.unsent = [*self._earlier, *([part] if part is not None else [])]
        left = begun + self._finish_timeout * (1 - EXIT_SHARE) - time.monotonic()
        # An upload that has just been waited for in vain has no hope.
        if not timed_out and left > 0 and send(self.unsent, left):
            self.unsent = []
            logger.info("W&B's server is back: the run %s has been sent to it.", run.id)
            return
        logger.warning(
            "The W&B run %s is not on the server as a whole%s. Every row of it is in %s. Send it with: %s",
            run.id,
            f" ({self._trouble})" if self._trouble else "",
            shown(self.folder),
            self.sync_command,
        )


def _otherwise(opening: Opening, reason: str) -> Opening | None:
    """How else a run may be opened that the server refused."""
    if opening.resume == "rewind" and "rewind" in reason:
        logger.warning(
            "W&B's server doesn't rewind runs (%s). The run is gone on with as it is: steps that are trained again "
            "appear twice in its charts.",
            reason,
        )
        return replace(opening, resume="append")
    if "deleted" in reason and opening.run_id is not None:
        logger.warning("The W&B run %s was deleted on the server (%s). A new one is opened.", opening.run_id, reason)
        return replace(opening, run_id=new_run_id(), resume=None)
    return None


def is_offline() -> bool:
    """Whether the user has W&B offline."""
    import wandb

    mode = os.environ.get("WANDB_MODE") or getattr(wandb.setup().settings, "mode", None)
    return mode in ("offline", "dryrun")


def new_run_id() -> str:
    """An id as W&B makes them: eight letters and digits."""
    return "".join(random.SystemRandom().choices(string.ascii_lowercase + string.digits, k=8))


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


def _first_line(error: BaseException) -> str:
    return cut(error_text(error).split("\n")[0], 200)


def _quietly(action: Callable[[], Any]) -> None:
    try:
        action()
    except Exception as error:  # noqa: BLE001 - it is cleaned up after a failure that is told already
        logger.debug("%s", error_text(error))
