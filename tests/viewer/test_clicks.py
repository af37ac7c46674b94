"""Samples, answers and verdicts, in the pieces that a page asks for, of whole files and of damaged ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from oaml_callbacks.run_folder import layout
from oaml_callbacks.viewer.clicks import BLOCK, MAX_GROUP_VALUES, MAX_GROUPINGS, TRACK_BLOCK
from oaml_callbacks.viewer.reading import MAX_TEXT, Problem

from ..graded import INSIDE, OUTSIDE, graded, report
from ..run_folders import learning, write_run
from .raw_runs import SAMPLES, evaluated_run, evaluation, lines, piece, raw_run

pytestmark = pytest.mark.newest_only

ANSWER = {"answer": "a", "status": "ok", "point": [0.5, 0.5], "offset": [0.25, -0.5], "distance": 0.5}


def samples(count: int, **fields: Any) -> str:
    return lines(*({"id": f"s{number}", **fields} for number in range(count)))


def answers(*places: Any, outcome: Any = "correct") -> str:
    return lines(*({"sample": place, **ANSWER, "outcome": outcome} for place in places))


def verdicts(tmp_path: Path, count: int, content: str | bytes) -> Any:
    evaluated_run(tmp_path, samples(count), content)
    return piece(tmp_path, "verdicts", run="raw", evaluation="eval@10")


def answered(tmp_path: Path, count: int, content: str | bytes, block: int = 0) -> Any:
    evaluated_run(tmp_path, samples(count), content)
    return piece(tmp_path, "answers", run="raw", evaluation="eval@10", block=str(block))


def first_sample(tmp_path: Path, **fields: Any) -> Any:
    evaluated_run(tmp_path, samples(1, **fields), "")
    return piece(tmp_path, "sample_block", run="raw", set="eval", block="0")[0]


class TestOfATraining:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        write_run(tmp_path, reports=learning(50, 3), every=10)
        return tmp_path

    def test_samples_have_their_target_and_their_picture(self, folder: Path) -> None:
        block = piece(folder, "sample_block", run="abc123", set="eval", block="0")
        assert [sample["id"] for sample in block] == [f"sample-{number}" for number in range(50)]
        first = block[0]
        assert first["instruction"] == "Click 0."
        assert (first["box"], first["point"]) == ([0.4, 0.4, 0.6, 0.5], [0.5, 0.45])
        assert first["size"] == [64, 36]
        assert (folder / "abc123" / first["picture"]).is_file()
        assert "problem" not in first

    def test_ids_and_counts_are_of_all_samples(self, folder: Path) -> None:
        found = piece(folder, "samples", run="abc123", set="eval")
        assert (found["count"], found["block"], found["track_block"]) == (50, BLOCK, TRACK_BLOCK)
        assert piece(folder, "ids", run="abc123", set="eval") == [f"sample-{number}" for number in range(50)]

    def test_answers_are_beside_their_samples(self, folder: Path) -> None:
        block = piece(folder, "answers", run="abc123", evaluation="eval@20", block="0")
        assert len(block) == 50
        assert (block[0]["point"], block[0]["correct"], block[0]["outcome"]) == (list(INSIDE), True, "correct")
        assert (block[49]["status"], block[49]["point"], block[49]["correct"]) == ("unreadable", None, False)

    def test_verdicts_tell_every_sample_by_a_letter(self, folder: Path) -> None:
        before = piece(folder, "verdicts", run="abc123", evaluation="eval@base")
        after = piece(folder, "verdicts", run="abc123", evaluation="eval@20")
        assert after["outcome"] == "c" * 49 + "u"
        assert set(before["outcome"][:49]) == {"e"}
        assert (before["dx"][0], before["dy"][0]) == (3000, -2500)
        assert before["distance"][0] == 3905
        assert (after["distance"][49], after["dx"][49], after["dy"][49]) == (None, None, None)

    def test_a_track_has_each_sample_in_every_evaluation(self, folder: Path) -> None:
        track = piece(folder, "track", run="abc123", set="eval", block="1")
        assert (track["first"], track["evaluations"]) == (20, ["eval@base", "eval@10", "eval@20"])
        assert track["outcome"] == ["ecc"] * 5 + ["eec"] * 15  # 25 of 50 are right at step 10
        assert track["point"][0] == [list(OUTSIDE), list(INSIDE), list(INSIDE)]

    def test_the_last_track_is_as_long_as_what_is_left(self, folder: Path) -> None:
        track = piece(folder, "track", run="abc123", set="eval", block="2")
        assert (track["first"], len(track["outcome"])) == (40, 10)
        assert track["outcome"][9] == "uuu"

    @pytest.mark.parametrize("name", ["sample_block", "track"])
    def test_beyond_the_last_block_there_is_nothing(self, folder: Path, name: str) -> None:
        with pytest.raises(Problem, match="no block 9999999"):
            piece(folder, name, run="abc123", set="eval", block="9999999")

    def test_a_sample_that_an_evaluation_lacks_is_marked_as_absent(self, tmp_path: Path) -> None:
        all_rows = report([graded(number) for number in range(3)])
        some = report([graded(2), graded(7)])
        write_run(tmp_path, reports=[all_rows, some])
        found = piece(tmp_path, "verdicts", run="abc123", evaluation="eval@10")
        assert found["outcome"] == "--cc"
        assert piece(tmp_path, "answers", run="abc123", evaluation="eval@10", block="0")[:2] == [None, None]
        assert piece(tmp_path, "track", run="abc123", set="eval", block="0")["outcome"] == ["c-", "c-", "cc", "-c"]


class TestBlocks:
    def test_a_block_has_200_samples(self, tmp_path: Path) -> None:
        evaluated_run(tmp_path, samples(450), answers(*range(450)))
        for number, size in enumerate((BLOCK, BLOCK, 50)):
            block = piece(tmp_path, "sample_block", run="raw", set="eval", block=str(number))
            assert [sample["id"] for sample in block] == [f"s{number * BLOCK + one}" for one in range(size)]
            of_block = piece(tmp_path, "answers", run="raw", evaluation="eval@10", block=str(number))
            assert [answer["outcome"] for answer in of_block] == ["correct"] * size

    def test_answers_out_of_order_are_beside_their_samples(self, tmp_path: Path) -> None:
        rows = [{"sample": place, "answer": f"to {place}", "outcome": "near"} for place in (250, 3, 201, 0)]
        evaluated_run(tmp_path, samples(260), lines(*rows))
        block = piece(tmp_path, "answers", run="raw", evaluation="eval@10", block="1")
        assert {place: one["answer"] for place, one in enumerate(block, start=200) if one} == {
            201: "to 201",
            250: "to 250",
        }


class TestGroups:
    def test_codes_name_the_group_of_every_sample(self, tmp_path: Path) -> None:
        rows = [{"groups": {"platform": "web"}}, {}, {"groups": {"platform": "ios", "type": "icon"}}, {"groups": 5}]
        evaluated_run(tmp_path, lines(*rows), "")
        assert piece(tmp_path, "samples", run="raw", set="eval")["groups"] == {
            "platform": {"values": ["web", "ios"], "codes": [0, -1, 1, -1]},
            "type": {"values": ["icon"], "codes": [-1, -1, 0, -1]},
        }

    def test_there_are_ten_groupings_and_a_thousand_values_at_most(self, tmp_path: Path) -> None:
        many = [{"groups": {"g": f"v{number}", f"only {number}": "x"}} for number in range(MAX_GROUP_VALUES + 50)]
        evaluated_run(tmp_path, lines(*many), "")
        groups = piece(tmp_path, "samples", run="raw", set="eval")["groups"]
        assert len(groups) == MAX_GROUPINGS
        assert len(groups["g"]["values"]) == MAX_GROUP_VALUES
        assert groups["g"]["codes"][-1] == -1

    def test_a_sample_has_ten_at_most(self, tmp_path: Path) -> None:
        groups = {f"g{number}": "x" * 10_000 for number in range(500)}
        found = first_sample(tmp_path, groups=groups)["groups"]
        assert len(found) == MAX_GROUPINGS
        assert all(len(value) < 250 for value in found.values())

    def test_the_digest_tells_sets_with_other_ids_apart(self, tmp_path: Path) -> None:
        digests = []
        for name, rows in {"a": ["x", "y"], "b": ["y", "x"], "c": ["x", "y"]}.items():
            evaluated_run(tmp_path, lines(*({"id": one} for one in rows)), "", name)
            digests.append(piece(tmp_path, "samples", run=name, set="eval")["digest"])
        assert digests[0] == digests[2] != digests[1]


class TestDamagedSamples:
    def test_a_line_that_cannot_be_read_keeps_its_place_and_says_so(self, tmp_path: Path) -> None:
        evaluated_run(tmp_path, f"{samples(1)}{{broken\n{samples(1)}", answers(0, 1, 2))
        block = piece(tmp_path, "sample_block", run="raw", set="eval", block="0")
        assert [sample["id"] for sample in block] == ["s0", "", "s0"]
        assert block[1]["problem"] == f"{SAMPLES}, line 2, is no JSON, or was cut off"
        assert piece(tmp_path, "verdicts", run="raw", evaluation="eval@10")["outcome"] == "ccc"
        assert piece(tmp_path, "samples", run="raw", set="eval")["count"] == 3

    @pytest.mark.parametrize("box", [None, [1, 2, 3], [1, 2, 3, float("nan")], "text!", {"a": 1}, [1, 2, 3, 10**400]])
    def test_a_box_that_is_none_is_none(self, tmp_path: Path, box: Any) -> None:
        assert first_sample(tmp_path, box=box)["box"] is None

    @pytest.mark.parametrize("size", [[0, 5], [-1, 5], [1e7, 5], [float("inf"), 5], [5], "64x36"])
    def test_a_size_that_is_none_is_none(self, tmp_path: Path, size: Any) -> None:
        assert first_sample(tmp_path, size=size)["size"] is None

    @pytest.mark.parametrize("value", [None, 5, ["a"], {"a": float("nan")}, "x" * 1_000_000, "\ud800</script>\x00"])
    def test_texts_of_any_kind_are_short_texts(self, tmp_path: Path, value: Any) -> None:
        fields = {"id": value, "instruction": value, "target": value, "picture": value, "groups": {"g": value}}
        found = first_sample(tmp_path, **fields)
        for text in (found["id"], found["instruction"], found["target"], found["picture"], *found["groups"].values()):
            assert text is None or (isinstance(text, str) and len(text) < MAX_TEXT + 100)
            assert text is None or not {"\x00", "\ud800"} & set(text)

    def test_bytes_that_are_no_utf_8_are_replaced(self, tmp_path: Path) -> None:
        evaluated_run(tmp_path, b'{"id": "a\xffb"}\n', b'{"sample": 0, "answer": "\xc3("}\n')
        assert piece(tmp_path, "ids", run="raw", set="eval") == ["a\ufffdb"]
        assert piece(tmp_path, "answers", run="raw", evaluation="eval@10", block="0")[0]["answer"] == "\ufffd("


class TestDamagedAnswers:
    @pytest.mark.parametrize("outcome", ["perfect", "", None, 5, ["correct"], {"a": 1}])
    def test_an_outcome_of_unknown_kind_is_told_as_unread(self, tmp_path: Path, outcome: Any) -> None:
        assert verdicts(tmp_path, 2, answers(0, 1, outcome=outcome))["outcome"] == "??"

    @pytest.mark.parametrize("place", [-1, 3, 10**30, "1", 1.5, None, [1], {}])
    def test_an_answer_to_no_sample_is_left_out(self, tmp_path: Path, place: Any) -> None:
        found = verdicts(tmp_path, 3, answers(2) + answers(place, outcome="near"))
        assert found["outcome"] == "--c"
        assert found["distance"] == [None, None, 5000]

    def test_a_line_that_cannot_be_read_says_so(self, tmp_path: Path) -> None:
        content = f'{answers(0)}{{"sample": 1, "answer": "cut o\nnonsense\n{answers(3)}'
        assert verdicts(tmp_path, 5, content)["outcome"] == "c??c-"
        block = answered(tmp_path, 5, content)
        assert [one and one.get("problem") for one in block] == [
            None,
            "oaml/answers_eval_10.jsonl, line 2, is no JSON, or was cut off",
            "oaml/answers_eval_10.jsonl, line 3, is no JSON, or was cut off",
            None,
            None,
        ]
        assert block[4] is None

    def test_an_unfinished_last_line_is_not_there_yet(self, tmp_path: Path) -> None:
        assert verdicts(tmp_path, 2, answers(0) + answers(1)[:-1])["outcome"] == "c-"

    @pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e300, 10**400, "0.5", None, [1], True])
    def test_a_place_that_is_no_number_is_none(self, tmp_path: Path, number: Any) -> None:
        row = {"sample": 0, "outcome": "near", "distance": number, "offset": [number, 0.5], "point": [number, 0.5]}
        found = verdicts(tmp_path, 1, lines(row))
        assert (found["outcome"], found["distance"], found["dx"]) == ("n", [None], [None])
        piece(tmp_path, "answers", run="raw", evaluation="eval@10", block="0")
        piece(tmp_path, "track", run="raw", set="eval", block="0")

    def test_an_answer_of_50_megabytes_is_told_and_the_others_are_there(self, tmp_path: Path) -> None:
        huge = b'{"sample":0,"answer":"' + b"a" * 50_000_000 + b'","outcome":"near"}\n'
        block = answered(tmp_path, 2, huge + answers(1).encode())
        assert "has 48 MB, more than the 8 that are read" in block[0]["problem"]
        assert block[1]["answer"] == "a"

    def test_only_a_plain_true_is_correct_and_only_a_plain_false_was_not_ended(self, tmp_path: Path) -> None:
        rows = [{"sample": 0, "correct": 1, "stopped": 0}, {"sample": 1, "correct": True, "stopped": False}]
        block = answered(tmp_path, 2, lines(*rows))
        assert [(one["correct"], one["stopped"]) for one in block] == [(False, True), (True, False)]


class TestFilesThatAnEvaluationNames:
    @pytest.mark.parametrize("up", ["../secret.jsonl", "oaml/../../secret.jsonl", "absolute"])
    def test_a_file_outside_the_run_folder_is_not_read(self, tmp_path: Path, up: str) -> None:
        (tmp_path / "secret.jsonl").write_text('{"id": "secret", "sample": 0, "answer": "secret"}\n')
        up = str(tmp_path / "secret.jsonl") if up == "absolute" else up
        rows = lines(evaluation(samples=up), evaluation(20, set="web", samples=SAMPLES, answers=up))
        raw_run(tmp_path, {layout.RUN: "{}", layout.EVALUATIONS: rows, SAMPLES: samples(2)})
        assert piece(tmp_path, "ids", run="raw", set="eval") == []
        assert piece(tmp_path, "sample_block", run="raw", set="eval", block="0") == []
        assert piece(tmp_path, "answers", run="raw", evaluation="web@20", block="0") == [None, None]
        assert piece(tmp_path, "verdicts", run="raw", evaluation="web@20")["outcome"] == "--"
        assert "secret.jsonl" in json.dumps(piece(tmp_path, "run", run="raw")["problems"])

    def test_a_link_among_them_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "secret.jsonl").write_text('{"id": "secret"}\n')
        folder = raw_run(tmp_path, {layout.RUN: "{}", layout.EVALUATIONS: lines(evaluation())})
        (folder / SAMPLES).symlink_to(tmp_path / "secret.jsonl")
        assert piece(tmp_path, "ids", run="raw", set="eval") == []

    @pytest.mark.parametrize("name", ["samples", "ids"])
    def test_an_unknown_set_is_named(self, tmp_path: Path, name: str) -> None:
        evaluated_run(tmp_path, samples(1), "")
        with pytest.raises(Problem, match="the run has no evaluation set web"):
            piece(tmp_path, name, run="raw", set="web")

    def test_an_unknown_evaluation_is_named(self, tmp_path: Path) -> None:
        evaluated_run(tmp_path, samples(1), "")
        with pytest.raises(Problem, match="the run has no evaluation eval@11"):
            piece(tmp_path, "verdicts", run="raw", evaluation="eval@11")
