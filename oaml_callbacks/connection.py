"""[`RunConnection`]: one W&B run, from opening to end, whatever W&B does. Nothing of W&B's is raised from here."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from .clean_text import error_text
from .core_log import CORE_LOG, CoreLog, UploadEvent
from .disk import is_full
from .on_server import last_row
from .opening import Limits, Opening, first_line, let_go, open_run, why_not_asked
from .run_lock import RunLock
from .secrets import redacted_text
from .service import end_service, finish_run, is_gone, is_torn_down, was_torn_down
from .sync import send, sync_command, unsent_rest
from .values import shown

if TYPE_CHECKING:
    import wandb

logger = logging.getLogger(__name__)
T = TypeVar("T")

State = Literal["closed", "opening", "online", "offline", "failed", "finished"]

LOOK_SECONDS = 1.0
"""How often the upload is looked at."""

TROUBLE_SECONDS = 3.0
"""How long uploads may fail before it is told: a request that succeeds at its second try need not be."""

START_SHARE = 0.8
"""Share of `start_timeout` that the server may take to open the run; the rest is for opening it offline."""

UPLOAD_SHARE = 0.4
"""Share of `finish_timeout` that W&B may take to send what is left."""

END_SHARE = 0.5
"""Share of it after which W&B's service is ended, if it is still busy."""

SEND_SHARE = 0.8
"""Share of it after which nothing is sent any more; the rest is for the process's exit."""

TRY_SHARE = 0.8
"""Share of what is left until then that sending may take; in the rest the server is asked what has come of it."""

CLOSE_SECONDS = 1.5
"""How long the run's file may take to be closed after the run's end; by then it has been written in any case."""

MAX_CAUSES = 20
"""Different causes that are told; further ones are not."""


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
        strict: Raise what W&B raises, and RuntimeError once rows haven't arrived for `start_timeout`, instead of going
            on without it.

    Attributes:
        state: Where it is in the picture.
        run: The W&B run; `None` before it is open, once it has failed or is finished.
        folder: Where W&B keeps it on disk.
        owned: Whether it was opened here, and not by the user.
        strict: As it was given.
        unsent: What is to be sent, in this order; empty once everything has arrived.

    Raises:
        ValueError: A time limit that isn't above 0.
    """

    def __init__(self, *, start_timeout: float = 30.0, finish_timeout: float = 60.0, strict: bool = False) -> None:
        if not (start_timeout > 0 and finish_timeout > 0):
            raise ValueError(
                "start_timeout and finish_timeout are seconds and must be above 0, found "
                f"{start_timeout} and {finish_timeout}."
            )
        self.state: State = "closed"
        self.run: wandb.Run | None = None
        self.folder: Path | None = None
        self.owned = False
        self.unsent: list[Path] = []
        self.strict = strict
        self._start_timeout = start_timeout
        self._finish_timeout = finish_timeout
        self._stop: str | None = None  # what `strict` raises at the next row, or at the end
        self._raised = False
        self._trouble: tuple[str, float] | None = None  # why rows don't arrive, and since when
        self._refused: str | None = None  # why something that is no row won't be sent, such as an artifact
        self._gave_up = self._by_fault = False
        self._is_alone = True  # on the server are no rows of its id but its own
        self._failed_run: wandb.Run | None = None
        self._earlier: list[Path] = []
        self._told: set[str] = set()
        self._log: CoreLog | None = None
        self._run_lock: RunLock | None = None
        self._looking = threading.Lock()
        self._ends = threading.Event()

    # Opening -----------------------------------------------------------------------------------------------------

    def open(self, opening: Opening) -> None:
        """Open the run: online, else offline, else not at all."""
        import wandb

        self.state = "opening"
        begun = time.monotonic()
        if wandb.run is not None and not opening.beside and not was_torn_down(wandb.run):
            self._opened(wandb.run, opening, owned=False)
            return
        deadline = begun + self._start_timeout * START_SHARE
        limits = Limits(self._start_timeout * START_SHARE, self._finish_timeout * UPLOAD_SHARE)
        reason = why_not_asked() or opening.unreachable
        while reason is None:
            try:
                self._opened(open_run(opening, limits), opening)
                return
            except Exception as error:
                if self.strict:
                    raise
                reason = first_line(error)
            let_go()
            # Refused at once, and so by a server that is there: is there another way?
            if time.monotonic() - begun < self._start_timeout / 2 and (other := opening.otherwise(reason)):
                opening, reason = other, None
                limits = replace(limits, start=deadline - time.monotonic())
        if self.strict:
            raise RuntimeError(f"W&B could not open the run: {reason}")
        if wandb.run is not None:
            opening = replace(opening, run_id=None, resume=None)  # its id can't be had while another run is open
        try:
            run = open_run(opening, limits, offline=True)
        except Exception as error:  # noqa: BLE001 - a folder that can't be written to, and whatever W&B may fail at
            self._fail(f"the run could not be opened ({reason}), nor offline ({first_line(error)})")
            return
        self._by_fault = True
        self._opened(run, opening)
        if self.run is None:
            return  # the disk is full
        self._tell(
            reason,
            "W&B could not open the run in %.0f s (%s). It goes on offline, in %s, and is sent at the end if the "
            "server is back then. By hand: %s",
            time.monotonic() - begun,
            reason,
            self._place,
            self.sync_command,
        )

    def _opened(self, run: wandb.Run, opening: Opening, *, owned: bool = True) -> None:
        self.run, self.owned = run, owned
        self.folder = Path(run.dir).parent
        self.state = "offline" if run.offline else "online"
        self._earlier = list(opening.earlier)
        is_users_id = opening.run_id is None  # offline its rows are numbered from 0, whatever there is of that id
        self._is_alone = not (run.offline and is_users_id) and os.environ.get("WANDB_MODE") != "shared"
        if owned:
            self._run_lock = RunLock(self.folder)
        if self.state == "online":
            logger.info("W&B run %s is open: %s", run.id, run.url)
        else:
            self.unsent = [*self._earlier, self.folder]
            logger.info("W&B run %s is offline, in %s", run.id, shown(self.folder))
        self._log = CoreLog(self.folder / CORE_LOG)
        if not self.disk_is_full():
            threading.Thread(target=self._watch, name="oaml-uploads", daemon=True).start()

    def adopt(self) -> None:
        """Take over a run that was open already: it is then finished as if it had been opened here."""
        if not self.owned and self.folder is not None:
            self._run_lock = RunLock(self.folder)
        self.owned = True

    # Writing -----------------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether there is a run to write to: not failed, and finished neither here nor by `wandb.finish()`."""
        # wandb has no public way to ask, and raises at a write to a finished run.
        return self.run is not None and not getattr(self.run, "_is_finished", False)

    def write(self, what: Callable[[wandb.Run], T]) -> T | None:
        """Do something with the run; `None` where there is none, or it fails."""
        run = self.run
        if run is None or not self.is_open:
            return None
        try:
            return what(run)
        except Exception as error:  # noqa: BLE001 - whatever W&B fails at, the training goes on
            self._failed_at(error)
            return None

    def log(self, row: dict[str, Any]) -> None:
        """Write one row: what [`write`] does, without a closure, since this is what every log event costs.

        Raises:
            RuntimeError: `strict`, and rows don't arrive. Here alone, so that the run can still be ended then.
        """
        if self._stop is not None:
            self._raised = True
            raise RuntimeError(f"W&B: {self._stop}")
        run = self.run
        if run is None or getattr(run, "_is_finished", False):
            return
        try:
            run.log(row)
        except Exception as error:  # noqa: BLE001 - whatever W&B fails at, the training goes on
            self._failed_at(error)

    def _failed_at(self, error: Exception) -> None:
        if self.strict:
            raise error
        if is_torn_down(error):
            self.state, self.run = "finished", None
        elif isinstance(error, OSError) and self.disk_is_full():
            return
        elif is_gone(error):
            self._fail(f"W&B's service is gone ({first_line(error)})")
        else:
            self._tell(error_text(error), "W&B refused something that is left out: %s", error_text(error))

    def _fail(self, reason: str) -> None:
        if self.state == "failed":
            return
        self.state, self._failed_run, self.run = "failed", self.run, None
        self._stop = reason if self.strict else None
        where = f" What was written before is in {self._place}." if self.folder is not None else ""
        how = f" Send it with: {self.sync_command}" if self.unsent else ""
        message = "W&B: %s. Nothing more is logged; the training goes on.%s%s"
        self._tell(reason, message, redacted_text(reason), where, how)

    # Looking after the upload ------------------------------------------------------------------------------------

    @property
    def sync_command(self) -> str | None:
        """What to type to send what has not arrived; `None` if there is nothing."""
        return sync_command(self.unsent) if self.unsent else None

    @property
    def _place(self) -> str:
        return shown(self.folder) if self.folder is not None else "no folder"

    def disk_is_full(self) -> bool:
        """Look whether the run's disk is full; that is its end, which is told."""
        if self.folder is None or not is_full(self.folder):
            return False
        self._fail("its disk is full")
        return True

    def _watch(self) -> None:
        while not self._ends.wait(LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        with self._looking:
            self.disk_is_full()
            for event in self._log.read() if self._log is not None else ():
                self._take(event)
            if self._trouble is not None:
                reason, since = self._trouble
                lasted = time.monotonic() - since
                if not self._ends.is_set() and (self._gave_up or lasted >= TROUBLE_SECONDS):
                    self._warn(reason)
                if self.strict and (self._gave_up or lasted >= self._start_timeout):
                    self._stop = f"its server can't be reached ({reason})"

    def _look_until_closed(self, deadline: float) -> None:
        self._look()
        while self._log is not None and not self._log.closed and time.monotonic() < deadline:
            time.sleep(0.02)
            self._look()

    def _take(self, event: UploadEvent) -> None:
        if event.kind == "unwritten":
            self._fail(f"its files can't be written ({event.reason})")
        elif self.state != "online" or self._gave_up:
            return
        elif event.kind == "sent":
            if self._trouble is not None and self._trouble[0] in self._told:
                self._tell("recovered", "W&B's server answers again; nothing is lost.")
            self._trouble = None
            if self._refused is None:
                self.unsent = []
        else:
            self.unsent = [*self._earlier, *([self.folder] if self.folder is not None else [])]
            if event.kind == "refused":
                self._refused = self._refused or event.reason
            elif event.kind == "gave_up" or self._trouble is None:
                self._gave_up = event.kind == "gave_up"
                self._trouble = (event.reason, time.monotonic())

    def _warn(self, reason: str) -> None:
        self._tell(
            reason,
            "W&B's server can't be reached (%s). The training goes on; every row is kept in %s, and is sent %s.",
            reason,
            self._place,
            "when the run ends" if self._gave_up else "as soon as it can be",
        )

    def _tell(self, cause: str, message: str, *arguments: Any) -> None:
        if cause not in self._told and len(self._told) < MAX_CAUSES:
            self._told.add(cause)
            logger.warning(message, *arguments)

    # Ending ------------------------------------------------------------------------------------------------------

    def finish(self, exit_code: int, *, seconds: float | None = None) -> None:
        """Finish the run, if it was opened here, and say where it is.

        Args:
            exit_code: 0 finished, anything else failed.
            seconds: How long it may take. Default: `finish_timeout`.
        """
        begun = time.monotonic()
        limit = self._finish_timeout if seconds is None else min(seconds, self._finish_timeout)
        run = self.run or self._failed_run
        self._ends.set()
        self.run = self._failed_run = None
        if run is None or not self.owned:
            self._unlock()
            return
        try:
            arrived = finish_run(run, exit_code, limit * END_SHARE)
        except Exception as error:
            self._unlock()
            if is_gone(error):
                end_service(run)  # W&B holds on to it, and to the run
            if self.strict:
                raise
            if is_torn_down(error):
                self.state = "finished"
            elif self.state != "failed":
                self._fail(f"the run's end could not be written ({first_line(error)})")
            return
        self._look_until_closed(time.monotonic() + CLOSE_SECONDS if arrived else 0.0)
        self._unlock()
        if self.state != "failed":
            online, self.state = self.state == "online", "finished"
            if online and arrived and not self._gave_up and self._refused is None:
                self.unsent = []
                logger.info("W&B run %s has ended: %s", run.id, run.url)
            elif online or self._by_fault:
                # An upload that has just been waited for in vain has no hope.
                self._send_rest(run, begun + limit * SEND_SHARE - time.monotonic() if arrived else 0.0)
            else:
                logger.info("W&B run %s has ended. Send it with: %s", run.id, self.sync_command)
        if self._stop is not None and not self._raised:
            raise RuntimeError(f"W&B: {self._stop}")

    def _unlock(self) -> None:
        if self._run_lock is not None:
            self._run_lock.release()

    def _send_rest(self, run: wandb.Run, seconds: float) -> None:
        """What the server lacks: send it, if there is time and hope, else say how it is sent."""
        assert self.folder is not None
        deadline = time.monotonic() + seconds
        there = self._last_there(run, deadline)
        self.unsent = unsent_rest(self._earlier, self.folder, self._log, there)
        if there is not None and send(self.unsent, (deadline - time.monotonic()) * TRY_SHARE):
            self.unsent = []
            logger.info("W&B's server is back: the run %s has been sent to it.", run.id)
            return
        if there is not None:  # some of it may have arrived all the same
            self.unsent = unsent_rest(self._earlier, self.folder, self._log, self._last_there(run, deadline))
        logger.warning(
            "The W&B run %s is not on the server as a whole%s. Every row of it is in %s. Send it with: %s",
            run.id,
            f" ({reason})" if (reason := self._trouble[0] if self._trouble else self._refused) else "",
            shown(self.folder),
            self.sync_command,
        )
        if self.strict:
            raise RuntimeError(f"The W&B run {run.id} is not on the server. Send it with: {self.sync_command}")

    def _last_there(self, run: wandb.Run, deadline: float) -> int | None:
        """W&B's step of the last of its rows on the server, -1 if none is known; `None` where it can't be asked."""
        left = deadline - time.monotonic()
        found = last_row(run.id, entity=run.entity, project=run.project, seconds=left)
        if isinstance(found, str):
            return None
        return found.step if found is not None and self._is_alone else -1
