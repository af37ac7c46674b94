"""An adapter that a training logs, fetched by the command and loaded by the lines that it prints, is the same one."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from oaml_callbacks import OpenAdaptWandbCallback
from oaml_callbacks.cli_adapter import app
from tests import builders
from tests.loopback import Loopback


@pytest.mark.slow(seconds=20)
def test_the_printed_lines_load_the_adapter_that_was_logged_bit_for_bit(
    server: Loopback, screens: Path, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForImageTextToText

    from oaml_callbacks.processors import load_processor
    from oaml_callbacks.sft import SFTCollator

    processor, model = builders.trained()
    callback = OpenAdaptWandbCallback(log_adapter="end")
    args = builders.arguments(tmp_path, max_steps=4, eval_strategy="no", logging_steps=2, learning_rate=1e-2)
    trainer = builders.trainer(
        screens, args, [callback], model=model, processing_class=processor, data_collator=SFTCollator(processor)
    )
    batch = next(iter(trainer.get_eval_dataloader()))
    trainer.train()
    run_id = callback.run_id or ""
    callback.close()
    trained = _logits(model, batch)

    run = server.runs[run_id]
    result = CliRunner().invoke(app, ["pull", f"{run.entity}/{run.project}/{run_id}", "--to", "pulled"])
    assert result.exit_code == 0, result.stderr
    code = result.stdout.partition("To load it:")[2]
    assert code.count("model = ") == 2
    printed: dict[str, Any] = {}
    exec(textwrap.dedent(code), printed)

    assert torch.equal(_logits(printed["model"], batch), trained)
    base = AutoModelForImageTextToText.from_pretrained(builders.BASE)
    assert not torch.equal(_logits(base, batch), trained)
    # The processor came along, and writes what the model was trained on.
    messages = [{"role": "user", "content": "Click"}]
    assert load_processor("pulled").apply_chat_template(messages) == processor.apply_chat_template(messages)


def _logits(model: Any, batch: dict[str, Any]) -> Any:
    import torch

    model.eval()
    with torch.no_grad():
        return model(**batch).logits
