"""Several processes: only world rank 0 opens a run or writes, and every rank sees the same metrics."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from oaml_callbacks.testing import read_runs

ROOT = Path(__file__).parents[1]

WORKER = """
import json, os, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from tests import builders
from oaml_callbacks import GroundingEvaluator, OpenAdaptWandbCallback, read_sft_samples
from oaml_callbacks.sft import SFTCollator
screens, folder = map(Path, sys.argv[1:])
rank = int(os.environ["RANK"])
processor, model = builders.trained()
samples = read_sft_samples(screens / "eval.jsonl")[:4]
callback = OpenAdaptWandbCallback(grounding=GroundingEvaluator(samples, max_new_tokens=24, progress=False))
args = builders.arguments(
    folder, per_device_train_batch_size=1, metric_for_best_model="grounding_accuracy", ddp_backend="gloo"
)
trainer = builders.trainer(
    screens, args, [callback], model=model, processing_class=processor, data_collator=SFTCollator(processor)
)
trainer.train()
seen = [entry for entry in trainer.state.log_history if "eval_loss" in entry]
(folder / f"rank{rank}.json").write_text(json.dumps({
    "run_id": callback.run_id,
    "wandb_run": "wandb" in sys.modules and sys.modules["wandb"].run is not None,
    "metrics": [{k: v for k, v in e.items() if "grounding" in k and "second" not in k} for e in seen],
    "world": args.world_size,
}))
torch.distributed.destroy_process_group()
"""


LAUNCHERS = {
    "torchrun": ("torch.distributed.run", "--standalone", "--nproc_per_node", "2"),
    # "multi_gpu" is how accelerate calls it; on a CPU the processes talk by gloo.
    "accelerate": (
        "accelerate.commands.launch",
        *("--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--main_process_port", "0"),
        *("--mixed_precision", "no", "--dynamo_backend", "no"),
    ),
}


@pytest.mark.slow(seconds=30)
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_processes_share_one_run(screens: Path, offline: Path, launcher: str) -> None:
    script = offline / "worker.py"
    script.write_text(WORKER)
    subprocess.run(
        [
            sys.executable,
            *("-m", *LAUNCHERS[launcher]),
            *(str(script), str(screens), str(offline)),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        timeout=240,
    )
    first, second = (json.loads((offline / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert first["world"] == second["world"] == 2
    assert first["run_id"] is not None
    assert second["run_id"] is None
    assert second["wandb_run"] is False
    assert len(first["metrics"]) == 2
    assert first["metrics"] == second["metrics"]
    assert first["metrics"][0]["eval_grounding_parsed"] > 0
    (run,) = read_runs(offline)
    assert len(run.rows) == 8
    assert len(run.column("eval/loss")) == 2
