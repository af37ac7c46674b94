"""Which versions stay: the newest, the best, and what somebody named or linked; and what makes room on the disk."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from oaml_callbacks.adapters.adapter_log import STEP_ALIAS
from oaml_callbacks.adapters.best_adapter import BestAdapter
from oaml_callbacks.adapters.moment import Moment
from oaml_callbacks.adapters.registry import link
from oaml_callbacks.adapters.staging import Staging
from oaml_callbacks.artifact_sender import ArtifactSender
from oaml_callbacks.best import BestEvaluations
from oaml_callbacks.sync import write_unsent

from ..loopback import Loopback

pytestmark = pytest.mark.newest_only  # both sides have the same wandb


def send(run: Any, sender: ArtifactSender, number: int, server: Loopback, *, keep: int = 2) -> None:
    """Log version `number`, and wait until it has arrived and older ones are gone."""
    import wandb

    path = Path(run.dir).parent / f"{number}.txt"
    path.write_text(str(number))
    artifact = wandb.Artifact("adapter-x", type="model")
    artifact.add_file(str(path), "a", policy="immutable", skip_cache=True)
    sender.send(artifact, aliases=["latest", f"step-{number}", *(["best"] if number == 1 else [])], keep=keep)
    deadline = time.monotonic() + 30
    while sum(version.committed for version in server.versions) <= number and time.monotonic() < deadline:
        time.sleep(0.02)
    sender.wait(20)


def test_versions_that_somebody_named_or_linked_and_the_best_stay(server: Loopback) -> None:
    import wandb

    with wandb.init() as run:
        sender = ArtifactSender(run, passing=STEP_ALIAS)
        for number in range(3):
            send(run, sender, number, server, keep=10)
        server.of("adapter-x")[0].aliases.append("shown-to-the-boss")
        link("someone/clicks/adapter-x:step-2", "acme/clickers", timeout=20)
        for number in range(3, 8):
            send(run, sender, number, server)
        sender.tidy()
        sender.wait(20)
    left = {version.index: set(version.aliases) for version in server.of("adapter-x")}
    assert left == {
        0: {"step-0", "shown-to-the-boss"},
        1: {"step-1", "best"},
        2: {"step-2"},  # linked
        6: {"step-6"},
        7: {"step-7", "latest"},
    }


def test_a_step_of_ours_alone_is_told_from_names_that_look_like_it(server: Loopback) -> None:
    assert STEP_ALIAS.fullmatch("step-120")
    assert not STEP_ALIAS.fullmatch("step-120-good")
    assert not STEP_ALIAS.fullmatch("my-step-1")


def staged(staging: Staging, folder: Path, number: int, size: int = 100) -> Any:
    """An adapter of `size` bytes, staged."""
    path = folder / f"{number}.bin"
    path.write_bytes(bytes([number]) * size)
    return staging.copy({"adapter_model.safetensors": path}, f"step-{number}")


def test_what_the_server_has_makes_room_but_for_the_best_and_the_newest(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "adapters", max_bytes=400)
    made = []
    for number in range(4):
        one = staged(staging, tmp_path, number)
        assert staging.make_room_for(one, arrived=frozenset())
        one.digest = f"digest-{number}"
        staging.logged(one, {"latest", *(["best"] if number == 0 else [])})
        made.append(one)
    new = staged(staging, tmp_path, 4)
    assert not staging.make_room_for(new, arrived=frozenset())
    assert not staging.make_room_for(new, arrived=frozenset({"digest-0", "digest-3"}))
    assert staging.make_room_for(new, arrived=frozenset({"digest-0", "digest-1", "digest-2", "digest-3"}))
    assert [one.folder.exists() for one in made] == [True, False, True, True]


def test_a_copy_stays_what_it_was_when_the_checkpoint_is_written_into_again(tmp_path: Path) -> None:
    """A resumed training writes the same checkpoints once more, into files that are there."""
    staging = Staging(tmp_path / "adapters", max_bytes=1000)
    one = staged(staging, tmp_path, 1)
    (tmp_path / "1.bin").write_bytes(b"new")
    assert one.files["adapter_model.safetensors"].read_bytes() == b"\1" * 100


def test_nothing_is_left_of_a_copy_that_fails(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "adapters", max_bytes=1000)
    with pytest.raises(FileNotFoundError):
        staging.copy({"a": tmp_path / "missing"}, "step-1")
    assert not list((tmp_path / "adapters").iterdir())


def test_versions_whose_files_made_room_are_not_sent_again(offline: Path) -> None:
    """They are on the server; `wandb sync` would call their missing files a failure."""
    import wandb

    run = wandb.init()
    for name in ("gone", "here"):
        path = Path(run.dir).parent / name
        path.write_text(name)
        artifact = wandb.Artifact(name, type="model")
        artifact.add_file(str(path), "a", policy="immutable", skip_cache=True)
        run.log_artifact(artifact)
    run.log({"a": 1})
    run.log({"a": 2})
    folder = Path(run.dir).parent
    run.finish()
    wandb.teardown()
    (folder / "gone").unlink()
    unsent = write_unsent(folder, 1)
    assert unsent is not None
    assert unsent.suffix == ".wandb"
    content = unsent.read_bytes()
    assert b"here" in content
    assert b"gone" not in content


# Which is the best ---------------------------------------------------------------------------------------------------


def moment(step: int, *, metric: str | None = None, greater: bool | None = None, best: float | None = None) -> Moment:
    """A Trainer at an evaluation, as far as the choice of the best looks at it."""
    args: Any = SimpleNamespace(metric_for_best_model=metric, greater_is_better=greater)
    state: Any = SimpleNamespace(global_step=step, best_metric=best, best_global_step=None, log_history=[])
    return Moment(args, state, None)


def run_of(ranks: Any = None, **summary: Any) -> Any:
    """A run, as far as the choice of the best looks at it."""
    return SimpleNamespace(best=BestEvaluations(ranks or {}), summary=summary)


def test_by_accuracy_then_by_distance_and_of_equal_ones_the_first() -> None:
    best = BestAdapter(run_of())
    found = []
    for step, (accuracy, distance) in enumerate([(0.5, 0.2), (0.5, 0.1), (0.5, 0.1), (0.4, 0.0), (float("nan"), 0.0)]):
        metrics = {"eval_grounding_accuracy": accuracy, "eval_grounding_distance": distance}
        found.append(best.improves(moment(step), metrics))
    assert found == [True, True, False, False, False]
    assert (best.step, best.accuracy) == (1, 0.5)


def test_of_several_sets_the_first_decides() -> None:
    best = BestAdapter(run_of())
    assert best.improves(moment(1), {"eval_web_grounding_accuracy": 0.5})
    assert not best.improves(moment(1), {"eval_app_grounding_accuracy": 0.9})
    assert best.improves(moment(2), {"eval_web_grounding_accuracy": 0.6})


@pytest.mark.parametrize(("greater", "better"), [(True, 0.6), (False, 0.4)])
def test_the_trainers_metric_decides_in_its_own_direction(greater: bool, better: float) -> None:
    best = BestAdapter(run_of())
    assert not best.improves(moment(1, metric="x", greater=greater, best=0.5), {"eval_x": 0.5})
    assert not best.improves(moment(1, metric="x", greater=greater, best=0.5), {"eval_x": 1 - better})
    assert not best.improves(moment(1, metric="x", greater=greater, best=0.5), {"eval_y": better})
    assert best.improves(moment(1, metric="eval_x", greater=greater, best=0.5), {"eval_x": better})


def test_an_evaluation_that_failed_is_never_the_best() -> None:
    """The Trainer is told minus infinity then."""
    best = BestAdapter(run_of())
    assert not best.improves(moment(1, metric="x", greater=True), {"eval_x": float("-inf")})
    assert best.improves(moment(2, metric="x", greater=True), {"eval_x": 0.1})


def test_a_run_that_is_gone_on_with_has_its_best() -> None:
    known = {"": (-0.8, 0.1)}
    best = BestAdapter(run_of(known, **{"best/global_step": 40}))
    assert best.step == 40
    assert not best.improves(moment(50), {"eval_grounding_accuracy": 0.7})
    later = moment(60)
    later.state.log_history.append({"step": 40, "eval_grounding_accuracy": 0.8})
    best.take_up(later)
    assert best.accuracy == 0.8
