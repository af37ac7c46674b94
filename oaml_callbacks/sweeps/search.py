"""[`Search`]: trials proposed, trained one after another, judged, and told."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..durations import duration
from ..interrupts import Interrupts
from ..train import newest_checkpoint
from ..values import shown
from .guard import take_lock
from .search_progress import Clock, SearchProgress
from .search_result import SearchedTrial, SearchResult, rank
from .search_space import SearchSpace, short_names, value_text
from .study import next_trial
from .sweep_file import Sweep, SweepError
from .trial import GRACE_SECONDS, LOCK, LOG, Logged, Runner, TrialFiles, TrialProcess, TrialSettings, why_failed

if TYPE_CHECKING:
    import optuna
    from rich.console import Console

logger = logging.getLogger(__name__)

MAX_FAILURES = 3
"""Trials that may fail one after another before the search ends: the fourth would fail too."""
POLL_SECONDS = 0.5
"""How often a trial's files are looked at."""


class SearchFailed(RuntimeError):
    """The search ended because its trials fail: says how, and what is likely wrong. `oaml` exits with 1."""


class SearchInterrupted(KeyboardInterrupt):
    """The search was interrupted; run again, it goes on. The text says in which trial."""


class Search:
    """A search at work.

    Args:
        sweep: The sweep.
        metric: The key that decides, as the history has it.
        space: What is searched.
        study: What was tried.
        settings: What the trials have in common.
        runner: Which command trains a trial.
        seed: What the proposals are drawn by.
        own: The configuration's own values, in Optuna's terms, which `bayes` begins with; empty for not.
    """

    def __init__(
        self,
        sweep: Sweep,
        metric: str,
        space: SearchSpace,
        study: optuna.Study,
        settings: TrialSettings,
        *,
        runner: Runner,
        seed: int,
        own: Mapping[str, Any],
    ) -> None:
        self.sweep, self.metric, self.space, self.study = sweep, metric, space, study
        self.settings, self._runner, self._seed = settings, runner, seed
        self._own = dict(own)
        self._failures: list[str] = []
        self._interrupts = Interrupts()

    def run(self, count: int, console: Console | None = None) -> None:
        """Train until there are `count` trials that have ended.

        Raises:
            SearchFailed: Too many trials failed one after another.
            SearchInterrupted: Ctrl-C or SIGTERM.
        """
        done = sum(trial.state.is_finished() for trial in self.study.get_trials(deepcopy=False))
        with self._interrupts, SearchProgress(count, done, console) as progress:
            while done < count:
                self._interrupts.check()
                trial = next_trial(self.study, self.space, method=self.sweep.method, seed=self._seed, own=self._own)
                self._train(trial, progress)
                done += 1

    def result(self) -> SearchResult:
        """What came of it; writes the best configuration and the picture."""
        from .summary import write_result

        return write_result(self.sweep, self.metric, self.space, self.settings, self.trials())

    def trials(self) -> list[SearchedTrial]:
        """All trials so far."""
        from optuna.trial import TrialState

        states = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
        found = []
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state == TrialState.WAITING:
                continue
            told: Mapping[str, Any] = trial.user_attrs
            folder = self.settings.folder(trial.number + 1)
            found.append(
                SearchedTrial(
                    number=trial.number + 1,
                    values=told.get("values", {}),
                    state=states.get(trial.state, "running"),  # type: ignore[arg-type]
                    value=told.get("value"),
                    step=told.get("step"),
                    figures=told.get("figures", {}),
                    evaluations=len(trial.intermediate_values),
                    seconds=told.get("seconds"),
                    own=bool(told.get("own")),
                    why=told.get("why"),
                    folder=folder,
                    adapter=TrialFiles(folder, self.metric).adapter(told.get("step")),
                    run_id=told.get("run_id"),
                )
            )
        return found

    # One trial ---------------------------------------------------------------------------------------------------

    def _train(self, trial: optuna.Trial, progress: SearchProgress) -> None:
        from optuna.trial import TrialState

        number, values = trial.number + 1, self.space.values(trial.params)
        files = TrialFiles(self.settings.folder(number), self.metric)
        is_own = bool(self._own) and number == 1 and len(self._own) == len(self.space.dimensions)
        trial.set_user_attr("values", values)
        trial.set_user_attr("own", is_own)
        before, clock = trial.user_attrs.get("seconds") or 0.0, Clock()
        status = 0
        if files.result() is None:  # or else it had ended when the search was killed
            status = self._run(trial, values, files, progress, clock)
        logged = files.logged()
        self._report(trial, logged)
        pruned = bool(trial.user_attrs.get("stopped")) and (status != 0 or not files.is_at_end())
        best = self._best(logged)
        seconds = before + clock.seconds
        self._note(trial, files, best, seconds)
        if pruned and best is not None:
            self.study.tell(trial, state=TrialState.PRUNED)
            state = f"stopped early after {len(logged)} evaluation{'s' if len(logged) != 1 else ''}"
        elif status == 0 and best is not None:
            self.study.tell(trial, best.value)
            state = "the configuration's own values" if is_own else ""
        else:
            why = why_failed(status, files.last_lines(), self.settings)
            trial.set_user_attr("why", why)
            self.study.tell(trial, state=TrialState.FAIL)
            self._failed(number, why, files, seconds, progress)
            return
        self._failures.clear()
        found = f"{best.value:.4g} at step {best.step}" + (f", {state}" if state else "")
        progress.ended(seconds, f"trial {number}: {found}; {self._told(values)}; {duration(seconds)}")

    def _run(
        self,
        trial: optuna.Trial,
        values: Mapping[str, Any],
        files: TrialFiles,
        progress: SearchProgress,
        clock: Clock,
    ) -> int:
        """Train it; gives its process's exit status."""
        number, folder = trial.number + 1, files.folder
        folder.mkdir(parents=True, exist_ok=True)
        trial.set_user_attr("stopped", False)
        self._wait_for_earlier(folder, number)
        command = self._runner(
            self.settings.config,
            self.settings.arguments(number, values),
            wandb=self.settings.wandb,
            resume=newest_checkpoint(folder) is not None,
        )
        process = TrialProcess(command, folder, self.settings.environment())
        best = self._best_told()
        try:
            while (status := self._status(process)) is None:
                logged = files.logged()
                standing = files.standing()
                if self._report(trial, logged) and not files.is_at_end() and trial.should_prune():
                    trial.set_user_attr("stopped", True)
                    with self._interrupts.here():
                        return process.end("STOP")
                now = self._best(logged)
                share = standing[0] / standing[1] if standing else 0.0
                value = now.value if now is not None else None
                progress.at(number, share=min(share, 1.0), seconds=clock.seconds, value=value, best=best)
        except KeyboardInterrupt:
            progress.hide()
            self._end_gently(process, number)
            best_now = self._best(files.logged())
            self._note(trial, files, best_now, (trial.user_attrs.get("seconds") or 0.0) + clock.seconds)
            raise SearchInterrupted(_interrupted(number, folder)) from None
        except BaseException:
            process.kill()
            raise
        return status

    def _status(self, process: TrialProcess) -> int | None:
        with self._interrupts.here():
            return process.status(POLL_SECONDS)

    def _end_gently(self, process: TrialProcess, number: int) -> None:
        logger.warning(
            "Ending trial %d after its step, with a checkpoint. Press Ctrl-C again to stop it at once.", number
        )
        try:
            with self._interrupts.here():
                process.end("INT")
        except KeyboardInterrupt:
            process.kill()

    def _report(self, trial: optuna.Trial, logged: list[Logged]) -> bool:
        """Tell Optuna what is new; gives whether anything is."""
        reported = trial.storage.get_trial(trial._trial_id).intermediate_values
        new = [count for count in range(1, len(logged) + 1) if count not in reported]
        for count in new:
            trial.report(logged[count - 1].value, count)
        return bool(new)

    def _note(self, trial: optuna.Trial, files: TrialFiles, best: Logged | None, seconds: float) -> None:
        noted: dict[str, Any] = {"seconds": round(seconds, 1), "run_id": files.run_id()}
        if best is not None:
            noted |= {"value": best.value, "step": best.step, "figures": dict(best.figures)}
        for name, value in noted.items():
            trial.set_user_attr(name, value)

    def _best(self, logged: list[Logged]) -> Logged | None:
        """The best evaluation, the earliest of equals: the one whose checkpoint the Trainer keeps."""
        sign = -1 if self.sweep.goal == "maximize" else 1
        return min(logged, key=lambda each: sign * each.value, default=None)

    def _best_told(self) -> str | None:
        there = [trial for trial in self.trials() if trial.state == "finished" and trial.value is not None]
        best = min(there, key=lambda trial: rank(trial, self.metric, self.sweep.goal), default=None)
        return None if best is None else f"{best.value:.3f} (trial {best.number})"

    def _told(self, values: Mapping[str, Any]) -> str:
        names = short_names([each.name for each in self.space.dimensions])
        return " ".join(f"{short}={value_text(values[name])}" for name, short in names.items())

    def _failed(self, number: int, why: str, files: TrialFiles, seconds: float, progress: SearchProgress) -> None:
        self._failures.append(f"trial {number}: {why}")
        tail = "".join(f"\n    {line}" for line in files.last_lines())
        progress.ended(seconds, f"trial {number} failed: {why}. The end of {shown(files.folder / LOG)}:{tail}")
        if len(self._failures) >= MAX_FAILURES:
            progress.hide()
            raise SearchFailed(
                f"{len(self._failures)} trials failed one after another, so the next would most likely fail too:\n  "
                + "\n  ".join(self._failures)
                + f"\nTheir logs are {shown(self.settings.output_dir)}/trial-*/{LOG}. Mend what is wrong, and start "
                "the search again: it goes on with the next trial"
            )

    def _wait_for_earlier(self, folder: Path, number: int) -> None:
        """Wait until the process of a search that was killed has saved its checkpoint."""
        clock, told = Clock(), False
        while (lock := take_lock(str(folder / LOCK))) is None:
            if not told:
                logger.info("Trial %d's earlier process is still saving its checkpoint: waiting for it.", number)
                told = True
            if clock.seconds > 2 * GRACE_SECONDS:
                raise SweepError(f"{shown(folder)}: trial {number}'s earlier process is still at work; end it first")
            with self._interrupts.here():
                time.sleep(0.2)
        os.close(lock)


def _interrupted(number: int, folder: Path) -> str:
    checkpoint = newest_checkpoint(folder)
    where = f"its checkpoint is {shown(checkpoint)}" if checkpoint is not None else "it has no checkpoint yet"
    return f"interrupted in trial {number}; {where}. The same command goes on with it"
