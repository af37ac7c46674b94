"""Labels read by the parser and graded against their own targets; misses that another coordinate space explains."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from oaml_callbacks.grounding.actions import AnswerReader
from oaml_callbacks.grounding.labels import check_labels, explain_misses
from oaml_callbacks.grounding.metrics import GroundingReport, grade
from oaml_callbacks.grounding.samples import GroundingSample
from oaml_callbacks.grounding.targets import BoxTarget, MarkTarget, PointTarget, RefusalTarget, Target

ORIGINAL, RESIZED = (1920, 1080), (1316, 728)
Point = tuple[float, float]
Write = Callable[[Point], str]


def resized(width: int, height: int) -> tuple[int, int]:
    assert (width, height) == ORIGINAL
    return RESIZED


def in_shares(point: Point) -> str:
    return f"Action: CLICK(x={point[0]:.3f}, y={point[1]:.3f})"


def in_thousandths(point: Point) -> str:
    return in_shares((point[0] * 1000, point[1] * 1000))


def tool_call(width: float, height: float) -> Write:
    def write(point: Point) -> str:
        arguments = {"action": "click", "coordinate": [round(point[0] * width), round(point[1] * height)]}
        call = json.dumps({"name": "computer_use", "arguments": arguments})
        return f"<tool_call>\n{call}\n</tool_call>"

    return write


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("labels") / "screen.png"
    Image.new("1", ORIGINAL).save(path)
    return path


def sample(name: str, picture: Path, target: Target, answer: str | None) -> GroundingSample:
    return GroundingSample(name, picture, ({"role": "user", "content": "Click it."},), target, answer=answer)


def boxes(count: int, *, side: float = 0.05, seed: int = 0) -> list[BoxTarget]:
    """Targets all over the screen."""
    rng = random.Random(seed)
    corners = [(rng.uniform(0, 1 - side), rng.uniform(0, 1 - side)) for _ in range(count)]
    return [BoxTarget(x, y, x + side, y + side) for x, y in corners]


def labelled(picture: Path, write: Write, *, count: int = 100, wrong: int = 0) -> list[GroundingSample]:
    """Samples whose answers are their targets' centres, but for `wrong` that are right as shares."""
    return [
        sample(str(i), picture, box, (in_shares if i < wrong else write)(box.point))
        for i, box in enumerate(boxes(count))
    ]


OPENADAPT, QWEN25, QWEN3 = (AnswerReader(family) for family in ("openadapt", "qwen2_5_vl", "qwen3_vl"))


class TestLabels:
    @pytest.mark.parametrize(
        ("reader", "write"),
        [(OPENADAPT, in_shares), (QWEN3, tool_call(1000, 1000)), (QWEN25, tool_call(*RESIZED))],
    )
    def test_right_labels_are_passed_over_in_silence(self, picture: Path, reader: AnswerReader, write: Write) -> None:
        check = check_labels(labelled(picture, write), reader, resized=resized)
        assert (check.checked, check.correct, check.share) == (100, 100, 1.0)
        assert check.better is None
        assert check.message() is None

    @pytest.mark.parametrize(
        ("reader", "write", "better", "named"),
        [
            (OPENADAPT, in_thousandths, "relative1000", "0-1000"),
            (QWEN25, tool_call(1000, 1000), "relative1000", "0-1000"),
            (QWEN3, tool_call(*RESIZED), "pixels", "pixels of the resized picture"),
            (QWEN25, tool_call(*ORIGINAL), "original_pixels", "pixels of the original picture"),
        ],
    )
    def test_labels_in_another_space_are_named_with_the_space(
        self, picture: Path, reader: AnswerReader, write: Write, better: str, named: str
    ) -> None:
        check = check_labels(labelled(picture, write), reader, resized=resized)
        assert check.better == better
        assert f"read as {named} they'd hit 100 %" in (check.message() or "")

    def test_the_sentence_has_the_figures_and_the_fix(self, picture: Path) -> None:
        check = check_labels(labelled(picture, in_thousandths, wrong=3), OPENADAPT)
        assert check.message() == (
            "97 % of your labels (97 of 100) miss their own target; read as 0-1000 they'd hit 97 %. Write the labels "
            'as the model\'s family answers, or, if they are meant so, say so with space="relative1000".'
        )
        assert (check.correct, check.by_space["normalized"], check.by_space["relative1000"]) == (3, 3, 97)

    def test_two_spaces_mixed_are_called_that(self, picture: Path) -> None:
        message = check_labels(labelled(picture, in_thousandths, wrong=60), OPENADAPT).message()
        assert message is not None
        assert message.startswith("40 % of your labels (40 of 100) miss")
        assert "60 of the others would then miss: two coordinate spaces are mixed" in message

    def test_labels_that_no_space_explains_name_samples(self, picture: Path) -> None:
        shuffled = [box.point for box in boxes(20, seed=1)]
        samples = [
            sample(f"row {i}", picture, box, in_shares(point))
            for i, (box, point) in enumerate(zip(boxes(20), shuffled, strict=True))
        ]
        message = check_labels(samples, OPENADAPT).message() or ""
        assert "no other coordinate space explains it: look at row 0, row 1," in message

    def test_labels_in_another_form_are_said_to_be_unreadable(self, picture: Path) -> None:
        check = check_labels(labelled(picture, in_shares), QWEN3)
        assert check.unreadable == 100
        assert "100 can't be read as an answer, such as 'Action: CLICK(" in (check.message() or "")

    def test_a_few_labels_that_rounding_spoils_are_no_matter(self, picture: Path) -> None:
        samples = labelled(picture, in_shares, count=96)
        samples += [sample("off", picture, BoxTarget(0.1, 0.1, 0.2, 0.2), in_shares((0.21, 0.1)))] * 4
        check = check_labels(samples, OPENADAPT)
        assert check.correct == 96
        assert check.message() is None

    def test_a_missing_picture_leaves_labels_in_pixels_unreadable(self, tmp_path: Path) -> None:
        samples = labelled(tmp_path / "none.png", tool_call(*RESIZED), count=6)
        for reader in (QWEN25, AnswerReader("qwen2_5_vl", space="pixels")):
            check = check_labels(samples, reader, resized=resized)
            assert (check.checked, check.unreadable) == (6, 6)


class TestWhatCounts:
    def test_targets_made_of_the_answer_do_not_count(self, picture: Path) -> None:
        samples = [
            sample("mark", picture, MarkTarget(3), "Action: CLICK([3])"),
            sample("point", picture, PointTarget(0.2, 0.3), in_shares((0.2, 0.3))),
            sample("no answer", picture, BoxTarget(0.1, 0.1, 0.2, 0.2), None),
        ]
        check = check_labels(samples, OPENADAPT)
        assert (check.checked, check.share, check.message()) == (0, None, None)

    def test_points_of_their_own_count(self, picture: Path) -> None:
        samples = [
            sample("exact", picture, PointTarget(0.2, 0.3), in_shares((0.2, 0.3))),
            sample("off", picture, PointTarget(0.2, 0.3), in_shares((0.22, 0.3))),
            sample("wrong", picture, PointTarget(0.2, 0.3), in_shares((0.8, 0.3))),
        ]
        check = check_labels(samples, OPENADAPT)
        assert (check.checked, check.correct) == (3, 2)

    def test_a_refusal_is_a_label(self, picture: Path) -> None:
        samples = [sample(str(i), picture, RefusalTarget(), answer) for i, answer in enumerate(["[-1,-1]", "[1,1]"])]
        check = check_labels(samples, AnswerReader("ui_venus"))
        assert (check.checked, check.correct) == (2, 1)


def report(picture: Path, targets: list[BoxTarget], answers: list[str], reader: AnswerReader) -> GroundingReport:
    rows = [
        grade(
            sample(str(i), picture, box, None), answer, reader.read(answer, resized_size=RESIZED), resized_size=RESIZED
        )
        for i, (box, answer) in enumerate(zip(targets, answers, strict=True))
    ]
    return GroundingReport(tuple(rows), 0, 1.0)


class TestMisses:
    def test_answers_in_another_space_are_explained_with_their_figure(self, picture: Path) -> None:
        targets = boxes(128)
        hits, lost = [box.point for box in targets[:87]], [(0.0, 0.0)] * 3
        answers = [in_shares(point) for point in hits] + [in_thousandths(box.point) for box in targets[87:125]]
        answers += [in_shares(point) for point in lost]
        message = explain_misses(report(picture, targets, answers, OPENADAPT), OPENADAPT) or ""
        assert message.startswith(
            "41 of 128 answers miss, and 38 of them would hit if their numbers were read as 0-1000"
        )

    @pytest.mark.parametrize(
        ("reader", "write", "named"),
        [
            (QWEN25, tool_call(1000, 1000), "0-1000"),
            (QWEN3, tool_call(*RESIZED), "pixels of the resized picture"),
            (QWEN25, tool_call(*ORIGINAL), "pixels of the original picture"),
        ],
    )
    def test_a_poor_model_in_another_space_is_explained_too(
        self, picture: Path, reader: AnswerReader, write: Write, named: str
    ) -> None:
        targets, rng = boxes(60), random.Random(1)
        points = [box.point if i % 3 else (rng.random(), rng.random()) for i, box in enumerate(targets)]
        told = explain_misses(report(picture, targets, [write(point) for point in points], reader), reader)
        assert f"read as {named}" in (told or "")

    @pytest.mark.parametrize("side", [0.02, 0.2, 0.5, 0.75])
    @pytest.mark.parametrize(
        ("reader", "write"),
        [(OPENADAPT, in_thousandths), (QWEN25, tool_call(1000, 1000)), (QWEN3, tool_call(*ORIGINAL))],
    )
    def test_random_clicks_are_never_explained(
        self, picture: Path, reader: AnswerReader, write: Write, side: float
    ) -> None:
        for seed in range(25):
            rng = random.Random(seed)
            count = rng.choice([5, 8, 20, 60])
            answers = [write((rng.random(), rng.random())) for _ in range(count)]
            graded = report(picture, boxes(count, side=side, seed=seed), answers, reader)
            assert explain_misses(graded, reader) is None, f"seed {seed}"

    def test_a_model_that_always_clicks_the_same_place_is_not_explained(self, picture: Path) -> None:
        # Most targets hold the screen's centre, where a click of (500, 500) in 0-1000 would be.
        targets = [BoxTarget(0.3, 0.3, 0.6 + i / 100, 0.6) for i in range(30)]
        answers = [in_thousandths((0.5, 0.5))] * 30
        assert explain_misses(report(picture, targets, answers, OPENADAPT), OPENADAPT) is None

    def test_near_misses_are_not_explained_by_a_picture_of_nearly_the_same_size(self, tmp_path: Path) -> None:
        path = tmp_path / "screen.png"
        Image.new("1", (1340, 740)).save(path)  # 2 % larger than what the model sees
        for seed in range(25):
            rng, targets = random.Random(seed), boxes(60, seed=seed)
            points = [(x + rng.gauss(0, 0.02), y + rng.gauss(0, 0.02)) for x, y in (box.point for box in targets)]
            graded = report(path, targets, [tool_call(*RESIZED)(point) for point in points], QWEN25)
            assert explain_misses(graded, QWEN25) is None, f"seed {seed}"

    def test_a_space_that_loses_more_hits_than_it_gains_explains_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "screen.png"
        Image.new("1", (1340, 740)).save(path)
        targets = [BoxTarget(0.5 + i / 100, 0.1 + i / 40, 0.55 + i / 100, 0.15 + i / 40) for i in range(30)]
        # Read as pixels of the slightly larger original, clicks move left: six into their box, twenty out of it.
        beside = [0.053] * 6 + [-0.1] * 4 + [0.003] * 20
        points = [(box.left + x, box.point[1]) for box, x in zip(targets, beside, strict=True)]
        graded = report(path, targets, [tool_call(*RESIZED)(point) for point in points], QWEN25)
        assert sum(not row.correct for row in graded.rows) == 10
        assert explain_misses(graded, QWEN25) is None

    def test_four_misses_are_too_few(self, picture: Path) -> None:
        targets = boxes(20)
        answers = [(in_thousandths if i < 4 else in_shares)(box.point) for i, box in enumerate(targets)]
        assert explain_misses(report(picture, targets, answers, OPENADAPT), OPENADAPT) is None
