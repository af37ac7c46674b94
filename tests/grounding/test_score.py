"""Files of answers: read, matched with their samples, and graded as an evaluation grades."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from oaml_callbacks.grounding.actions import AnswerReader
from oaml_callbacks.grounding.metrics import grade
from oaml_callbacks.grounding.samples import GroundingSample, SampleProblem, Samples
from oaml_callbacks.grounding.score import (
    Prediction,
    PredictionFileError,
    read_predictions,
    row_as_json,
    score_as_json,
    score_predictions,
)
from oaml_callbacks.grounding.targets import BoxTarget

READER = AnswerReader("openadapt")
HIT, MISS = "Action: CLICK(x=0.5, y=0.5)", "Action: CLICK(x=0.9, y=0.1)"


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    path = tmp_path_factory.mktemp("score") / "screen.png"
    Image.new("1", (1920, 1080)).save(path)
    return Samples(
        [
            GroundingSample(
                name,
                path,
                ({"role": "user", "content": "Click it."},),
                BoxTarget(0.4, 0.4, 0.6, 0.6),
                groups={"type": "text" if name in "ab" else "icon"},
            )
            for name in "abc"
        ],
        problems=[SampleProblem("x:9", "broken")],
        macro=("type",),
    )


def write(path: Path, *lines: object) -> Path:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return path


class TestReading:
    def test_a_line_has_an_id_an_answer_and_perhaps_a_size(self, tmp_path: Path) -> None:
        path = write(
            tmp_path / "p.jsonl", {"id": "a", "answer": "x", "resized_size": [28, 56]}, "", {"id": 7, "answer": ""}
        )
        assert read_predictions(path) == [Prediction(1, "x", "a", (28, 56)), Prediction(3, "", "7")]

    @pytest.mark.parametrize(
        ("lines", "said"),
        [
            (['{"id": "a", '], "line 1: not JSON"),
            (["[1]"], "line 1: expected a JSON object, found list"),
            ([{"id": "a"}], 'line 1: expected "answer": the model\'s text, found None'),
            ([{"id": ["a"], "answer": ""}], 'expected "id"'),
            ([{"answer": "", "resized_size": [0, 1]}], r'expected "resized_size": \[width, height\] in pixels'),
            ([{"answer": "", "resized_size": [True, 1]}], 'expected "resized_size"'),
            ([{"id": "a", "answer": ""}, {"answer": ""}], 'line 2: either every line has an "id", or none'),
            ([{"id": "a", "answer": ""}, {"id": "a", "answer": ""}], "line 2: the id 'a' was answered in line 1"),
            ([""], "has no answers"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_line(self, tmp_path: Path, lines: list[object], said: str) -> None:
        with pytest.raises(PredictionFileError, match=said):
            read_predictions(write(tmp_path / "p.jsonl", *lines))

    def test_bytes_that_are_no_text_are_named_too(self, tmp_path: Path) -> None:
        path = tmp_path / "p.jsonl"
        path.write_bytes(b'{"answer": "\xff"}\n')
        with pytest.raises(PredictionFileError, match="line 1: 'utf-8' codec"):
            read_predictions(path)


class TestScoring:
    def test_each_row_is_graded_as_an_evaluation_grades_it(self, samples: Samples) -> None:
        answers = [HIT, MISS, "I can't."]
        scored = score_predictions(samples, [Prediction(i, text) for i, text in enumerate(answers)], READER)
        assert scored.report.rows == tuple(
            grade(sample, text, READER.read(text)) for sample, text in zip(samples, answers, strict=True)
        )
        assert (scored.report.skipped, scored.report.macro) == (1, ("type",))

    def test_ids_go_before_order_and_the_missing_count_as_unreadable(self, samples: Samples) -> None:
        answers = [Prediction(1, HIT, "c"), Prediction(2, HIT, "zzz"), Prediction(3, HIT, "a")]
        scored = score_predictions(samples, answers, READER)
        assert [row.outcome for row in scored.report.rows] == ["correct", "unreadable", "correct"]
        assert (scored.missing, scored.unknown) == (("b",), ("zzz",))

    def test_ids_of_no_sample_are_refused(self, samples: Samples) -> None:
        with pytest.raises(PredictionFileError, match="the first is 'x', and the first sample's 'a'"):
            score_predictions(samples, [Prediction(1, HIT, "x")], READER)

    def test_without_ids_there_must_be_as_many(self, samples: Samples) -> None:
        with pytest.raises(PredictionFileError, match="there are 2 of them for 3 samples"):
            score_predictions(samples, [Prediction(1, HIT), Prediction(2, HIT)], READER)

    def test_pixels_are_of_the_size_in_the_line_or_what_the_processor_makes(self, samples: Samples) -> None:
        reader = AnswerReader("gta1")
        answers = [
            Prediction(1, "(658, 364)", "a", (1316, 728)),
            Prediction(2, "(658, 364)", "b", (728, 1316)),
            Prediction(3, "(100, 50)", "c"),
        ]
        scored = score_predictions(samples, answers, reader, resized=lambda width, height: (200, 100))
        assert [row.correct for row in scored.report.rows] == [True, False, True]
        assert scored.report.rows[2].resized_size == (200, 100)

    @pytest.mark.parametrize("reader", [AnswerReader("gta1"), AnswerReader("gta1", space="pixels")])
    def test_pixels_of_an_unknown_size_are_refused_with_what_to_give(
        self, samples: Samples, reader: AnswerReader
    ) -> None:
        with pytest.raises(PredictionFileError, match=r'(?s)2 answers.*of a, are in pixels.*"resized_size"'):
            score_predictions(samples, [Prediction(1, "(658, 364)", "a"), Prediction(2, "(1, 2)", "b")], reader)


def test_what_is_written_is_json_that_says_the_rules(samples: Samples) -> None:
    scored = score_predictions(samples, [Prediction(1, "nothing", "b")], AnswerReader("qwen3_vl"))
    written = json.loads(json.dumps(score_as_json(scored, AnswerReader("qwen3_vl")), allow_nan=False))
    assert (written["grounding_accuracy"], written["grounding_distance"]) == (0, None)
    assert (written["family"], written["missing"], written["macro_over"]) == ("qwen3_vl", ["a", "c"], ["type"])
    assert "grounding_seconds" not in written
    row = json.loads(json.dumps(row_as_json(scored.report.rows[1]), allow_nan=False))
    assert (row["id"], row["outcome"], row["answer"], row["target_box"]) == (
        "b",
        "unreadable",
        "nothing",
        [0.4, 0.4, 0.6, 0.6],
    )
