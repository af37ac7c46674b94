"""Trainings that everything happens to: W&B's server fails, processes are killed, trainings are resumed. By a seed.

A story is some lives of one training. Each life goes on from a checkpoint of those before it, if there is one, online
or offline; W&B's server may fail in any way at one of its steps and may be mended at a later one; and it ends at its
last step, or is killed before.
"""

from __future__ import annotations

import os
import random
import signal
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from .loopback import KINDS, Kind, OwnProcess
from .same_run import ARRIVE_S, EVERY, STEPS, Undisturbed, assert_same, sync, variables
from .small_training import Ends, callback, trainer
from .warm import Warm

LIVE = "tests.chaos:live"
MAX_LIVES = 4
UNSURE = ("drop", "garbage")
"""After these nobody knows which rows the server has. They come after its first answer: a run can't be rewound to
nothing."""
LIMITS = {"start_timeout": 3.0, "finish_timeout": 8.0}


@dataclass(frozen=True)
class Life:
    """One process of a training.

    Args:
        offline: W&B is offline.
        fault: How the server fails, if it does.
        fails_at: At which step; 0: before the process starts.
        mended_at: At which step it works again; -1: not in this life.
        ends_at: At which step the process is sent `signum`; -1: it comes to its end.
        signum: SIGKILL or SIGTERM.
        pause: Seconds that a step takes.
        back: How many checkpoints before the last one the next life goes on from.
    """

    offline: bool
    fault: Kind | None
    fails_at: int
    mended_at: int
    ends_at: int
    signum: int
    pause: float
    back: int


def story(seed: int) -> list[Life]:
    """The lives of a training; the last one comes to its end."""
    draw = random.Random(seed)
    lives = []
    for _ in range(draw.randint(1, MAX_LIVES)):
        fault = draw.choice([None, *KINDS])
        fails_at = draw.choice([0, *range(1, STEPS)])
        lives.append(
            Life(
                offline=draw.random() < 0.25,
                fault=fault,
                fails_at=fails_at if fault not in UNSURE or fails_at == 0 else max(fails_at, EVERY + 1),
                mended_at=draw.choice([-1, *range(fails_at + 1, STEPS + 1)]),
                ends_at=draw.randint(1, STEPS - 1),
                signum=draw.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]),
                pause=draw.choice([0.0, 0.05, 0.2]),
                back=draw.choice([0, 0, 1]),
            )
        )
    lives[-1] = replace(lives[-1], ends_at=-1)
    return lives


class Faults(TrainerCallback):
    """The server fails at a step, and is mended at another."""

    def __init__(self, server: OwnProcess, life: Life) -> None:
        self.server, self.life = server, life

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        time.sleep(self.life.pause)
        step = state.global_step + 1
        if step == self.life.fails_at and self.life.fault is not None:
            if self.life.fault in UNSURE:
                time.sleep(ARRIVE_S)
            self.server.fault(self.life.fault)
        if step == self.life.mended_at:
            self.server.mend()


def live(*, folder: str, url: str, control: str, life: dict[str, Any], resume: str | None) -> dict[str, Any]:
    """One life of the training; what `tests.warm` starts."""
    lived, place = Life(**life), Path(folder)
    ours = callback(**LIMITS)
    others: list[Any] = [ours, Faults(OwnProcess(url, control), lived)]
    if lived.ends_at >= 0:
        others.append(Ends(lived.ends_at, lived.signum, 0.0))
    made = trainer(place, others)
    begun = time.monotonic()
    made.train(resume_from_checkpoint=resume)
    ours.close()
    return {
        "run_id": ours.run_id,
        "sync_command": ours.sync_command,
        "seconds": time.monotonic() - begun,
        "history": made.state.log_history,
    }


def checkpoint(folder: Path, back: int) -> str | None:
    """The last whole checkpoint, or the one before it, if there are so many."""
    found = sorted(
        (int(path.parent.name.split("-")[1]), str(path.parent))
        for path in folder.glob("out/checkpoint-*/trainer_state.json")
    )
    return found[max(0, len(found) - 1 - back)][1] if found else None


def play(seed: int, folder: Path, processes: Warm, server: OwnProcess, undisturbed: Undisturbed) -> int:
    """Play a story, send what is left to be sent, and compare the run with one that nothing happened to.

    Returns:
        How many lives it had.
    """
    lives, result, resume = story(seed), {}, None
    for life in lives:
        server.mend()
        if life.fault is not None and life.fails_at == 0:
            server.fault(life.fault)
        environment = {**variables(server), "WANDB_MODE": "offline" if life.offline else "online"}
        job = processes.start(
            LIVE,
            folder,
            environment=environment,
            url=server.url,
            control=server.control,
            life=asdict(life),
            resume=resume,
        )
        # A training that goes on from a later step than the one at which it was to be killed comes to its end.
        status = job.wait()
        ended = (job.folder / "result.json").exists()
        assert ended or status == -life.signum, (status, job.printed)
        resume = checkpoint(folder, life.back)
        if ended:
            result = job.result()
            if life is not lives[-1]:
                break
    server.mend()
    assert trained(result["history"]) == trained(undisturbed[1]["history"])
    if result["sync_command"]:
        sync(result["sync_command"], server, folder)
    assert_same(server.runs[result["run_id"]], undisturbed, tables=False)
    return len(lives)


def trained(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A log history without times, and without the means at its end, which are of the last life alone."""
    return [
        {name: value for name, value in entry.items() if not name.endswith(("_runtime", "_per_second", "_seconds"))}
        for entry in history
        if "train_loss" not in entry
    ]


def seeds() -> list[int]:
    """Which stories are played: `CHAOS_SEED` alone, or `CHAOS_STORIES` of them, from the first."""
    if seed := os.environ.get("CHAOS_SEED"):
        return [int(seed)]
    return list(range(int(os.environ.get("CHAOS_STORIES", "14"))))
