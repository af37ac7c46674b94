"""What is told of the adapter at the end: raised where it is strict, printed by `oaml train`, written on request."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from oaml_callbacks.adapters.adapter_files import CARD
from oaml_callbacks.adapters.registry import RegistryError
from oaml_callbacks.run_folder import layout
from oaml_callbacks.train import TrainingResult
from oaml_callbacks.train_summary import print_summary, result_as_json

from . import small_adapter


def test_strict_raises_where_the_best_cannot_be_linked(tmp_path: Path) -> None:
    """Everything has arrived, but the organisation isn't this one's."""
    with small_adapter.online(tmp_path) as server:
        callback = small_adapter.callback({2: 3}, log_adapter="best", registry="others/clickers", strict=True)
        small_adapter.trainer(tmp_path, [callback], max_steps=2).train()
        with pytest.raises(RegistryError, match="adapter link someone/clicks/adapter-"):
            callback.close()
    assert not server.registered
    assert callback.registry_command is not None
    run = json.loads((tmp_path / "runs" / str(callback.run_id) / layout.RUN).read_text())
    assert run["registry_command"] == callback.registry_command


def test_a_card_is_written_beside_an_adapter_that_a_script_saved_itself(tmp_path: Path) -> None:
    with small_adapter.online(tmp_path, WANDB_MODE="offline"):
        callback = small_adapter.callback({2: 3})
        model = small_adapter.model()
        small_adapter.trainer(tmp_path, [callback], of=model, max_steps=2).train()
        callback.close()
        model.save_pretrained(str(tmp_path / "mine"))
        assert "**0.500**" not in (tmp_path / "mine" / CARD).read_text()
        callback.write_model_card(tmp_path / "mine")
        callback.write_model_card(tmp_path)  # no adapter: nothing
    assert "**0.500**" in (tmp_path / "mine" / CARD).read_text()
    assert not (tmp_path / CARD).exists()


def test_the_summary_of_a_training_names_the_artifact_and_the_command_that_links_it() -> None:
    result = TrainingResult(
        adapter=Path("final"),
        best_checkpoint=None,
        evaluations=(),
        run_id="x",
        run_url=None,
        run_folder=None,
        links={},
        view_command=None,
        look_command=None,
        sync_command=None,
        adapter_artifact="me/p/adapter-x",
        registry_command="oaml adapter link me/p/adapter-x:best acme/c",
    )
    out = io.StringIO()
    print_summary(result, Console(file=out, width=200))
    assert "W&B adapter   me/p/adapter-x\n" in out.getvalue()
    assert "link it with  oaml adapter link me/p/adapter-x:best acme/c\n" in out.getvalue()
    assert result_as_json(result)["adapter_artifact"] == "me/p/adapter-x"
