'''Test W&B code against what the real SDK wrote, rather than against a mock of `wandb.log`.

`offline_wandb` runs the SDK offline in a folder of the test's own; `read_run` reads the run back from its `.wandb`
file, which holds everything the SDK would have sent. No account, key, network or server is needed, but wandb must be
installed (0.19 or newer; `pip install wandb`); it's imported when a run is read, not with this module.

A complete test, for a function that logs:

    from oaml_callbacks.testing import offline_wandb, read_run

    def test_loss_falls_and_is_drawn_over_the_trainers_step(tmp_path):
        """What a training loop logs is what the run holds."""
        with offline_wandb(tmp_path):
            import wandb

            with wandb.init(project="clicks", config={"lora": {"r": 8}}) as run:
                run.define_metric("*", step_metric="train/global_step", step_sync=True)
                for step, loss in enumerate([2.0, 1.5, 1.25], start=1):
                    run.log({"train/loss": loss, "train/global_step": step})
                run.summary["best/loss"] = 1.25

        recorded = read_run(tmp_path)
        assert recorded.series("train/loss") == [(1, 2.0), (2, 1.5), (3, 1.25)]
        assert recorded.rows[0] == {"train/loss": 2.0, "train/global_step": 1}
        assert recorded.metrics["*"].step_metric == "train/global_step"
        assert recorded.config == {"lora": {"r": 8}}
        assert recorded.summary["best/loss"] == 1.25
        assert recorded.exit_code == 0
'''

from __future__ import annotations

from .offline import offline_wandb
from .reader import read_run, read_runs
from .recorded_run import (
    RecordedAlert,
    RecordedArtifact,
    RecordedArtifactFile,
    RecordedFile,
    RecordedMetric,
    RecordedRun,
)

__all__ = [
    "RecordedAlert",
    "RecordedArtifact",
    "RecordedArtifactFile",
    "RecordedFile",
    "RecordedMetric",
    "RecordedRun",
    "offline_wandb",
    "read_run",
    "read_runs",
]
