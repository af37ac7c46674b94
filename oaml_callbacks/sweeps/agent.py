"""Running a sweep's trials with W&B's agent: one on each GPU, ended in order."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from ..clean_text import one_line
from .command import EXPECTED, Command, read_command
from .gpu_lock import gpu_locks, visible_gpus
from .server import ServerSweep, find_sweep
from .sweep_file import SweepError

END_SECONDS = 600
"""How long a trial may take to end after Ctrl-C: the running step or evaluation, and its checkpoint."""
STOP_SECONDS = 300
"""How long one may take that the sweep stops, before W&B's agent kills it; by itself it gives it 30 s."""
_NOT_PASSED_ON = ("WANDB_RUN_ID", "WANDB_RESUME", "WANDB_SERVICE", "WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH")


@dataclass(frozen=True)
class AgentResult:
    """How an agent ended.

    Args:
        interrupted: By Ctrl-C or SIGTERM.
        exit_code: That of W&B's agent; negative for the signal that killed it.
    """

    interrupted: bool
    exit_code: int


def check_here(sweep: ServerSweep) -> Command:
    """Check that this machine can run the sweep's trials, from the current folder.

    Returns:
        The sweep's command.

    Raises:
        SweepError: The sweep is over, runs something else than `oaml train`, or its configuration isn't here.
    """
    if sweep.is_over:
        raise SweepError(f"the sweep {sweep.path} is {sweep.state.lower()}: it gives no more trials")
    command, problem = read_command(sweep.content.get("command"))
    if command is None:
        raise SweepError(
            f"the sweep {sweep.path} isn't one that this can run ({one_line(problem or EXPECTED)}). If you trust what "
            f"it runs, use W&B's own: {shlex.join(['wandb', 'agent', sweep.path])}"
        )
    if not command.config.is_file():
        raise SweepError(
            f"there is no {one_line(str(command.config))} here, which the sweep's trials train. Start the agent in "
            f"the folder that it is relative to (this is {Path.cwd()})"
        )
    return command


def run_agent(
    sweep: ServerSweep,
    *,
    count: int | None = None,
    share_gpu: bool = False,
    gpus: Callable[[], Sequence[str]] = visible_gpus,
    tell: Callable[[str], None] = print,
) -> AgentResult:
    """Run trials until the sweep has no more, with W&B's agent in a process of its own.

    The first Ctrl-C or SIGTERM ends the trial after its running step, with a checkpoint; a second one at once. If this
    process is killed, Linux tells W&B's agent, and the trial ends in the same order.

    Args:
        sweep: From [`find_sweep`]; checked by [`check_here`].
        count: Trials at most; `None` for as many as the sweep gives.
        share_gpu: Don't ask whether another agent has the GPU.
        gpus: Which GPUs a training here would use.
        tell: Told, in a line each, what happens.

    Raises:
        GpuTaken: Another agent has one of them.
    """
    with ExitStack() as stack:
        used = [] if share_gpu else list(gpus())
        files = stack.enter_context(gpu_locks(used))
        arguments = ["--forward-signals", "--term-timeout", str(END_SECONDS)]
        arguments += ["--count", str(count)] if count is not None else []
        process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.agent_process", str(os.getpid()), *arguments, sweep.path],
            env=_environment(),
            pass_fds=files,  # so that a GPU is free when its trials have ended, whoever of the two dies first
            start_new_session=True,  # Ctrl-C reaches this process alone, which passes it on
        )
        signalled = stack.enter_context(_passed_on(process, tell))
        code = process.wait()
    return AgentResult(bool(signalled), code)


@contextmanager
def _passed_on(process: subprocess.Popen[Any], tell: Callable[[str], None]) -> Iterator[list[int]]:
    """Inside, SIGINT and SIGTERM reach the process as Ctrl-C; gives those that came."""
    came: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        came.append(number)
        # As Ctrl-C both: of SIGTERM a trial would think that its sweep stops it.
        process.send_signal(signal.SIGINT)
        if len(came) == 1:
            tell("Ending: the trial saves a checkpoint after its running step. Again to stop at once.")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _environment() -> dict[str, str]:
    """What W&B's agent and its trials are given."""
    given = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
    given.setdefault("WANDB_AGENT_KILL_DELAY", str(STOP_SECONDS))
    here = str(Path(sys.executable).parent)
    if shutil.which("oaml") is None and shutil.which("oaml", path=here):  # an environment that isn't activated
        given["PATH"] = os.pathsep.join(filter(None, [here, given.get("PATH")]))
    return given


def state_after(sweep: ServerSweep) -> str | None:
    """The sweep's state now; `None` where the server doesn't say so soon."""
    try:
        return find_sweep(sweep.path, seconds=10).state
    except SweepError:
        return None
