"""Runs read from a W&B server: what they say, their answers from the artifact, and what is told where that fails."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from oaml_callbacks import OpenAdaptWandbCallback, WandbLogger
from oaml_callbacks.compared.comparison import compare_runs
from oaml_callbacks.compared.runs import RunReferenceError, read_runs
from oaml_callbacks.compared.wandb_runs import stored_file
from oaml_callbacks.graded_rows import GradedRowsFile, log_graded_rows
from oaml_callbacks.grounding import GroundingReport

from ..builders import arguments, evaluator, trainer
from ..loopback import Loopback
from .examples import SET, evaluated, write_pair


def send(folder: Path, name: str, reports: Sequence[GroundingReport], *, rows: bool = True, **config: Any) -> str:
    """Send a run as a loop logs it, with an evaluation after each ten steps, the first the best; gives its id."""
    about = {"oaml": {"grounding": {"eval": SET}}, **config}
    with WandbLogger(enabled=True, project="clicks", name=name, config=about) as tracker:
        assert tracker.run is not None
        file = GradedRowsFile(folder / name)
        for place, report in enumerate(reports):
            metrics = {f"eval_{name}": value for name, value in report.metrics.items() if "/" not in name}
            tracker.log_metrics(metrics, step=10 * (place + 1))
            file.write(report, 10 * (place + 1), best=not place)
        tracker.update_summary({"baseline/grounding_accuracy": 0.125, "total_flos": 2e15, "train_runtime": 60.0})
        if rows:
            log_graded_rows(tracker.run, folder / name)
        return str(tracker.run_id)


@pytest.fixture
def sent(server: Loopback, tmp_path: Path) -> tuple[str, str]:
    """The ids of two runs at the server, the second the better one; and run folders with the same answers."""
    later = evaluated(32, wrong=range(20))
    first = send(tmp_path, "first", [evaluated(32, wrong=range(12)), later], learning_rate=0.12)
    second = send(tmp_path, "second", [evaluated(32, wrong=[10, 11, 30], unreadable=[31]), later], learning_rate=0.03)
    write_pair(tmp_path / "training_output")
    return first, second


def test_runs_of_w_and_bs_are_compared_as_their_folders_are(sent: tuple[str, str], server: Loopback) -> None:
    address = f"{server.url}/someone/clicks/runs/{sent[1]}?nw=nwuser"
    first, second, folder, other = read_runs(
        [f"clicks/{sent[0]}", address, "training_output/aaaa1111", "training_output/bbbb2222"]
    )
    assert (second.source, second.id, second.name) == ("wandb", sent[1], "second")
    assert second.url == f"{server.url}/someone/clicks/runs/{sent[1]}"
    assert (second.seconds, second.total_flos, second.config["learning_rate"]) == (60.0, 2e15, 0.03)
    assert [one.key for one in second.evaluations] == ["eval@base", "eval@10", "eval@20"]
    assert second.evaluations[0].metrics == {"grounding_accuracy": 0.125}
    assert second.evaluations[1].metrics["grounding_accuracy"] == 28 / 32
    assert second.fingerprints == {"eval": SET}
    assert [row["train/global_step"] for row in second.history] == [10, 20]
    mine, theirs = compare_runs([first, second]), compare_runs([folder, other])
    (one,), (same,) = mine.pairs, theirs.pairs
    assert (one.gained, one.lost, one.p, one.verdict) == (same.gained, same.lost, same.p, same.verdict)
    assert mine.sides[1].groups == theirs.sides[1].groups
    assert mine.sides[1].readable == theirs.sides[1].readable
    assert mine.settings == {"learning_rate": [0.12, 0.03]}
    mixed = compare_runs([folder, second])
    assert mixed.pairs[0].gained == one.gained
    assert compare_runs([first, second], at="last").pairs[0].verdict.startswith("B and A have the same 12 of 32")
    with pytest.raises(RunReferenceError, match="W&B keeps no answers of the base model"):
        compare_runs([first, second], at="base")


def test_answers_that_w_and_b_does_not_keep_are_told(server: Loopback, tmp_path: Path) -> None:
    run_id = send(tmp_path, "run", [evaluated(8), evaluated(8, wrong=[1]), evaluated(8, wrong=[2])])
    (run,) = read_runs([f"clicks/{run_id}"])
    with pytest.raises(
        RunReferenceError, match=r"best and last evaluation \(of steps 10 and 30\), and none of eval@20"
    ):
        run.answers(run.evaluations[2])


def test_an_evaluation_that_logged_its_accuracy_alone_counts_too(server: Loopback) -> None:
    with WandbLogger(enabled=True, project="clicks") as tracker:
        tracker.log_metrics({"eval_grounding_accuracy": 0.5, "eval_grounding_distance": 0.2}, step=10)
        tracker.log_metrics({"eval_grounding_accuracy": 0.25}, step=20)
    (run,) = read_runs([f"clicks/{tracker.run_id}"])
    assert [one.key for one in run.evaluations] == ["eval@10", "eval@20"]
    assert run.evaluations[0].metrics == {"grounding_accuracy": 0.5, "grounding_distance": 0.2}
    last = run.last()
    assert last is not None
    assert last.metrics == {"grounding_accuracy": 0.25}


def test_rows_that_were_changed_on_their_way_are_refused(server: Loopback, tmp_path: Path) -> None:
    run_id = send(tmp_path, "run", [evaluated(8)])
    version = server.of(f"run_{run_id}_graded_rows")[-1]
    server.downloads.instead[f"{version.id}/eval_best.jsonl"] = b"x" * version.entries["eval_best.jsonl"]["size"]
    (run,) = read_runs([f"clicks/{run_id}"])
    with pytest.raises(RunReferenceError, match=r"the graded rows of clicks/.* can't be had: .*digest"):
        run.answers(run.evaluations[1])


def test_a_run_that_is_not_there_or_not_ours_is_told(server: Loopback, tmp_path: Path) -> None:
    with pytest.raises(
        RunReferenceError, match="W&B has no run someone/clicks/zzzz, or whose API key this is may not"
    ):
        read_runs(["someone/clicks/zzzz"])
    server.fault("403", where="Run")
    with pytest.raises(
        RunReferenceError, match=r"W&B refuses \(status 403\): whose API key this is may not read someone"
    ):
        read_runs(["someone/clicks/zzzz"], wandb_timeout=5)


def test_a_key_that_the_server_does_not_take_is_told(server: Loopback) -> None:
    server.fault("403", where="graphql")
    with pytest.raises(RunReferenceError, match=r"W&B does not take the API key: .*A run folder can be given"):
        read_runs(["someone/clicks/zzzz"], wandb_timeout=5)


def test_a_server_that_does_not_answer_is_waited_for_in_bounded_time(server: Loopback) -> None:
    server.fault("hang")
    begun = time.monotonic()
    with pytest.raises(RunReferenceError, match="gave no answer about someone/clicks/zzzz in 2 s"):
        read_runs(["someone/clicks/zzzz"], wandb_timeout=2)
    assert time.monotonic() - begun < 15


def test_without_a_key_it_is_said_how_to_get_one(
    server: Loopback, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.raises(RunReferenceError, match=r"there is no API key\. `wandb login`"):
        read_runs(["someone/clicks/zzzz"])


def test_a_run_without_graded_rows_is_told(server: Loopback, tmp_path: Path) -> None:
    run_id = send(tmp_path, "run", [evaluated(8)], rows=False)
    (run,) = read_runs([f"clicks/{run_id}"])
    found = run.best()
    assert found is not None
    with pytest.raises(RunReferenceError, match=f"W&B has no graded rows of clicks/{run_id}") as told:
        run.answers(found)
    assert "has no run" not in str(told.value)
    server.fault("403", where="graphql")
    with pytest.raises(RunReferenceError) as told:
        run.answers(found)
    assert "status 403" in str(told.value)
    assert "has no graded rows" not in str(told.value)  # whether it has, nobody knows


def test_what_the_api_leaves_in_wandb_dir_hides_no_run(
    server: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = send(tmp_path, "run", [evaluated(8)], rows=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    for _ in range(2):
        (run,) = read_runs([f"someone/clicks/{run_id}"])
        assert (run.id, run.source) == (run_id, "wandb")
    assert (tmp_path / "someone" / "clicks" / run_id).is_dir()


@pytest.mark.newest_only
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"ref": "file:///etc/passwd"}, "a reference to another place, which isn't followed"),
        ({"size": 2**40}, "1099511627776 bytes"),
        ({"size": None}, "None bytes"),
        ({"size": -1}, "-1 bytes"),
        ({"extra": {"alg": "ROT13"}}, "a digest of an unknown kind"),
    ],
)
def test_an_entry_that_leads_elsewhere_or_is_too_large_is_refused(changed: dict[str, Any], said: str) -> None:
    entry = SimpleNamespace(**{"ref": None, "size": 10, "digest": "x", "extra": {}, **changed})
    with pytest.raises(RunReferenceError, match=said):
        stored_file("eval_best.jsonl", entry)


def test_a_training_is_the_same_run_in_its_folder_and_at_the_server(
    server: Loopback, screens: Path, tmp_path: Path
) -> None:
    callback = OpenAdaptWandbCallback(grounding=evaluator(screens), runs_dir=tmp_path / "runs", project="clicks")
    trainer(screens, arguments(tmp_path, max_steps=4, eval_steps=2), [callback]).train()
    callback.close()
    told = json.loads((tmp_path / "runs" / str(callback.run_id) / "oaml" / "run.json").read_text())
    folder, server_run = read_runs([str(callback.run_id), f"clicks/{callback.run_id}"], runs_dir=tmp_path / "runs")
    assert told["grounding"] == folder.fingerprints == server_run.fingerprints
    assert len(told["grounding"]["eval"]["fingerprint"]) == 64
    for name in ("seconds", "total_flos", "steps", "samples_seen", "outcome"):
        assert getattr(folder, name) == getattr(server_run, name) is not None
    found = compare_runs([folder, server_run])
    assert found.same_set
    assert found.samples == 4
    assert not found.pairs[0].gained
    assert not found.pairs[0].lost
    assert not found.settings
