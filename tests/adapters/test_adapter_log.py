"""What a training logs of its adapter, seen on a server: which versions, with which names, and nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerCallback

from oaml_callbacks import OpenAdaptWandbCallback
from oaml_callbacks.adapters.adapter_files import CARD, CONFIG, WEIGHTS
from oaml_callbacks.run_folder import layout

from ..loopback import Loopback, Version
from . import small_adapter

RIGHT = {2: 2, 4: 5, 6: 3, 8: 1}
"""The evaluation after four steps is the best."""


class Remembers(TrainerCallback):
    """Keeps the adapter's weights as they were at each evaluation."""

    def __init__(self) -> None:
        self.at: dict[int, dict[str, Any]] = {}

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        from peft import get_peft_model_state_dict

        self.at[state.global_step] = {
            name: tensor.detach().clone() for name, tensor in get_peft_model_state_dict(kwargs["model"]).items()
        }


@dataclass
class Logged:
    """A training that has ended."""

    server: Loopback
    callback: OpenAdaptWandbCallback
    folder: Path
    remembered: Remembers

    @property
    def versions(self) -> list[Version]:
        """The adapter's versions that are there."""
        return self.server.of(f"adapter-{self.callback.run_id}")

    def named(self, alias: str) -> Version:
        """The version with an alias."""
        (version,) = [version for version in self.versions if alias in version.aliases]
        return version

    def tensors(self, version: Version) -> dict[str, Any]:
        """A version's weights."""
        return small_adapter.weights(self.server.content(version, WEIGHTS))


def logged(folder: Path, *, right: dict[int, int] | None = None, given: Any = None, **options: Any) -> Logged:
    """Train with `options`, and our callback with `given`; gives what is on the server then."""
    remembered = Remembers()
    given = dict(given or {})
    environment = {name: given.pop(name) for name in list(given) if name.isupper()}
    with small_adapter.online(folder, **environment) as server:
        callback = small_adapter.callback(RIGHT if right is None else right, **given)
        trainer = small_adapter.trainer(folder, [callback, remembered], **options)
        trainer.train()
        trainer.save_model(str(folder / "final"))
        callback.close()
    return Logged(server, callback, folder, remembered)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    """Every checkpoint is logged, by W&B's own switch; the Trainer keeps one of them, and the server two."""
    given = {"WANDB_LOG_MODEL": "checkpoint", "keep_last": 2, "registry": "acme/clickers", "registry_threshold": 0.5}
    return logged(tmp_path_factory.mktemp("checkpoints"), given=given, save_total_limit=1)


@pytest.fixture(scope="module")
def without_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    """The best are logged of a training that saves none."""
    given = {"log_adapter": "best", "registry": "acme/clickers", "registry_threshold": 0.9}
    return logged(tmp_path_factory.mktemp("without"), given=given, save_strategy="no")


def test_every_checkpoint_is_a_version_the_newest_latest_and_the_best_best(checkpoints: Logged) -> None:
    assert sorted(checkpoints.named("latest").aliases) == ["latest", "step-8"]
    assert sorted(checkpoints.named("best").aliases) == ["best", "step-4"]
    assert checkpoints.callback.adapter_artifact == f"someone/clicks/adapter-{checkpoints.callback.run_id}"


def test_old_versions_are_deleted_but_for_the_best(checkpoints: Logged) -> None:
    assert [version.index for version in checkpoints.versions] == [1, 2, 3]
    assert [version.index for version in checkpoints.server.versions if version.deleted] == [0]


def test_a_version_has_the_checkpoints_weights_bit_for_bit(checkpoints: Logged) -> None:
    """Also of those checkpoints that the Trainer has removed since."""
    assert [path.name for path in (checkpoints.folder / "out").glob("checkpoint-*")] == ["checkpoint-8"]
    for version, step in ((checkpoints.named("best"), 4), (checkpoints.named("latest"), 8)):
        assert small_adapter.same(checkpoints.tensors(version), checkpoints.remembered.at[step])


def test_nothing_but_the_adapter_is_uploaded(checkpoints: Logged) -> None:
    """No optimizer, no random states, no pickle: what the checkpoint has beside it; nor does stock upload anything."""
    assert (checkpoints.folder / "out" / "checkpoint-8" / "optimizer.pt").exists()
    for version in checkpoints.versions:
        assert set(version.entries) == {WEIGHTS, CONFIG, CARD}
    assert {version.name.partition("-")[0] for version in checkpoints.server.versions if version.type == "model"} == {
        "adapter"
    }


def test_the_metadata_say_what_it_is_and_how_well_it_clicks(checkpoints: Logged) -> None:
    metadata = json.loads(checkpoints.named("best").metadata)
    assert metadata["lora"] == {
        "r": 2,
        "lora_alpha": 4,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": ["line"],
    }
    assert (metadata["step"], metadata["grounding_samples"]) == (4, 6)
    assert metadata["grounding_accuracy"] == metadata["metric_value"] == pytest.approx(5 / 6)
    assert metadata["grounding_accuracy_low"] < 5 / 6 < metadata["grounding_accuracy_high"]
    assert metadata["baseline_grounding_accuracy"] == 0
    assert (metadata["metric"], metadata["evaluation_set"]) == ("eval_grounding_accuracy", "eval")
    assert len(metadata["fingerprint"]) == 64
    assert metadata["run_id"] == checkpoints.callback.run_id
    assert metadata["run_url"] == checkpoints.callback.run_url
    assert set(metadata["sha256"]) == {WEIGHTS, CONFIG, CARD}
    assert set(metadata) >= {"base_model", "base_revision", "epoch", "viewer_url", "dashboard_url", "writer"}


def test_the_card_is_in_the_version_and_in_the_checkpoint_and_where_the_model_is_saved_at_the_end(
    checkpoints: Logged,
) -> None:
    card = checkpoints.server.content(checkpoints.named("latest"), CARD).decode()
    assert card == (checkpoints.folder / "out" / "checkpoint-8" / CARD).read_text()
    final = (checkpoints.folder / "final" / CARD).read_text()
    for text in (card, final):
        assert "**0.167** (95 % interval" in text
        assert str(checkpoints.callback.run_url) in text
        assert "- PEFT " in text  # what PEFT wrote
    assert "**0.833**" in checkpoints.named("best").description


def test_the_best_is_linked_to_the_registry_at_the_end(checkpoints: Logged) -> None:
    (place,) = checkpoints.server.registered
    assert place == "acme-org/wandb-registry-model/clickers"
    assert checkpoints.server.registered[place] == [checkpoints.named("best")]
    assert checkpoints.callback.registry_link == f"{place}:v0"
    assert checkpoints.callback.registry_command is None


def test_the_run_folder_tells_of_it(checkpoints: Logged) -> None:
    run = json.loads((checkpoints.folder / "runs" / str(checkpoints.callback.run_id) / layout.RUN).read_text())
    assert run["adapter"] == checkpoints.callback.adapter_artifact
    assert run["registry_link"] == checkpoints.callback.registry_link


def test_the_best_is_had_without_any_checkpoint_from_the_model_as_it_was(without_checkpoints: Logged) -> None:
    versions = without_checkpoints.versions
    assert [sorted(version.aliases) for version in versions] == [["step-2"], ["best", "latest", "step-4"]]
    for version, step in zip(versions, (2, 4), strict=True):
        assert small_adapter.same(without_checkpoints.tensors(version), without_checkpoints.remembered.at[step])
        assert set(version.entries) == {WEIGHTS, CONFIG, CARD}


def test_a_best_that_is_not_above_the_threshold_is_not_linked(without_checkpoints: Logged) -> None:
    assert not without_checkpoints.server.registered
    assert without_checkpoints.callback.registry_link is without_checkpoints.callback.registry_command is None


@pytest.mark.parametrize("when", ["best", "end"])
def test_the_trainers_own_metric_decides_where_it_is_set(tmp_path: Path, when: str) -> None:
    """By the loss the last evaluation is the best, by the accuracy the second; with the best checkpoint loaded."""
    done = logged(
        tmp_path, given={"log_adapter": when}, metric_for_best_model="loss", load_best_model_at_end=True, max_steps=4,
        right={2: 5, 4: 1},
    )  # fmt: skip
    best = done.named("best")
    assert sorted(best.aliases) == ["best", "latest", "step-4"]
    assert json.loads(best.metadata)["metric"] == "eval_loss"
    assert small_adapter.same(done.tensors(best), done.remembered.at[4])


def test_at_the_end_the_best_checkpoint_that_was_loaded_is_logged_as_what_it_is(tmp_path: Path) -> None:
    done = logged(
        tmp_path, given={"log_adapter": "end"}, metric_for_best_model="grounding_accuracy", load_best_model_at_end=True
    )
    (version,) = done.versions
    assert sorted(version.aliases) == ["best", "latest", "step-4"]
    assert small_adapter.same(done.tensors(version), done.remembered.at[4])
    assert "**0.833**" in (done.folder / "final" / CARD).read_text()


def test_an_adapter_that_has_not_changed_is_sent_once_and_its_names_move(tmp_path: Path) -> None:
    """Though each checkpoint's card is another."""
    done = logged(tmp_path, given={"log_adapter": "checkpoint"}, learning_rate=0.0, save_total_limit=1)
    (version,) = done.versions
    assert set(version.aliases) == {"latest", "best", "step-2", "step-4", "step-6", "step-8"}
    assert len(list((Path(str(done.callback.run_folder)) / "adapters").iterdir())) == 1


def test_save_strategy_best_and_evaluations_after_the_save_find_their_checkpoint(tmp_path: Path) -> None:
    """At an epoch's end the evaluation follows the save of the same step."""
    done = logged(
        tmp_path, given={"log_adapter": "best"}, right={16: 4},
        max_steps=-1, num_train_epochs=1, eval_strategy="epoch", save_steps=16,
    )  # fmt: skip
    (version,) = done.versions
    assert sorted(version.aliases) == ["best", "latest", "step-16"]
    assert small_adapter.same(done.tensors(version), done.remembered.at[16])
