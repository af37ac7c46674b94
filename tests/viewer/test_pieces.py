"""Pieces: strict JSON whatever a run folder holds, made once, told apart, and named when they can't be."""

from __future__ import annotations

import gzip
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oaml_callbacks.run_folder import layout
from oaml_callbacks.viewer import pieces as pieces_module
from oaml_callbacks.viewer.pieces import COMPRESSED_FROM, NAMES, Piece, Pieces
from oaml_callbacks.viewer.reading import Problem
from oaml_callbacks.viewer.runs import Runs

from ..run_folders import learning, write_run
from .raw_runs import ANSWERS, SAMPLES, evaluated_run, evaluation, lines, piece, raw_run, strict, without_rights

pytestmark = pytest.mark.newest_only

ASKED = {"run": "abc123", "set": "eval", "evaluation": "eval@10", "block": "0"}
ODD = [
    '"\\ud800"',
    "NaN",
    "1e999",
    "9" * 4000,
    "[" * 100_000,
    "null",
    "true",
    '"</script>\\u0000\\n"',
    f'"{"x" * 100_000}"',
    "[[1, NaN], {}]",
    '{"a": {"b": Infinity}}',
]


@pytest.fixture
def pieces(tmp_path: Path) -> Pieces:
    """Of a run with two evaluations."""
    write_run(tmp_path, reports=learning(30, 2))
    return Pieces(Runs(tmp_path))


def append(tmp_path: Path, name: str, content: str) -> None:
    with open(tmp_path / "abc123" / name, "a") as file:
        file.write(content)


class TestStrictJson:
    @pytest.mark.parametrize("name", NAMES)
    def test_every_piece_of_a_training_is(self, pieces: Pieces, name: str) -> None:
        assert strict(pieces.get(name, ASKED).body)

    @pytest.mark.parametrize("odd", ODD)
    def test_every_piece_of_a_hostile_run_is(self, tmp_path: Path, odd: str) -> None:
        """Every value of every file is the odd one; one evaluation can be asked for all the same."""

        def having(*names: str, **fixed: Any) -> str:
            fields = dict.fromkeys(names, odd) | {name: json.dumps(value) for name, value in fixed.items()}
            return "{" + ",".join(f'"{name}": {value}' for name, value in fields.items()) + "}"

        metrics = having(*(f"grounding_{name}" for name in ("accuracy", "distance", "samples", "accuracy/web")))
        evaluations = [
            having("set", "step", "metrics", "samples", "answers", "epoch", "at", "baseline"),
            having(set="eval", step=20).replace("}", f', "metrics": {metrics}}}'),
            json.dumps(evaluation()),
        ]
        progress = (
            "state",
            "outcome",
            "step",
            "max_steps",
            "epoch",
            "num_epochs",
            "ended_at",
            "begun_at",
            "begun_step",
        )
        answer = ("answer", "status", "action", "point", "offset", "box", "correct", "distance", "outcome", "stopped")
        raw_run(
            tmp_path,
            {
                layout.RUN: having("id", "url", "started_at", "facts", "entity", "project", "sync_command"),
                layout.PROGRESS: having(*progress, "at"),
                layout.HISTORY: having("train/loss", **{"train/global_step": 1})
                + "\n"
                + having("train/global_step", a=1),
                layout.EVALUATIONS: "\n".join(evaluations) + "\n",
                SAMPLES: having("id", "instruction", "target", "box", "point", "picture", "size", "groups") + "\n",
                ANSWERS: having(**{"sample": 0}).replace("}", "," + having(*answer)[1:]) + "\n",
            },
        )
        assert len(piece(tmp_path, "runs")["runs"]) == 1
        for name in NAMES[1:]:
            piece(tmp_path, name, run="raw", set="eval", evaluation="eval@10", block="0")

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.dictionaries(
            st.sampled_from(
                ["sample", "answer", "status", "point", "offset", "box", "distance", "outcome", "stopped"]
            ),
            st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=4),
        )
    )
    def test_whatever_an_answer_holds(self, tmp_path: Path, answer: dict[str, Any]) -> None:
        evaluated_run(tmp_path, lines({"id": "a"}, {"id": "b"}), lines(answer))
        for name in ("verdicts", "answers", "track"):
            piece(tmp_path, name, run="raw", set="eval", evaluation="eval@10", block="0")

    @pytest.mark.parametrize("content", [b"\xff" * 1000 + b"\n", b"\n" * 1000, b"\0" * 1000, b"{}\n" * 50, b"[1]\n"])
    def test_whatever_bytes_its_files_hold(self, tmp_path: Path, content: bytes) -> None:
        files = (layout.RUN, layout.PROGRESS, layout.HISTORY, SAMPLES, ANSWERS)
        raw_run(tmp_path, dict.fromkeys(files, content) | {layout.EVALUATIONS: lines(evaluation())})
        for name in NAMES:
            piece(tmp_path, name, run="raw", set="eval", evaluation="eval@10", block="0")


class TestMadeOnce:
    @pytest.mark.parametrize(
        ("name", "file"),
        [
            ("history", layout.HISTORY),
            ("samples", SAMPLES),
            ("ids", SAMPLES),
            ("sample_block", SAMPLES),
            ("verdicts", ANSWERS),
            ("answers", ANSWERS),
            ("track", ANSWERS),
            ("track", SAMPLES),
        ],
    )
    def test_until_a_file_that_it_is_made_of_changes(
        self, tmp_path: Path, pieces: Pieces, name: str, file: str
    ) -> None:
        asked = {**ASKED, "block": "1" if name == "track" else "0"}
        before = pieces.get(name, asked)
        assert pieces.get(name, asked) is before
        path = tmp_path / "abc123" / file
        new = '{"id": "new", "train/global_step": 9, "train/loss": 1}\n'
        path.write_text(path.read_text().replace('"outcome":"correct"', '"outcome":"near"') + new)
        after = pieces.get(name, asked)
        assert after is not before
        assert after.etag != before.etag

    def test_another_files_change_is_none_of_its(self, tmp_path: Path, pieces: Pieces) -> None:
        before = pieces.get("verdicts", ASKED)
        append(tmp_path, layout.HISTORY, "{}\n")
        assert pieces.get("verdicts", ASKED) is before

    def test_pieces_of_other_parameters_are_others(self, pieces: Pieces) -> None:
        bodies = {pieces.get("track", {**ASKED, "block": block}).body for block in ("0", "1")}
        bodies |= {pieces.get("verdicts", {**ASKED, "evaluation": key}).body for key in ("eval@base", "eval@10")}
        assert len(bodies) == 4

    def test_a_new_evaluation_is_in_the_run_and_in_the_tracks(self, tmp_path: Path, pieces: Pieces) -> None:
        assert strict(pieces.get("track", ASKED).body)["evaluations"] == ["eval@base", "eval@10"]
        append(tmp_path, layout.EVALUATIONS, lines(evaluation(20, answers=ANSWERS)))
        assert strict(pieces.get("track", ASKED).body)["evaluations"] == ["eval@base", "eval@10", "eval@20"]
        assert [one["key"] for one in strict(pieces.get("run", ASKED).body)["evaluations"]][-1] == "eval@20"

    def test_only_so_many_bytes_are_remembered(self, pieces: Pieces, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pieces_module, "MAX_CACHED", 1)
        samples, ids = pieces.get("samples", ASKED), pieces.get("ids", ASKED)
        assert pieces.get("ids", ASKED) is ids
        assert pieces.get("samples", ASKED) is not samples

    def test_a_piece_that_changes_often_does_not_fill_the_memory(
        self, tmp_path: Path, pieces: Pieces, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kept = pieces.get("ids", ASKED)
        monkeypatch.setattr(pieces_module, "MAX_CACHED", kept.size + 4 * pieces.get("history", ASKED).size)
        for step in range(50):
            append(tmp_path, layout.HISTORY, lines({"train/global_step": step, "train/loss": 1.0}))
            pieces.get("history", ASKED)
        assert pieces.get("ids", ASKED) is kept


class TestBody:
    def test_a_large_piece_is_compressed_too(self) -> None:
        made = Piece.of(["text"] * 1000)
        assert made.compressed is not None
        assert gzip.decompress(made.compressed) == made.body
        assert len(made.compressed) < len(made.body)

    def test_a_small_one_is_not(self) -> None:
        assert Piece.of("x" * (COMPRESSED_FROM - 3)).compressed is None
        assert Piece.of("x" * COMPRESSED_FROM).compressed is not None

    def test_equal_values_have_equal_tags(self) -> None:
        assert Piece.of({"a": 1}) == Piece.of({"a": 1})
        assert Piece.of({"a": 1}).etag != Piece.of({"a": 2}).etag

    def test_what_json_does_not_have_is_not_sent(self) -> None:
        with pytest.raises(ValueError, match="Out of range"):
            Piece.of([float("nan")])


class TestRunList:
    def test_the_newest_run_is_first(self, tmp_path: Path) -> None:
        for name, started in (("a", 100), ("b", 300), ("c", 200)):
            raw_run(tmp_path, {layout.RUN: json.dumps({"started_at": started})}, name)
        assert [row["key"] for row in piece(tmp_path, "runs")["runs"]] == ["b", "c", "a"]

    def test_a_row_has_the_accuracies_of_the_first_set(self, tmp_path: Path) -> None:
        base, fair, _, best = learning(9, 4)
        write_run(tmp_path, reports=[base, best, fair])
        (row,) = piece(tmp_path, "runs")["runs"]
        assert row["accuracy"] == {"baseline": 0.0, "last": 3 / 9, "best": 8 / 9}
        assert (row["evaluations"], row["samples"], row["problems"], row["state"]) == (3, 9, 0, "ended")

    def test_a_folder_without_runs_has_an_empty_list(self, tmp_path: Path) -> None:
        assert piece(tmp_path, "runs") == {"runs": [], "problems": [], "folder": tmp_path.name}

    def test_the_folders_own_path_is_not_told(self, tmp_path: Path) -> None:
        write_run(tmp_path)
        assert str(tmp_path) not in Pieces(Runs(tmp_path)).get("runs", {}).body.decode()


class TestWhatIsNotThere:
    @pytest.mark.parametrize("name", ["", "run_list", "__class__", "../run", "RUN", "x" * 1000])
    def test_an_unknown_piece_is_named(self, pieces: Pieces, name: str) -> None:
        with pytest.raises(Problem, match="there is no piece"):
            pieces.get(name, ASKED)

    @pytest.mark.parametrize("name", NAMES[1:])
    def test_an_unknown_run_is_named(self, pieces: Pieces, name: str) -> None:
        with pytest.raises(Problem, match="there is no run nobody"):
            pieces.get(name, {**ASKED, "run": "nobody"})

    @pytest.mark.parametrize("name", ["sample_block", "answers", "track"])
    @pytest.mark.parametrize(
        "block", ["", "-1", "1.5", "one", "0x1", " 1", "1e3", "²", "\u0661", "99999999", "9" * 5000]
    )
    def test_a_block_that_is_no_number_is_refused(self, pieces: Pieces, name: str, block: str) -> None:
        with pytest.raises(Problem, match="block must be a number from 0 on"):
            pieces.get(name, {**ASKED, "block": block})

    @pytest.mark.parametrize("parameter", ["run", "set", "evaluation", "block"])
    def test_a_parameter_that_is_missing_is_a_problem(self, pieces: Pieces, parameter: str) -> None:
        name = {"run": "run", "set": "samples", "evaluation": "verdicts", "block": "track"}[parameter]
        with pytest.raises(Problem):
            pieces.get(name, {key: value for key, value in ASKED.items() if key != parameter})

    def test_a_file_that_may_not_be_read_is_a_problem(self) -> None:
        with without_rights() as parent:
            folder = evaluated_run(parent, lines({"id": "a"}), "")
            (folder / SAMPLES).chmod(0)
            with pytest.raises(Problem, match="may not be read"):
                piece(parent, "ids", run="raw", set="eval")


def test_several_threads_may_ask_while_a_training_writes(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "odd id", reports=learning(30, 3))  # whose folder has another name
    pieces = Pieces(Runs(tmp_path))
    asked = {**ASKED, "run": "odd id"}
    failed: list[BaseException] = []
    ended = threading.Event()

    def ask(name: str) -> None:
        try:
            while not ended.is_set():
                if name == "picture":
                    pieces.picture_folder("odd id")
                else:
                    strict(pieces.get(name, asked).body)
        except BaseException as error:
            failed.append(error)
            raise

    names = ("history", "track", "picture", "picture", "runs")
    threads = [threading.Thread(target=ask, args=(name,)) for name in names]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for step in range(100, 200):
            with open(folder / layout.HISTORY, "a") as file:
                file.write(lines({"train/global_step": step, "train/loss": 1.0}))
            with open(folder / layout.EVALUATIONS, "a") as file:
                file.write(lines(evaluation(step, answers=ANSWERS)))
            time.sleep(0.005)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)
    assert failed == []
    found = strict(pieces.get("run", asked).body)
    assert [one["step"] for one in found["evaluations"]] == [0, 10, 20, *range(100, 200)]
    assert found["problems"] == []
    history = strict(pieces.get("history", asked).body)
    assert history["series"]["train/loss"]["step"][-100:] == [*range(100, 200)]
