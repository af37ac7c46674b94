"""Several processes share an evaluation: the same report on one, two and three of them, and none waits for ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

WORKER = """
import json, os, sys
from dataclasses import replace
from pathlib import Path
import torch
import torch.distributed as dist
torch.set_num_threads(1)
from accelerate import PartialState
from tests import builders
from oaml_callbacks import GroundingEvaluator, read_sft_samples
from oaml_callbacks.grounding import EvaluationFailed

screens, folder = map(Path, sys.argv[1:])
PartialState(cpu=True)
processor, model = builders.trained()
rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
samples = read_sft_samples(screens / "eval.jsonl")

def rows(report):
    return [[r.sample.id, r.answer, r.correct, r.distance, r.resized_size, r.stopped] for r in report.rows]

def evaluate(chosen, **options):
    options = {"batch_size": 2, "max_new_tokens": 24, **options}
    return GroundingEvaluator(chosen, processor=processor, progress=False, **options).evaluate(model)

class FailsOnTheLastRank:
    def open(self):
        if rank == world - 1:
            raise RuntimeError("no more disk")
        return samples[0].open_image()

seen = {"world": world}
report = evaluate(samples[:7])  # four batches, the last of them short
seen["rows"], seen["seconds"] = rows(report), report.seconds
seen["one"] = rows(evaluate(samples[:1]))
gone = replace(samples[1], image="gone.png")
partly = evaluate([samples[0], gone, gone.__class__(**{**vars(gone), "id": "gone too"}), samples[3]])
seen["partly"], seen["skipped"] = rows(partly), partly.skipped
slow = evaluate(samples, batch_size=1, max_seconds=1e-9)
seen["reached"], seen["unreached"] = [r.sample.id for r in slow.rows], slow.unreached
failing = [replace(sample, image=FailsOnTheLastRank()) for sample in samples]
try:
    evaluate(failing)
except EvaluationFailed as error:
    seen["failed"] = [error.rank, error.error, len(error.samples)]

def fail_here(*_):
    if rank == world - 1:
        raise torch.OutOfMemoryError("no more memory")

with model.get_base_model().lm_head.register_forward_hook(fail_here):
    try:
        evaluate(samples)
    except EvaluationFailed as error:
        seen["model_failed"] = [error.rank, error.error]

class InterruptsTheFirstRank:
    def open(self):
        if rank == 0:
            raise KeyboardInterrupt
        return samples[0].open_image()

try:
    evaluate([replace(sample, image=InterruptsTheFirstRank()) for sample in samples])
except (EvaluationFailed, KeyboardInterrupt) as error:
    seen["interrupted"] = type(error).__name__
try:
    evaluate(samples[: rank + 1])
except ValueError as error:
    seen["different"] = str(error)
seen["after"] = rows(evaluate(samples[:7])) == seen["rows"]  # nobody is out of step

if world == 2:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor
    def train(model):
        inputs = processor.tokenizer("Goal: Click the Save button.", return_tensors="pt")
        model.train()
        loss = model(**inputs, labels=inputs["input_ids"]).loss
        loss.backward()
        return loss.item()

    seen["loss"] = train(model)
    model.zero_grad()
    mesh = init_device_mesh("cpu", (world,))
    for layer in model.base_model.model.model.language_model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    seen["dtensors"] = all(isinstance(parameter, DTensor) for parameter in model.parameters())
    seen["sharded"] = rows(evaluate(samples[:7]))
    seen["sharded_one"] = rows(evaluate(samples[:1]))
    try:
        evaluate(failing)
    except EvaluationFailed as error:
        seen["sharded_failed"] = [error.rank, error.error, len(error.samples)]
    seen["still_dtensors"] = all(isinstance(parameter, DTensor) for parameter in model.parameters())
    seen["trains"] = train(model)

    from torch.distributed.fsdp import FullyShardedDataParallel
    from torch.distributed.fsdp.wrap import ModuleWrapPolicy
    _, model = builders.trained()
    policy = ModuleWrapPolicy({type(model.get_base_model().model.language_model.layers[0])})
    device = torch.device("cpu")
    model = FullyShardedDataParallel(model, auto_wrap_policy=policy, use_orig_params=True, device_id=device)
    seen["fsdp1"], seen["fsdp1_one"] = rows(evaluate(samples[:7])), rows(evaluate(samples[:1]))
    seen["fsdp1_trains"] = train(model)

(folder / f"world{world}-rank{rank}.json").write_text(json.dumps(seen))
if dist.is_initialized():
    dist.destroy_process_group()
"""


OUT_OF_STEP = """
import sys
from pathlib import Path
import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
torch.set_num_threads(1)
from accelerate import PartialState
from tests import builders
from oaml_callbacks import GroundingEvaluator, read_sft_samples

PartialState(cpu=True)
processor, model = builders.trained()
layers = model.get_base_model().model.language_model.layers
for layer in layers:
    fully_shard(layer)
fully_shard(model)

def fail_here(*_):
    if dist.get_rank() == 1:
        raise RuntimeError("no more memory")

layers[1].register_forward_hook(fail_here)
samples = read_sft_samples(Path(sys.argv[1]) / "eval.jsonl")
GroundingEvaluator(samples, processor=processor, batch_size=2, progress=False).evaluate(model)
"""


def launch(count: int, script: Path, *arguments: Path) -> subprocess.CompletedProcess[str]:
    launcher = [] if count == 1 else ["-m", "accelerate.commands.launch", "--multi_gpu"]
    if launcher:
        launcher += ["--num_processes", str(count), "--num_machines", "1", "--main_process_port", "0"]
        launcher += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    return subprocess.run(
        [sys.executable, *launcher, str(script), *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        text=True,
        capture_output=True,
        timeout=240,
    )


def run(count: int, screens: Path, folder: Path) -> list[dict[str, Any]]:
    script = folder / "worker.py"
    script.write_text(WORKER)
    ended = launch(count, script, screens, folder)
    assert ended.returncode == 0, ended.stderr
    return [json.loads((folder / f"world{count}-rank{rank}.json").read_text()) for rank in range(count)]


@pytest.fixture(scope="module")
def worlds(screens: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[dict[str, Any]]]:
    """What each rank has seen, in worlds of one, two and three processes."""
    folder = tmp_path_factory.mktemp("ranks")
    return {count: run(count, screens, folder) for count in (1, 2, 3)}


pytestmark = [pytest.mark.slow(seconds=60), pytest.mark.timeout(600)]


def test_the_report_is_the_same_row_for_row_on_any_number_of_ranks(worlds: Any) -> None:
    alone = worlds[1][0]
    assert len(alone["rows"]) == 7
    for count, ranks in worlds.items():
        for seen in ranks:
            assert seen["world"] == count
            assert seen["rows"] == alone["rows"]
            assert seen["one"] == alone["rows"][:1]  # fewer samples than ranks
            assert seen["seconds"] == ranks[0]["seconds"]


def test_broken_pictures_are_counted_on_every_rank_alike(worlds: Any) -> None:
    for seen in (seen for ranks in worlds.values() for seen in ranks):
        assert seen["skipped"] == 2
        assert seen["partly"] == worlds[1][0]["partly"]
        assert len(seen["partly"]) == 2


def test_time_runs_out_on_all_ranks_after_the_same_samples(worlds: Any) -> None:
    for count, ranks in worlds.items():
        for seen in ranks:
            assert len(seen["reached"]) == count  # the first batch of each
            assert seen["unreached"] == 8 - count
            assert seen["reached"] == ranks[0]["reached"]


def test_an_error_on_one_rank_ends_the_evaluation_on_all_and_nobody_is_out_of_step(worlds: Any) -> None:
    for count, ranks in worlds.items():
        for seen in ranks:
            rank, error, samples = seen["failed"]
            assert rank == count - 1
            assert error == "RuntimeError: no more disk"
            assert samples == 1
            assert seen["model_failed"] == [count - 1, "OutOfMemoryError: no more memory"]
            assert seen["after"]


def test_an_interrupt_on_one_rank_ends_the_others_evaluation_too(worlds: Any) -> None:
    for ranks in worlds.values():
        first, *others = (seen["interrupted"] for seen in ranks)
        assert first == "KeyboardInterrupt"
        assert all(other == "EvaluationFailed" for other in others)


def test_ranks_with_different_samples_are_refused(worlds: Any) -> None:
    for count, ranks in worlds.items():
        assert all(("different samples" in seen.get("different", "")) == (count > 1) for seen in ranks)


def test_a_fully_sharded_model_answers_as_the_whole_one(worlds: Any) -> None:
    for seen in worlds[2]:
        assert seen["dtensors"]
        assert seen["still_dtensors"]
        assert [row[:3] for row in seen["sharded"]] == [row[:3] for row in worlds[1][0]["rows"]]
        assert [row[:3] for row in seen["sharded_one"]] == [row[:3] for row in worlds[1][0]["one"]]
        assert seen["sharded_failed"] == seen["failed"]
        assert seen["trains"] == pytest.approx(seen["loss"])


def test_a_model_under_fsdp_1_answers_as_the_whole_one(worlds: Any) -> None:
    for seen in worlds[2]:
        assert [row[:3] for row in seen["fsdp1"]] == [row[:3] for row in worlds[1][0]["rows"]]
        assert [row[:3] for row in seen["fsdp1_one"]] == [row[:3] for row in worlds[1][0]["one"]]
        assert seen["fsdp1_trains"] == pytest.approx(seen["loss"])


def test_an_error_inside_a_sharded_forward_pass_ends_the_training_and_hangs_nobody(
    screens: Path, tmp_path: Path
) -> None:
    """The others wait within the pass, so that there is no telling them: the launcher ends them."""
    script = tmp_path / "out_of_step.py"
    script.write_text(OUT_OF_STEP)
    ended = launch(2, script, screens)
    assert ended.returncode != 0
    assert "Rank 1 failed inside a forward pass of a model that is sharded over 2 ranks" in ended.stderr
    assert "RuntimeError: no more memory" in ended.stderr
