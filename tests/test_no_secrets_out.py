"""One training with secrets planted wherever they come from; then everything that it wrote is searched for them."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import wandb
from transformers import TrainerCallback

from oaml_callbacks import GroundingEvaluator, OpenAdaptWandbCallback, open_runs, read_sft_samples
from oaml_callbacks.grounding.ranks import EvaluationFailed
from oaml_callbacks.testing import RecordedRun, offline_wandb, read_run
from oaml_callbacks.testing.reader import _records
from oaml_callbacks.transaction_log import TransactionLog

from . import builders
from .graded import Told, graded, report

RUN_NAME, ANSWER, ID = "the run's name", "a model's answer", "a sample's id"
ERROR, PATH = "a dataset's error", "a picture's path"

PLANTED = {
    "the W&B key": "0123456789abcdef0123456789abcdef01234567",
    "a variable": "planted-in-the-environment",
    "a token in the arguments": "hf_" + "PlantedArgument" * 2,
    "a value in config=": "planted-under-api-key",
    "a password in config=": "planted-password-in-a-url",
    RUN_NAME: "ghp_" + "PlantedRunName00" * 2,
    "a tag": "sk-planted-tag-0123456789abcdef",
    "the notes": "planted-password-in-notes",
    "the group": "glpat-" + "PlantedGroup00000000",
    ANSWER: "xoxb-1234567890-PlantedAnswer",
    "an instruction": "AKIAPLANTEDINSTRUCT0",
    ID: "planted-password-in-an-id",
    "a group of samples": "wandb_v1_PlantedSampleGroup",
    ERROR: "planted-password-in-an-error",
    PATH: "planted-token-in-a-path",
    "what ended the training": "planted-bearer-0123456789",
    "the command line": "planted-behind-a-flag",
    "a password in the command line": "planted-password-in-an-argument",
}


@dataclass
class Written:
    """What a training left behind."""

    run: RecordedRun
    files: dict[str, bytes]
    records: str
    log: list[str]
    home: Path


class DiesLate(TrainerCallback):
    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 7:
            raise RuntimeError(f"Authorization: Bearer {PLANTED['what ended the training']}")


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture(scope="module")
def written(screens: Path, tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("secrets")
    home = folder / "home-of-planted"
    home.mkdir()
    lines = Lines()
    log = logging.getLogger("oaml_callbacks")
    log.addHandler(lines)
    try:
        with offline_wandb(folder / "runs"), pytest.MonkeyPatch.context() as patch:
            patch.setenv("HOME", str(home))
            patch.setenv("WANDB_API_KEY", PLANTED["the W&B key"])
            patch.setenv("DB_PASSWORD", PLANTED["a variable"])
            url = f"https://u:{PLANTED['a password in the command line']}@host/x"
            flag = ["--api-key", PLANTED["the command line"]]
            patch.setattr(sys, "argv", [str(home / "train.py"), *flag, f"--url={url}", f"--data={home}/data"])
            train(screens, home)
            open_runs.make_room()
            wandb.teardown()
    finally:
        log.removeHandler(lines)
    files = {str(path): path.read_bytes() for path in (folder / "runs").rglob("*") if path.is_file()}
    run = read_run(folder / "runs")
    records = "\n".join(str(record) for record in _records(TransactionLog(run.path)))
    return Written(run, files, records, lines.lines, home)


def train(screens: Path, home: Path) -> None:
    args = builders.arguments(
        home,
        hub_token=PLANTED["a token in the arguments"],
        run_name=f"run {PLANTED[RUN_NAME]}",
    )
    callback = OpenAdaptWandbCallback(
        grounding=evaluators(screens, home),
        config={
            "api_key": PLANTED["a value in config="],
            "data": {"url": f"https://u:{PLANTED['a password in config=']}@host/x", "path": home / "data"},
            "remark": f"started with {PLANTED['a variable']}",
            "lora": {"r": 4},
        },
        group=f"group {PLANTED['the group']}",
        tags=["kept", PLANTED["a tag"]],
        notes=f"See https://me:{PLANTED['the notes']}@host/wiki.",
        viewer_url="http://localhost:8080/viewer.html?run={run_id}&dir={output_dir}&name={run_name}",
    )
    with pytest.raises(RuntimeError):
        builders.trainer(screens, args, [callback, DiesLate()], eval_dataset=sets(screens)).train()


def sets(screens: Path) -> dict[str, Any]:
    from oaml_callbacks.grounding import read_sft_rows
    from oaml_callbacks.sft import SFTDataset

    return {name: SFTDataset(read_sft_rows(screens / "eval.jsonl")[:2]) for name in ("a", "b", "c", "d")}


def evaluators(screens: Path, home: Path) -> dict[str, GroundingEvaluator]:
    samples = read_sft_samples(screens / "eval.jsonl")[:2]
    row = graded(answer=f"CLICK(x=0.5, y=0.5) {PLANTED[ANSWER]}")
    sample = replace(
        row.sample,
        id=f"https://u:{PLANTED[ID]}@host/1",
        messages=({"role": "user", "content": f"Type {PLANTED['an instruction']} in {home}/x."},),
        groups={"application": f"app {PLANTED['a group of samples']}", "platform": str(home / "apps")},
    )
    answering = Told(report([replace(row, sample=sample), graded(1, None)]))
    failing = Told(EvaluationFailed(0, ["one"], f"OSError: password={PLANTED[ERROR]} in {home}/data"))
    gone = replace(samples[0], image=home / "data" / f"gone?token={PLANTED[PATH]}.png")
    return {
        "a": answering,
        "b": failing,
        "c": GroundingEvaluator([gone, samples[1]], max_new_tokens=2, progress=False),
        "d": builders.evaluator(screens, 2),
    }


@pytest.mark.parametrize("where", PLANTED)
def test_what_was_planted_is_in_no_file_and_no_record(written: Written, where: str) -> None:
    secret = PLANTED[where]
    assert [name for name, content in written.files.items() if secret.encode() in content] == []
    assert [name for name in written.files if secret in name] == []
    assert secret not in written.records


@pytest.mark.parametrize("where", PLANTED)
def test_what_was_planted_is_in_no_line_of_ours(written: Written, where: str) -> None:
    assert [line for line in written.log if PLANTED[where] in line] == []


def test_the_home_directory_is_nowhere(written: Written) -> None:
    home = str(written.home)
    assert [name for name, content in written.files.items() if home.encode() in content] == []
    assert home not in written.records
    assert [line for line in written.log if home in line] == []


def test_what_was_written_is_all_there_but_for_that(written: Written) -> None:
    run = written.run
    config = run.config["oaml"]["config"]
    assert config == {
        "api_key": "***",
        "data": {"url": "https://***@host/x", "path": "~/data"},
        "remark": "started with ***",
        "lora": {"r": 4},
    }
    assert run.config["output_dir"] == "~/out"
    assert run.config["image_token_id"] > 0
    assert (run.name, run.group, run.tags) == ("run ***", "group ***", ("kept", "***"))
    assert (run.notes or "").startswith("See https://***@host/wiki.")
    assert "dir=~%2Fout&name=run%20%2A%2A%2A" in run.summary["viewer_url"].replace("%7E", "~")
    assert run.summary["outcome"] == "failed: RuntimeError"
    assert any("eval/a_grounding_accuracy/app ***" in row for row in run.rows)


def test_what_failed_is_told_all_the_same(written: Written) -> None:
    log = "\n".join(written.log)
    assert "OSError: password=*** in ~/data" in log
    assert "~/data/gone?token=***" in log


def test_the_command_line_is_told_all_the_same(written: Written) -> None:
    assert '"--api-key"' in written.records
    assert "--data=~/data" in written.records
