"""Which step an adapter is said to be of, and which is the best, where that isn't obvious."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import TrainerCallback

from oaml_callbacks.adapters import adapter_log
from oaml_callbacks.adapters.adapter_files import CARD, WEIGHTS
from oaml_callbacks.testing import read_run

from . import small_adapter
from .small_adapter import same, weights
from .test_adapter_log import Remembers, logged


class Stops(TrainerCallback):
    """Ends the training once it has been evaluated at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        control.should_training_stop = state.global_step == self.step


def test_the_checkpoint_that_is_loaded_at_the_end_is_called_by_its_own_step(tmp_path: Path) -> None:
    """The best evaluation, after two steps more, has no checkpoint: the Trainer loads the best that it has."""
    done = logged(
        tmp_path, given={"log_adapter": "end"}, right={2: 1, 4: 3, 6: 5, 8: 2},
        metric_for_best_model="grounding_accuracy", load_best_model_at_end=True, save_steps=4,
    )  # fmt: skip
    (version,) = done.versions
    assert sorted(version.aliases) == ["latest", "step-4"]
    assert same(done.tensors(version), done.remembered.at[4])
    assert "**0.500**" in (done.folder / "final" / CARD).read_text()


def test_the_best_of_the_last_evaluation_is_had_before_a_checkpoint_is_loaded(tmp_path: Path) -> None:
    """It has none of its own, since another callback ends the training there."""
    with small_adapter.online(tmp_path) as server:
        remembered = Remembers()
        callback = small_adapter.callback({4: 3, 6: 5}, log_adapter="best")
        small_adapter.trainer(
            tmp_path, [callback, remembered, Stops(6)],
            metric_for_best_model="grounding_accuracy", load_best_model_at_end=True, save_steps=4,
        ).train()  # fmt: skip
        callback.close()
        (best,) = [one for one in server.of(f"adapter-{callback.run_id}") if "best" in one.aliases]
        sent = weights(server.content(best, WEIGHTS))
    assert "step-6" in best.aliases
    assert same(sent, remembered.at[6])
    assert not same(sent, remembered.at[4])


def test_a_resumed_training_knows_the_best_by_the_trainers_metric(tmp_path: Path) -> None:
    """By accuracy another evaluation is the best: the registry's threshold is held against the one that is linked."""
    right = {2: 6, 4: 2, 6: 1, 8: 1}
    with small_adapter.online(tmp_path) as server:
        for until in (4, 8):
            callback = small_adapter.callback(right, log_adapter="best", registry="acme/c", registry_threshold=0.5)
            trainer = small_adapter.trainer(
                tmp_path, [callback], max_steps=until, learning_rate=0.1 if until == 4 else 1e-9,
                metric_for_best_model="loss", ignore_data_skip=True,
            )  # fmt: skip
            if until == 8:  # the loss goes up from here on
                trainer.add_callback(Worse())
            trainer.train(resume_from_checkpoint=until == 8)
            callback.close()
        (best,) = [one for one in server.of(f"adapter-{callback.run_id}") if "best" in one.aliases]
    assert "step-4" in best.aliases
    assert not server.registered
    assert callback.registry_command is None


class Worse(TrainerCallback):
    """Spoils the adapter."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        for parameter in kwargs["model"].parameters():
            if parameter.requires_grad:
                parameter.data += 5.0


def test_an_evaluation_before_the_first_step_is_not_the_trainers_best(tmp_path: Path) -> None:
    """The Trainer does not choose among it."""
    done = logged(
        tmp_path, given={"log_adapter": "best"}, right={0: 6, 2: 3, 4: 2}, max_steps=4,
        metric_for_best_model="grounding_accuracy", eval_on_start=True,
    )  # fmt: skip
    assert sorted(done.named("best").aliases)[0] == "best"
    assert "step-2" in done.named("best").aliases


def test_an_adapter_that_is_evaluated_after_its_checkpoint_was_saved_has_the_figures_in_its_card(
    tmp_path: Path,
) -> None:
    """At an epoch's end the evaluation follows the save of the same step."""
    done = logged(
        tmp_path, given={"log_adapter": "checkpoint"}, right={8: 4, 16: 2},
        max_steps=-1, num_train_epochs=1, eval_strategy="epoch", save_steps=16, save_total_limit=1,
    )  # fmt: skip
    (version,) = done.versions
    assert "**0.333**" in (done.folder / "out" / "checkpoint-16" / CARD).read_text()
    assert "step-16" in version.aliases


def test_a_second_training_in_the_same_run_has_its_own_steps(tmp_path: Path) -> None:
    """Called like those of the first, and worse; they are logged, and the best stays."""
    with small_adapter.online(tmp_path, WANDB_MODE="offline"):
        callback = small_adapter.callback({2: 2, 4: 5}, log_adapter="checkpoint")
        trainer = small_adapter.trainer(tmp_path, [callback], max_steps=4)
        trainer.train()
        callback.grounding.right = {2: 1, 4: 1}  # type: ignore[union-attr]
        trainer.train()
        callback.close()
        folder = Path(str(callback.run_folder))
    models = [sorted(one.aliases) for one in read_run(folder).artifacts if one.type == "model"]
    assert models == [
        ["best", "latest", "step-2"], ["best", "latest", "step-4"], ["latest", "step-2"], ["latest", "step-4"]
    ]  # fmt: skip


def test_what_waited_for_room_is_logged_before_what_came_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the best and the newest would be an older one's names at the end."""
    monkeypatch.setattr(adapter_log, "MAX_STAGED_BYTES", 12_000)  # one has about 7,000 with its card
    with small_adapter.online(tmp_path, WANDB_MODE="offline"):
        callback = small_adapter.callback({2: 2, 4: 3, 6: 5, 8: 1}, log_adapter="checkpoint")
        makes_room = Room(callback)
        small_adapter.trainer(tmp_path, [makes_room, callback]).train()
        callback.close()
        folder = Path(str(callback.run_folder))
    models = [sorted(one.aliases) for one in read_run(folder).artifacts if one.type == "model"]
    assert [aliases[-1] for aliases in models] == ["step-2", "step-4", "step-6", "step-8"]


class Room(TrainerCallback):
    """Lifts the limit of what may wait, as when the server has what was sent."""

    def __init__(self, callback: Any) -> None:
        self.callback = callback

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 5:
            self.callback._run.adapter._staging.max_bytes = 2**30


def test_the_best_of_the_last_evaluation_is_had_at_the_end(tmp_path: Path) -> None:
    """There is no step after it, and no checkpoint."""
    done = logged(tmp_path, given={"log_adapter": "best"}, right={4: 1}, max_steps=4, save_strategy="no", eval_steps=4)
    assert sorted(done.named("best").aliases) == ["best", "latest", "step-4"]
    assert same(done.tensors(done.named("best")), done.remembered.at[4])


def test_a_best_that_was_not_logged_is_not_linked_nor_an_older_one_in_its_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The weights of its checkpoint can't be read."""

    class Spoils(TrainerCallback):
        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 4:
                (Path(args.output_dir) / "checkpoint-4" / WEIGHTS).write_bytes(b"no weights")

    with small_adapter.online(tmp_path) as server:
        callback = small_adapter.callback({2: 1, 4: 5}, log_adapter="best", registry="acme/c")
        small_adapter.trainer(tmp_path, [Spoils(), callback], max_steps=4).train()
        callback.close()
    assert not server.registered
    assert callback.registry_command is None
    assert "the best adapter, of step 4, was not logged" in caplog.text


def test_an_end_that_is_not_the_best_is_not_linked(tmp_path: Path) -> None:
    """There is no version that a command could link."""
    done = logged(tmp_path, given={"log_adapter": "end", "registry": "acme/c"}, right={2: 5, 4: 1}, max_steps=4)
    assert not done.server.registered
    assert done.callback.registry_command is None


def test_weights_of_the_base_model_beside_the_adapter_are_not_sent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Adds(TrainerCallback):
        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            file = Path(args.output_dir) / f"checkpoint-{state.global_step}" / WEIGHTS
            save_file({**weights(file), "base_model.model.line.weight": torch.zeros(1, 1)}, file)

    with small_adapter.online(tmp_path, WANDB_MODE="offline"):
        callback = small_adapter.callback({2: 1}, log_adapter="checkpoint")
        small_adapter.trainer(tmp_path, [Adds(), callback], max_steps=4, eval_strategy="no").train()
        callback.close()
        folder = Path(str(callback.run_folder))
    models = [sorted(one.aliases) for one in read_run(folder).artifacts if one.type == "model"]
    assert models == [["latest", "step-4"]]  # of the model, at the end
    assert "weights that are no adapter's: base_model.model.line.weight" in caplog.text


def test_other_callbacks_are_not_told_of_saves(tmp_path: Path) -> None:
    """A method of this name is theirs."""

    class Theirs(TrainerCallback):
        def on_saved(self) -> None:
            raise AssertionError

    with small_adapter.online(tmp_path, WANDB_MODE="offline"):
        callback = small_adapter.callback({2: 1})
        trainer = small_adapter.trainer(tmp_path, [Theirs(), callback], max_steps=2)
        trainer.train()
        trainer.save_model(str(tmp_path / "final"))
        callback.close()
    assert "## How well it clicks" in (tmp_path / "final" / CARD).read_text()
