"""Trainings under outages of W&B's server: what goes wrong when, and what is seen of it. For `test_outages`."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from transformers import TrainerCallback

from . import same_run
from .loopback import Kind, Loopback, Run, loopback
from .same_run import comparable
from .warm import Job, Warm

Fault = Kind | Literal["dns", "tls"]
Place = Literal["start", "midway", "end", "table", "artifact"]

FAULTS: tuple[Fault, ...] = (
    "refuse", "500", "429", "401", "403", "404", "413", "hang", "drop", "garbage", "dns", "tls"
)  # fmt: skip
PLACES: tuple[Place, ...] = ("start", "midway", "end", "table", "artifact")

TRAIN = "tests.outages:train"
START_S, FINISH_S = 3.0, 8.0
"""What the callback is given, so that the tests are quick."""
AT = {"midway": 6, "table": 8}
PAUSE_S = 0.5
"""How long each step after `AT["midway"]` takes: longer in all than trouble may last before it is told."""

ARTIFACTS = {"CreateArtifact", "CreateArtifactManifest", "CreateArtifactFiles", "CommitArtifact", "storage"}


# In the training's process -------------------------------------------------------------------------------------------


class First(TrainerCallback):
    """Notes when the first callback is called, before the one that opens a run."""

    begun = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.begun = time.time()


class Clock(TrainerCallback):
    """Notes when things happen, and lets the test act at one of them. To come before the callback that is tested."""

    def __init__(self, folder: Path, place: str, pause: float) -> None:
        self.folder, self.place, self.pause = folder, place, pause
        self.steps: list[float] = []
        self.end = self.waited = 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.steps.append(time.time() - self.waited)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == AT["midway"]:
            self._at("midway")
        if state.global_step > AT["midway"]:
            self._wait(lambda: False, self.pause)

    def on_log(self, args: Any, state: Any, control: Any, *, logs: Any = None, **kwargs: Any) -> None:
        if "eval_loss" in (logs or {}) and state.global_step == AT["table"]:
            self._at("table")

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._at("end")
        self.end = time.time()
        (self.folder / "end").write_text(str(self.end), encoding="utf-8")

    def _at(self, place: str) -> None:
        if place == self.place:
            # Rows are on their way for a second.
            self._wait(lambda: False, 1.5)
            (self.folder / "reached").touch()
            self._wait((self.folder / "go").exists, 60)

    def _wait(self, until: Callable[[], bool], seconds: float) -> None:
        begun = time.time()
        while not until() and time.time() - begun < seconds:
            time.sleep(0.01)
        self.waited += time.time() - begun


class Records(logging.Handler):
    """Writes every record of a logger down as a line of JSON, also those of the process's end."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file

    def emit(self, record: logging.LogRecord) -> None:
        with open(self.file, "a", encoding="utf-8") as file:
            file.write(json.dumps([record.levelname, record.getMessage(), time.time()]) + "\n")


def train(
    *,
    folder: str,
    place: str = "",
    pause: float = 0.0,
    screens: str | None = None,
    options: Mapping[str, Any] | None = None,
    **given: Any,
) -> dict[str, Any]:
    """Train to the end, and leave the run's end to the process's end, as scripts do.

    Args:
        folder: Where it is told and asked what goes on.
        place: Where the test is asked before the training goes on.
        pause: Seconds that each step after `AT["midway"]` takes.
        screens: A folder with screens, for a tiny Qwen-VL to be trained on in the place of two numbers.
        options: For `TrainingArguments`.
        **given: For our callback.
    """
    from . import builders, small_training

    where = Path(folder)
    ours_log = logging.getLogger("oaml_callbacks")
    ours_log.setLevel(logging.INFO)
    ours_log.addHandler(Records(where / "records.jsonl"))
    logging.getLogger("oaml_callbacks.sync").setLevel(logging.DEBUG)
    clock = Clock(where, place, pause)
    limits = {"start_timeout": START_S, "finish_timeout": FINISH_S, **given}
    if screens is not None:
        ours = small_training.callback(grounding=builders.evaluator(Path(screens)), **limits)
        args = builders.arguments(where, max_steps=AT["table"], eval_steps=4, **(options or {}))
        made = builders.trainer(Path(screens), args, [clock, ours])
    else:
        ours = small_training.callback(**limits)
        made = small_training.trainer(where, [clock, ours], save_strategy="no", **(options or {}))
    first = First()
    made.callback_handler.callbacks.insert(0, first)
    made.train()
    return {
        "run_id": ours.run_id,
        "folder": str(ours.run_folder) if ours.run_folder else None,
        "history": [{key: repr(value) for key, value in entry.items()} for entry in made.state.log_history],
        "steps": made.state.global_step,
        "start_s": clock.steps[0] - first.begun,
        "step_s": [after - before for before, after in zip(clock.steps, clock.steps[1:], strict=False)],
    }


# In the test's process -----------------------------------------------------------------------------------------------


@dataclass
class Outage:
    """What was seen of one training.

    Attributes:
        fault: What was wrong with the server.
        place: When it began.
        job: The training's process.
        result: What `train` returned.
        start_s: From the training's begin to its first step.
        step_s: What each step took.
        end_s: From the training's end to that of its process.
        records: Level and text of what the package logged.
        command: The command that the user was told at the end, if any.
        server: The server, mended.
        folder: The test's.
        printed: What the command printed, if it was run.
    """

    fault: str
    place: str
    job: Job
    server: Loopback
    folder: Path
    result: dict[str, Any] = field(default_factory=dict)
    start_s: float = 0.0
    step_s: list[float] = field(default_factory=list)
    end_s: float = 0.0
    records: list[tuple[str, str]] = field(default_factory=list)
    command: str | None = None
    printed: str = ""

    @property
    def run(self) -> Run:
        """The run, as the server has it."""
        return self.server.runs[self.result["run_id"]]

    def warnings(self, *words: str) -> list[str]:
        """Warnings that have one of these words in them."""
        return [text for level, text in self.records if level == "WARNING" and any(word in text for word in words)]


def variables(server: Loopback) -> dict[str, str]:
    """For a process whose runs the server gets, and that isn't patient with it."""
    return {**same_run.variables(server), "WANDB_X_FILE_STREAM_TIMEOUT_SECONDS": "2", "WANDB_DATA_DIR": "data"}


def break_it(server: Loopback, fault: Fault, place: Place) -> None:
    """Let the server be out of order: wholly, or for artifacts alone."""
    if fault == "dns" or fault == "tls":
        return
    where = ARTIFACTS if place == "artifact" else None
    if fault == "refuse" and where:
        server.fault(fault, where="CreateArtifact", after=1)
    else:
        server.fault(fault, where=where)


def outage(
    processes: Warm,
    folder: Path,
    fault: Fault,
    place: Place,
    *,
    mended_after: float | None = None,
    pause: float | None = None,
    **given: Any,
) -> Outage:
    """Train with a fault from one place on to the process's end; mend it, and type the command that was told.

    Args:
        processes: Starts it.
        folder: Where.
        fault: What is wrong.
        place: From when on.
        mended_after: Mended during the training, after so many seconds.
        pause: As for `train`.
        **given: For `train`.
    """
    with ExitStack() as stack:
        server = stack.enter_context(loopback())
        environment = variables(server)
        if fault == "dns":
            environment["WANDB_BASE_URL"] = "http://wandb.invalid"
        elif fault == "tls":
            environment["WANDB_BASE_URL"] = stack.enter_context(loopback(tls=True)).url
        if place in ("start", "artifact"):
            break_it(server, fault, place)
        if pause is None:
            pause = PAUSE_S if place == "midway" else 0.0
            pause *= 1.6 if fault == "hang" else 1.0  # it is noticed when a request has taken too long
        job = processes.start(TRAIN, folder, environment=environment, place=place, pause=pause, **given)
        if place not in ("start", "artifact"):
            wait_for(folder / "reached", job)
            break_it(server, fault, place)
            (folder / "go").touch()
            if mended_after is not None:
                time.sleep(mended_after)
                server.mend()
        seen = ended(Outage(fault, place, job, server, folder))
        server.mend()
        if seen.command is not None:
            seen.printed = type_in(seen.command, {**environment, **variables(server)}, folder)
        return seen


def ended(seen: Outage) -> Outage:
    """Wait for the training's process, and note what it has left."""
    seen.result = seen.job.result()
    over = (seen.job.folder / "status").stat().st_mtime
    seen.start_s, seen.step_s = seen.result["start_s"], seen.result["step_s"]
    seen.end_s = over - float((seen.folder / "end").read_text(encoding="utf-8"))
    lines = (seen.folder / "records.jsonl").read_text(encoding="utf-8").splitlines()
    seen.records = [(level, text) for level, text, _ in map(json.loads, lines)]
    told = [found for _, text in seen.records if (found := re.search(r"Send it with: (.*)", text))]
    seen.command = told[-1][1] if told else None
    return seen


def type_in(command: str, environment: Mapping[str, str], folder: Path) -> str:
    """Run a command as a user types it; gives what it prints."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    # The server is reached at once, and asked for a key nobody.
    done = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env={**rest, **environment, "WANDB_SILENT": "false"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return f"{done.stdout}{done.stderr}\nexit status {done.returncode}"


def wait_for(file: Path, job: Job, seconds: float = 60.0) -> None:
    """Wait until a job has made a file."""
    deadline = time.monotonic() + seconds
    while not file.exists():
        assert time.monotonic() < deadline, job.printed
        assert not (job.folder / "status").exists(), job.printed
        time.sleep(0.01)


class Outages:
    """Trainings with the same fault at several places, all at once: they wait most of the time."""

    def __init__(self, processes: Warm, folder: Path) -> None:
        self._processes, self._folder = processes, folder
        self._pool = ThreadPoolExecutor(max_workers=3)
        self._begun: dict[tuple[Fault, Place], Future[Outage]] = {}

    def of(self, fault: Fault, place: Place) -> Outage:
        """The training with this fault from this place on."""
        if (fault, place) not in self._begun:
            for each in PLACES:
                if (fault, each) in CASES:
                    where = self._folder / f"{fault}-{each}"
                    where.mkdir()
                    self._begun[fault, each] = self._pool.submit(outage, self._processes, where, fault, each)
        return self._begun[fault, place].result()

    def close(self) -> None:
        """Wait for those that nobody asked for."""
        self._pool.shutdown(cancel_futures=True)


CASES: list[tuple[Fault, Place]] = [
    (fault, place) for fault in FAULTS for place in PLACES if place == "start" or fault not in ("dns", "tls")
]
"""Names that don't resolve and certificates that aren't known are so from the start."""


# What a run is -------------------------------------------------------------------------------------------------------

_TIMES = ("_runtime", "_timestamp", "runtime", "_per_second", "grounding_seconds")


def losses(result: Mapping[str, Any]) -> list[dict[str, str]]:
    """The Trainer's log history without times: numbers as `repr` has them, so bit for bit."""
    return [{key: value for key, value in entry.items() if not key.endswith(_TIMES)} for entry in result["history"]]


def artifacts_of(server: Loopback, run: Run) -> dict[str, list[dict[str, Any]]]:
    """The run's artifacts by their names without its id: of each version the files and what is in them."""
    found: dict[str, list[dict[str, Any]]] = {}
    for version in server.versions:
        if run.id in version.name and version.committed:
            content = {path: server.content(version, path).replace(run.id.encode(), b"ID") for path in version.entries}
            found.setdefault(version.name.replace(run.id, "ID"), []).append(content)
    return found


def run_as_seen(server: Loopback, run: Run) -> dict[str, Any]:
    """All of a run that any undisturbed run of that training has too."""
    rows = comparable(run.history)
    summary = {key: value for key, value in run.summary.items() if not key.startswith("_wandb")}
    (summary,) = comparable([summary])
    summary.pop("_step", None)  # W&B's own, and missing where `wandb sync` had no row to send
    for row in (summary, *rows):
        for key, value in row.items():
            if isinstance(value, str):
                row[key] = value.replace(run.id, "ID")
    return {
        "rows": rows,
        "summary": summary,
        "config": _flat(run.config),
        # A version that was refused comes after those that follow it.
        "artifacts": {name: sorted(versions, key=repr) for name, versions in artifacts_of(server, run).items()},
        "state": (run.state, run.exit_code),
    }


def _flat(config: Any) -> Any:
    # The output folder is another for each training.
    return {key: value for key, value in config.items() if key not in ("output_dir", "logging_dir", "run_name")}
