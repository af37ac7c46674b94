"""Without `wandb` in `report_to` nothing is imported, opened, written or changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import transformers

from oaml_callbacks import OpenAdaptWandbCallback, WandbLogger
from oaml_callbacks.trainer_logs import tracking

from . import builders

ROOT = Path(__file__).parents[1]
OLD = int(transformers.__version__.split(".")[0]) < 5

SCRIPT = """
import sys
from pathlib import Path

import builtins
imported = builtins.__import__

def noticing(name, globals=None, locals=None, fromlist=(), level=0):
    # Every import statement comes here, also of a module that is there already.
    if name.split(".")[0] == "wandb" and (globals or {}).get("__name__", "").startswith("oaml_callbacks"):
        print("IMPORTED BY US")
    return imported(name, globals, locals, fromlist, level)

builtins.__import__ = noticing
screens, folder, report_to = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
from tests import builders
from oaml_callbacks import OpenAdaptWandbCallback
callback = OpenAdaptWandbCallback(grounding=builders.evaluator(screens))
trainer = builders.trainer(screens, builders.arguments(folder, report_to=report_to), [callback])
trainer.train()
trainer.evaluate()
trainer.predict(trainer.eval_dataset)
print("RUN", callback.run_id, "GROUNDED", callback.last_report is not None)
if report_to == "none":
    print("WANDB", "wandb" in sys.modules)
"""


def run_script(screens: Path, folder: Path, report_to: str, **environment: str) -> str:
    folder.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(screens), str(folder), report_to],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_wandb_in_report_to_nothing_happens(screens: Path, tmp_path: Path) -> None:
    said = run_script(screens, tmp_path, "none")
    assert "IMPORTED BY US" not in said
    assert "RUN None GROUNDED False" in said
    assert "WANDB False" in said
    assert not (tmp_path / "wandb").exists()


@pytest.mark.parametrize("report_to", ["wandb", "all"])
def test_wandb_disabled_is_honoured_and_stock_stands_aside(screens: Path, tmp_path: Path, report_to: str) -> None:
    if OLD and report_to == "wandb":
        # transformers 4 refuses the two together, when the Trainer is built.
        with pytest.raises(AssertionError, match="WANDB_DISABLED"):
            run_script(screens, tmp_path, report_to, WANDB_DISABLED="true", WANDB_MODE="offline")
        return
    said = run_script(screens, tmp_path, report_to, WANDB_DISABLED="true", WANDB_MODE="offline")
    assert "IMPORTED BY US" not in said
    assert "RUN None" in said
    assert not (tmp_path / "wandb").exists()


def test_wandb_mode_disabled_is_left_to_wandb(screens: Path, tmp_path: Path) -> None:
    said = run_script(screens, tmp_path, "wandb", WANDB_MODE="disabled")
    assert "IMPORTED BY US" not in said
    assert "RUN None" in said
    assert not list(tmp_path.rglob("*.wandb"))


def test_all_includes_wandb_where_it_is_installed(screens: Path, tmp_path: Path) -> None:
    said = run_script(screens, tmp_path, "all", WANDB_MODE="offline", WANDB_SILENT="true")
    assert "RUN None" not in said
    assert "IMPORTED BY US" in said  # what the tests above look for is seen where it happens
    assert len(list(tmp_path.rglob("*.wandb"))) == 1


def losses(trainer: Any) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def test_a_training_has_the_same_losses_with_it_off_on_and_absent(screens: Path, offline: Path) -> None:
    """With dropout and with evaluations by generation: greedy decoding draws no random numbers."""
    results = []
    for report_to, callbacks in (
        ("none", []),
        ("none", [OpenAdaptWandbCallback(grounding=builders.evaluator(screens))]),
        ("wandb", [OpenAdaptWandbCallback(grounding=builders.evaluator(screens))]),
    ):
        model = builders.lora_model(dropout=0.1)
        trainer = builders.trainer(screens, builders.arguments(offline, report_to=report_to), callbacks, model=model)
        trainer.train()
        results.append(losses(trainer))
    assert results[0] == results[1] == results[2]


def test_the_best_checkpoint_does_not_depend_on_whether_wandb_is_on(screens: Path, tmp_path: Path) -> None:
    args = builders.arguments(
        tmp_path, report_to="none", save_strategy="best", metric_for_best_model="grounding_accuracy"
    )
    callback = OpenAdaptWandbCallback(grounding=builders.evaluator(screens))
    trainer = builders.trainer(screens, args, [callback])
    trainer.train()
    assert trainer.state.best_metric == 0
    assert callback.run_id is None


MISSING = """
import sys
from importlib import util
from pathlib import Path
found = util.find_spec
util.find_spec = lambda name, *rest: None if name == "wandb" else found(name, *rest)
sys.modules["wandb"] = None
from transformers.integrations import WandbCallback
from tests import builders
from oaml_callbacks import OpenAdaptWandbCallback
screens, folder, stock = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
if stock == "without":
    from transformers.integrations import integration_utils
    integration_utils.INTEGRATION_TO_CALLBACK["wandb"] = __import__("transformers").TrainerCallback
builders.trainer(screens, builders.arguments(folder), [OpenAdaptWandbCallback(grounding=None)])
"""


@pytest.mark.parametrize("stock", ["with", "without"])
def test_enabled_without_wandb_installed_says_how_to_install_it(screens: Path, tmp_path: Path, stock: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MISSING, str(screens), str(tmp_path), stock],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "pip install" in done.stderr.splitlines()[-1]
    assert "wandb" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("report_to", "environment", "expected"),
    [
        ([], {}, "off"),
        (["tensorboard"], {}, "off"),
        (["wandb"], {}, "on"),
        (["tensorboard", "wandb"], {}, "on"),
        (["wandb"], {"WANDB_MODE": "disabled"}, "off"),
        (["wandb"], {"WANDB_MODE": "offline"}, "on"),
        (["wandb"], {"WANDB_DISABLED": "true"}, "silenced"),
        (["wandb"], {"WANDB_DISABLED": "false"}, "on"),
    ],
)
def test_what_turns_tracking_on(
    monkeypatch: pytest.MonkeyPatch, report_to: list[str], environment: dict[str, str], expected: str
) -> None:
    for name in ("WANDB_MODE", "WANDB_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    args = type("Args", (), {"report_to": report_to})()
    assert tracking(args) == expected


def test_a_disabled_logger_does_nothing_and_imports_nothing(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from oaml_callbacks import WandbLogger\n"
        "with WandbLogger() as tracker:\n"
        "    tracker.log_metrics({'loss': 1.0}, step=1)\n"
        "    tracker.log_evaluation_summary(0.5, 0.1, 3)\n"
        "    tracker.set_viewer_url('http://localhost/x')\n"
        "    tracker.set_dashboard_url('http://localhost/x')\n"
        "    tracker.update_summary({'a': 1})\n"
        "    tracker.update_config({'a': 1})\n"
        "    assert not tracker.enabled and tracker.links == {} and tracker.run is None\n"
        "tracker.finish()\n"
        "assert not {'wandb', 'torch', 'transformers'} & set(sys.modules)\n"
    )
    subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env={"PYTHONPATH": str(ROOT), **os.environ}, check=True
    )
    assert not list(tmp_path.iterdir())
    assert WandbLogger().run_id is None
