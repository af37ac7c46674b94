"""The reader of `.wandb` files, on files that the real SDK writes offline."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from oaml_callbacks import testing
from oaml_callbacks.testing import RecordedAlert, RecordedRun, offline_wandb, read_run, read_runs
from oaml_callbacks.transaction_log import BLOCK_BYTES, FILE_HEADER

wandb = pytest.importorskip("wandb")
image = pytest.importorskip("PIL.Image")

LONG_ROWS = 400


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """W&B offline for the whole module: its service is slow to start, so the runs share it."""
    with offline_wandb(tmp_path_factory.mktemp("wandb")) as folder:
        _full_run(folder / "full")
        _small_runs(folder / "small")
        _long_run(folder / "long")
        _segments(folder / "segments")
        yield folder


def _full_run(folder: Path) -> None:
    folder.mkdir()
    (folder / "adapter.bin").write_bytes(b"0123456789")
    run = wandb.init(
        dir=str(folder),
        project="clicks",
        entity="team",
        name="first",
        group="sweep",
        job_type="train",
        tags=["lora", "web"],
        notes="what was tried",
        config={"lr": 1e-5, "lora": {"r": 8, "targets": ["q", "v"]}, "undefined": math.nan},
    )
    run.define_metric("train/global_step", hidden=True)
    run.define_metric("*", step_metric="train/global_step", step_sync=True)
    run.define_metric("eval/accuracy", summary="max,last")
    run.log({"train/loss": 1.5, "train/global_step": 1, "text": "NaN", "flag": True, "nothing": None})
    run.log({"nested": {"a": 1, "b": {"c": 2.5}}, "dotted.key": 4, "train/global_step": 2})
    run.log({"train/loss": math.nan, "eval/loss": math.inf, "eval/other": -math.inf, "train/global_step": 3})
    table = wandb.Table(columns=["sample", "hit"], data=[["s1", True], ["s2", False]])
    run.log({"eval/accuracy": 0.5, "eval/table": table, "eval/image": wandb.Image(image.new("RGB", (4, 2)))})
    run.log({"eval/accuracy": 0.25, "train/global_step": 5})
    run.summary["best/step"] = 5
    run.summary["deep"] = {"a": {"b": 1}}
    run.summary["gone"] = 1
    del run.summary["gone"]
    run.config.update({"later": 2, "lora": {"r": 16}}, allow_val_change=True)
    artifact = wandb.Artifact("adapter", type="model", description="the best", metadata={"global_step": 5})
    artifact.add_file(str(folder / "adapter.bin"))
    artifact.add_reference("http://localhost/base", name="base", checksum=False)
    run.log_artifact(artifact, aliases=["latest", "best"])
    run.alert("Accuracy fell", "from 0.5 to 0.25", level="WARN", wait_duration=5)
    run.save(str(folder / "adapter.bin"), base_path=str(folder), policy="end")
    run.name, run.notes, run.tags = "renamed", "what was seen", ("done",)
    run.finish()


def _small_runs(folder: Path) -> None:
    for name, exit_code in (("a", 0), ("b", 3)):
        run = wandb.init(dir=str(folder), name=name)
        run.log({"x": 1})
        run.log({"x": 2})
        run.finish(exit_code=exit_code)


def _long_run(folder: Path) -> None:
    with wandb.init(dir=str(folder)) as run:
        for row in range(LONG_ROWS):
            run.log({"row": row, "text": "x" * (4 * BLOCK_BYTES if row == LONG_ROWS // 2 else 200)})


def _segments(folder: Path) -> None:
    with wandb.init(dir=str(folder), id="resumed", name="first", config={"a": 1, "b": 1}, tags=["one"]) as run:
        run.log({"step": 1})
        first_table = wandb.Table(columns=["a"], data=[[1]])
        run.log({"step": 2, "table": first_table})
        run.summary["first"] = 1
    with wandb.init(dir=str(folder), id="other") as run:
        run.log({"step": 9})
    run = wandb.init(dir=str(folder), id="resumed", config={"b": 2}, tags=["two"])
    run.log({"step": 3})
    run.finish(exit_code=1)


@pytest.fixture(scope="module")
def full(folder: Path) -> RecordedRun:
    return read_run(folder / "full")


@pytest.fixture(scope="module")
def small_log(folder: Path) -> bytes:
    return read_runs(folder / "small")[0].path.read_bytes()


@pytest.fixture(scope="module")
def long_log(folder: Path) -> bytes:
    return read_run(folder / "long").path.read_bytes()


def _read_bytes(folder: Path, log: bytes) -> RecordedRun:
    path = folder / "run-cut.wandb"
    path.write_bytes(log)
    return read_run(path)


def test_head_of_a_run(full: RecordedRun) -> None:
    """The head is what the run was opened with and what was changed later."""
    assert (full.project, full.entity, full.group, full.job_type) == ("clicks", "team", "sweep", "train")
    assert (full.name, full.notes, full.tags) == ("renamed", "what was seen", ("done",))
    assert full.path.name == f"run-{full.id}.wandb"
    assert full.started == pytest.approx(time.time(), abs=600)
    assert full.exit_code == 0
    assert not full.damaged


def test_what_was_not_given_is_none(folder: Path) -> None:
    run = read_runs(folder / "small")[0]
    assert (run.entity, run.group, run.job_type, run.notes) == (None, None, None, None)
    assert (run.tags, run.config, run.metrics, run.artifacts, run.alerts) == ((), {}, {}, (), ())


def test_config_is_nested_and_apart_from_wandbs_own(full: RecordedRun) -> None:
    assert full.config == {"lr": 1e-5, "lora": {"r": 16}, "undefined": None, "later": 2}
    assert full.wandb_config["cli_version"] == wandb.__version__


def test_history_has_every_row_as_logged(full: RecordedRun) -> None:
    rows = full.rows
    assert rows[0] == {"train/loss": 1.5, "train/global_step": 1, "text": "NaN", "flag": True, "nothing": None}
    assert rows[1] == {"nested": {"a": 1, "b": {"c": 2.5}}, "dotted.key": 4, "train/global_step": 2}
    assert math.isnan(rows[2]["train/loss"])
    assert (rows[2]["eval/loss"], rows[2]["eval/other"]) == (math.inf, -math.inf)
    assert [row["_step"] for row in full.history] == [0, 1, 2, 3, 4]
    for row in full.history:
        assert row["_timestamp"] == pytest.approx(full.started, abs=60)
        assert 0 <= row["_runtime"] < 60


def test_column(full: RecordedRun) -> None:
    """A column takes plain keys, keys with dots, keys inside dicts and logged None."""
    assert full.column("eval/accuracy") == [0.5, 0.25]
    assert full.column("dotted.key") == [4]
    assert full.column("nested.b.c") == [2.5]
    assert full.column("nothing") == [None]


def test_column_of_a_key_that_was_never_logged(full: RecordedRun) -> None:
    """A wrong key fails the test that asks for it, rather than passing as an empty list."""
    with pytest.raises(KeyError, match=r"Did you mean 'eval/accuracy'"):
        full.column("eval/acuracy")
    with pytest.raises(KeyError, match=r"Keys: .*train/loss"):
        full.column("qqq")
    with pytest.raises(KeyError):
        full.column("nested.b.c.d")


def test_series(full: RecordedRun) -> None:
    """The step that step_sync copied counts; rows without the step are left out; no row at all is an error."""
    assert full.series("eval/accuracy") == [(3, 0.5), (5, 0.25)]
    assert full.series("eval/accuracy", step="_step") == [(3, 0.5), (4, 0.25)]
    with pytest.raises(KeyError, match=r"None of the 2 rows with 'eval/accuracy' has the step 'epoch'"):
        full.series("eval/accuracy", step="epoch")


def test_summary(full: RecordedRun) -> None:
    """The summary holds last values, set values, define_metric's aggregates, and not what was deleted."""
    assert full.summary["train/global_step"] == 5
    assert math.isnan(full.summary["train/loss"])
    assert full.summary["eval/accuracy"] == {"max": 0.5, "last": 0.25}
    assert full.summary["best/step"] == 5
    assert full.summary["deep"] == {"a": {"b": 1}}
    assert full.summary["nested"] == {"a": 1, "b": {"c": 2.5}}
    assert not {"gone", "_wandb"} & set(full.summary)


def test_metrics_are_those_that_were_defined(full: RecordedRun) -> None:
    assert set(full.metrics) == {"train/global_step", "*", "eval/accuracy"}
    assert full.metrics["train/global_step"].hidden
    assert full.metrics["*"].step_metric == "train/global_step"
    assert full.metrics["*"].step_sync
    assert full.metrics["eval/accuracy"].summary == {"max", "last"}
    assert full.metrics["eval/accuracy"].step_metric is None


def test_artifacts(full: RecordedRun) -> None:
    by_type = {artifact.type: artifact for artifact in full.artifacts}
    assert set(by_type) == {"run_table", "model"}
    model = by_type["model"]
    assert (model.name, model.description, model.metadata) == ("adapter", "the best", {"global_step": 5})
    assert model.aliases == ("best", "latest")
    assert set(model.files) == {"adapter.bin", "base"}
    assert model.files["adapter.bin"].size == 10
    local_path = model.files["adapter.bin"].local_path
    assert local_path is not None
    assert local_path.read_bytes() == b"0123456789"
    assert model.files["base"].reference == "http://localhost/base"
    assert model.files["base"].local_path is None


def test_files_alerts_and_media(full: RecordedRun) -> None:
    policies = {file.path: file.policy for file in full.files}
    assert policies["adapter.bin"] == "end"
    table = full.column("eval/table")[0]
    assert policies[table["path"]] == "now"
    assert json.loads(full.media_path(table).read_text())["data"] == [["s1", True], ["s2", False]]
    with image.open(full.media_path(full.column("eval/image")[0])) as opened:
        assert opened.size == (4, 2)
    assert full.alerts == (RecordedAlert("Accuracy fell", "from 0.5 to 0.25", "WARN", 5.0),)


def test_media_path_refuses_what_is_no_medium(full: RecordedRun) -> None:
    with pytest.raises(ValueError, match="'_type' and 'path'"):
        full.media_path({"a": 1})
    with pytest.raises(FileNotFoundError, match="missing"):
        full.media_path({"_type": "image-file", "path": "media/none.png"})


def test_a_recorded_run_is_frozen(full: RecordedRun) -> None:
    with pytest.raises(FrozenInstanceError):
        full.name = "other"  # type: ignore[misc]


def test_every_way_to_name_a_run(full: RecordedRun) -> None:
    run_folder = full.path.parent
    for path in (full.path, run_folder, run_folder.parent, run_folder.parent.parent, str(run_folder)):
        assert read_run(path).path == full.path
    assert read_run(run_folder.parent / "latest-run").id == full.id


def test_the_newest_run_of_a_folder(folder: Path) -> None:
    """Runs are in the order of opening, though two of one second have folders that sort by chance."""
    runs = read_runs(folder / "small")
    assert [run.name for run in runs] == ["a", "b"]
    assert [run.exit_code for run in runs] == [0, 3]
    assert read_run(folder / "small").name == "b"


def test_segments_of_one_run_are_runs_of_their_own(folder: Path) -> None:
    runs = read_runs(folder / "segments")
    assert [run.id for run in runs] == ["resumed", "other", "resumed"]
    assert [run.column("step") for run in runs] == [[1, 2], [9], [3]]


def test_segments_merged(folder: Path) -> None:
    other, run = read_runs(folder / "segments", merge_segments=True)
    assert (other.id, run.id) == ("other", "resumed")
    assert run.column("step") == [1, 2, 3]
    assert (run.name, run.tags, run.config) == ("first", ("two",), {"a": 1, "b": 2})
    assert run.summary["first"] == 1
    assert run.summary["step"] == 3
    assert run.exit_code == 1
    assert len(run.segments) == 2
    assert run.media_path(run.column("table")[0]).is_file()
    assert read_run(folder / "segments", merge_segments=True) == run


def test_no_run_to_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        read_run(tmp_path / "missing")
    with pytest.raises(FileNotFoundError, match=r"expected a run-\*\.wandb file"):
        read_runs(tmp_path)


def test_not_a_wandb_file(tmp_path: Path) -> None:
    path = tmp_path / "run-x.wandb"
    path.write_text('{"loss": 1}')
    with pytest.raises(ValueError, match=r"not a \.wandb file"):
        read_run(path)


def test_cut_at_every_byte(small_log: bytes, tmp_path: Path) -> None:
    """Wherever a killed process left the file's end, what's whole before it is read, and it's not damage."""
    seen = 0
    for length in range(len(small_log) + 1):
        run = _read_bytes(tmp_path, small_log[:length])
        assert not run.damaged
        assert run.exit_code is None or length == len(small_log)
        assert len(run.history) >= seen
        seen = len(run.history)
    assert run.column("x") == [1, 2]
    assert run.exit_code == 0


def test_a_file_without_a_record_is_a_run_that_wrote_nothing(tmp_path: Path) -> None:
    for opening in (b"", FILE_HEADER[:3], FILE_HEADER, FILE_HEADER + bytes(100)):
        run = _read_bytes(tmp_path, opening)
        assert (run.id, run.name, run.history, run.exit_code, run.damaged) == ("cut", None, [], None, False)


def test_any_byte_corrupted(small_log: bytes, tmp_path: Path) -> None:
    """A flipped byte costs rows, never a wrong one or an error (but for the file's own header)."""
    whole = _read_bytes(tmp_path, small_log).history
    for at in range(len(FILE_HEADER), len(small_log), 7):
        log = bytearray(small_log)
        log[at] ^= 0xFF
        run = _read_bytes(tmp_path, bytes(log))
        assert run.history == whole[: len(run.history)]
        assert run.damaged or run.exit_code is None


def test_after_damage_reading_goes_on_in_the_next_block(long_log: bytes, tmp_path: Path) -> None:
    log = bytearray(long_log)
    log[BLOCK_BYTES + BLOCK_BYTES // 2] ^= 0xFF
    run = _read_bytes(tmp_path, bytes(log))
    rows = run.column("row")
    assert run.damaged
    assert run.exit_code == 0
    assert rows[0] == 0
    assert rows[-1] == LONG_ROWS - 1
    assert 0 < LONG_ROWS - len(rows) < 150  # 32 KiB of rows
    assert sorted(rows) == rows


def test_a_record_that_lost_its_middle_is_left_out(long_log: bytes, tmp_path: Path) -> None:
    """The row of 128 KiB spans several blocks; without one of them its ends must not be joined."""
    whole = _read_bytes(tmp_path, long_log)
    assert [row for row, text in zip(whole.column("row"), whole.column("text"), strict=True) if len(text) > 200] == [
        LONG_ROWS // 2
    ]
    # The text is in the summary first and then in the row; the last block with much of it holds the row's end.
    middle = long_log.rindex(b"x" * 1000) // BLOCK_BYTES - 1
    log = bytearray(long_log)
    log[middle * BLOCK_BYTES + 100] ^= 0xFF
    run = _read_bytes(tmp_path, bytes(log))
    assert run.damaged
    assert run.column("row") == [row for row in range(LONG_ROWS) if row != LONG_ROWS // 2]


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process group")
def test_a_killed_process(tmp_path: Path) -> None:
    """What the SDK had flushed before a kill -9 is read, and the run has no exit code."""
    script = """
        import sys
        from oaml_callbacks.testing import offline_wandb
        with offline_wandb(sys.argv[1]):
            import wandb
            run = wandb.init(config={"a": 1})
            for row in range(1_000_000):
                run.log({"row": row, "text": "x" * 500})
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script), tmp_path], start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while sum(log.stat().st_size for log in tmp_path.glob("wandb/offline-run-*/*.wandb")) < 3 * BLOCK_BYTES:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    run = read_run(tmp_path)
    assert run.exit_code is None
    assert not run.damaged
    assert run.config == {"a": 1}
    rows = run.column("row")
    assert rows == list(range(len(rows)))
    assert len(rows) > 50


def test_the_example_of_the_docstring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test that users are shown passes as it stands, and leaves the environment and W&B as they were.

    W&B's own note of its service process, which the module's runs started, goes with that process.
    """
    monkeypatch.setenv("WANDB_PROJECT", "of the shell")
    monkeypatch.setenv("WANDB_RUN_ID", "of-the-shell")
    before = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    assert testing.__doc__ is not None
    example = testing.__doc__[testing.__doc__.index("    from oaml_callbacks") :]
    names: dict[str, object] = {}
    exec(textwrap.dedent(example), names)
    (test,) = (value for name, value in names.items() if name.startswith("test_"))
    assert callable(test)
    test(tmp_path)
    run = read_run(tmp_path)
    assert run.project == "clicks"
    assert run.id != "of-the-shell"
    assert dict(os.environ) == before


def test_an_open_run_is_finished(tmp_path: Path) -> None:
    """A run left open is closed with the context: with 1 where the test failed, and its error goes on."""

    def fail() -> None:
        with offline_wandb(tmp_path / "made"):
            os.environ["WANDB_NOTES"] = "set inside"
            wandb.init().log({"x": 1})
            with pytest.raises(RuntimeError, match="open already"), offline_wandb(tmp_path):
                pass
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert wandb.run is None
    assert "WANDB_NOTES" not in os.environ
    run = read_run(tmp_path / "made")
    assert (run.exit_code, run.notes, run.column("x")) == (1, "set inside", [1])


def test_wandb_is_imported_by_reading_alone(tmp_path: Path) -> None:
    script = """
        import os, sys
        from oaml_callbacks.testing import offline_wandb, read_run
        with offline_wandb(sys.argv[1]):
            assert os.environ["WANDB_MODE"] == "offline"
        heavy = {"wandb", "torch", "transformers", "google.protobuf"} & set(sys.modules)
        assert not heavy, heavy
        sys.modules["wandb"] = None
        open(os.path.join(sys.argv[1], "run-x.wandb"), "wb").close()
        try:
            read_run(sys.argv[1])
        except ModuleNotFoundError as error:
            assert "pip install wandb" in str(error)
        else:
            raise AssertionError("expected an error")
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script), tmp_path], check=True)


def test_a_typed_history_item_is_read(folder: Path, tmp_path: Path) -> None:
    """Newer SDKs' records know typed values beside JSON; made by hand, as no SDK writes them to the file yet."""
    import struct
    import zlib
    from importlib import import_module

    pb = import_module("wandb.proto.wandb_internal_pb2")
    record = pb.Record()
    if "number" not in pb.HistoryItem.DESCRIPTOR.fields_by_name:
        pytest.skip("this wandb has JSON values alone")
    record.history.item.add(key="n", number=0.5)
    record.history.item.add(key="i", integer=3)
    record.history.item.add(key="t", text="words")
    record.history.item.add(key="j", json=b'{"a": [1]}')
    data = record.SerializeToString()
    chunk = struct.pack("<IHB", zlib.crc32(b"\x01" + data), len(data), 1) + data
    assert _read_bytes(tmp_path, FILE_HEADER + chunk).rows == [{"n": 0.5, "i": 3, "t": "words", "j": {"a": [1]}}]
