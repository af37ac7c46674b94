"""What a check of samples finds: each fault named and counted, and nothing where nothing is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from oaml_callbacks.grounding.actions import AnswerReader
from oaml_callbacks.grounding.check import Finding, check_samples
from oaml_callbacks.grounding.readers.format import Resize
from oaml_callbacks.grounding.samples import GroundingSample, SampleProblem, Samples
from oaml_callbacks.grounding.screen import ResizedSizes
from oaml_callbacks.grounding.targets import BoxTarget, RefusalTarget, Target

BOX = BoxTarget(0.4, 0.4, 0.6, 0.6)


def picture(path: Path, mark: int = 0, size: tuple[int, int] = (400, 300)) -> Path:
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).rectangle((0, 0, mark, mark), fill="red")
    image.save(path)
    return path


def sample(image: Path, name: str = "one", *, target: Target = BOX, request: str = "Click Save.") -> GroundingSample:
    return GroundingSample(name, image, ({"role": "user", "content": request},), target)


def check(
    *samples: GroundingSample, train: Samples | None = None, resized: Resize | None = None
) -> dict[str, Finding]:
    """The findings by what was looked at."""
    found = check_samples(Samples(samples), AnswerReader(), train=train, resized=resized)
    return {finding.what: finding for finding in found}


def test_whole_samples_have_no_problem(tmp_path: Path) -> None:
    found = check(sample(picture(tmp_path / "a.png")), sample(picture(tmp_path / "b.png", 9), "two"))
    assert {finding.verdict for finding in found.values()} == {"fine", "not checked"}
    assert found["pictures"].said == "2 for 2 samples, 400 x 300"
    assert "--model" in found["target sizes"].said
    assert "--train" in found["also trained on"].said


def test_broken_rows_are_counted_by_kind(tmp_path: Path) -> None:
    rows = [SampleProblem(f"x:{i}", f"the target [0, 0, 0, {i}] has no area") for i in (1, 2.5, 3)]
    rows.append(SampleProblem("x:9", "not JSON"))
    samples = Samples([sample(picture(tmp_path / "a.png"))], problems=rows, ungraded=2)
    found = check_samples(samples, AnswerReader())[0]
    assert (found.what, found.verdict) == ("rows", "problem")
    assert found.said == "1 of 7 can be asked and graded; 2 ask for something that has no place; 4 are broken"
    assert found.named == ("x:1: the target [0, 0, 0, 1] has no area (and 2 more of this kind)", "x:9: not JSON")


class TestPictures:
    def test_missing_broken_and_tiny_ones_are_told_apart(self, tmp_path: Path) -> None:
        whole = picture(tmp_path / "whole.png", 50)
        (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:200])
        images = [whole, tmp_path / "gone.png", tmp_path / "cut.png", picture(tmp_path / "dot.png", size=(1, 1))]
        found = check(*(sample(image, image.stem) for image in images))["pictures"]
        assert found.verdict == "problem"
        assert found.said.endswith("1 x 1 to 400 x 300; 1 missing, 1 broken, 1 too small")
        assert [place.partition(" ")[0] for place in found.named] == ["gone", "cut", "dot"]
        assert str(tmp_path / "gone.png") in found.named[0]

    def test_one_that_several_samples_share_is_looked_at_once(self, tmp_path: Path) -> None:
        image = tmp_path / "gone.png"
        found = check(sample(image), sample(image, "two", request="Click Undo."))["pictures"]
        assert found.said.startswith("1 for 2 samples; 1 missing")

    def test_what_the_processor_refuses_is_a_problem(self, tmp_path: Path, resized: Resize) -> None:
        found = check(sample(picture(tmp_path / "line.png", size=(9000, 30))), resized=resized)["pictures"]
        assert "1 refused by the processor" in found.said
        assert "aspect ratio" in found.named[0]


class TestTargets:
    def test_those_over_the_edge_are_named(self, tmp_path: Path) -> None:
        image = picture(tmp_path / "a.png")
        found = check(
            sample(image, "over", target=BoxTarget(0.9, 0.9, 1.2, 1)),
            sample(image, "by a pixel", target=BoxTarget(0.9, 0.9, 1.002, 1)),
            sample(image, "none", target=RefusalTarget()),
        )["boxes"]
        assert (found.verdict, found.named) == ("problem", ("over",))

    def test_those_too_small_to_be_seen_are_named_with_what_is_left(self, tmp_path: Path, resized: Resize) -> None:
        image = picture(tmp_path / "screen.png", size=(2000, 1000))
        width, height = resized(2000, 1000)
        assert width < 500  # the demo's processor shrinks pictures a lot
        found = check(
            sample(image, "icon", target=BoxTarget(0.5, 0.5, 0.51, 0.52)),
            sample(image, "smaller", target=BoxTarget(0.5, 0.5, 0.505, 0.9)),
            sample(image, "button", target=BoxTarget(0.2, 0.2, 0.6, 0.8)),
            resized=resized,
        )["target sizes"]
        assert found.verdict == "problem"
        assert found.said.startswith("2 of 3 keep fewer than 8 pixels")
        assert found.named == (
            f"smaller: {0.005 * width:.1f} x {0.4 * height:.1f} pixels of {width} x {height}",
            f"icon: {0.01 * width:.1f} x {0.02 * height:.1f} pixels of {width} x {height}",
        )


class TestOverlap:
    def test_same_picture_and_request_is_apart_from_same_picture_alone(self, tmp_path: Path) -> None:
        first, second, third = (picture(tmp_path / f"{i}.png", i) for i in (1, 2, 3))
        saved_again = tmp_path / "again.webp"
        Image.open(first).save(saved_again, lossless=True)
        train = Samples([sample(saved_again, "t1", request=" click  SAVE. "), sample(second, "t2", request="Undo")])
        findings = check_samples(
            Samples([sample(first, "e1"), sample(second, "e2"), sample(third, "e3")]), AnswerReader(), train=train
        )
        problem, note = (finding for finding in findings if finding.what == "also trained on")
        assert (problem.verdict, problem.named) == ("problem", ("e1 is t1",))
        assert problem.said.startswith("1 of 3 samples are trained on")
        assert (note.verdict, note.named) == ("note", ("e2 has the picture of t2",))

    def test_repeats_within_the_samples_are_a_note(self, tmp_path: Path) -> None:
        image = picture(tmp_path / "a.png")
        found = check(sample(image), sample(image, "two"), sample(image, "three", request="Click Undo."))["repeats"]
        assert (found.verdict, found.named) == ("note", ("two is one again",))


@pytest.fixture(scope="module")
def resized() -> Resize:
    from oaml_callbacks.demo.tiny_qwen import build_processor

    return ResizedSizes(build_processor("qwen3_vl")).of
