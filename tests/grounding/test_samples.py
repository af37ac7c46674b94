"""Samples: their pictures, their sets, and the choice of a few out of many."""

from __future__ import annotations

import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import pytest
from PIL import Image

from oaml_callbacks.grounding import (
    BoxTarget,
    GroundingSample,
    SampleProblem,
    Samples,
    choose,
    chosen_indices,
)


def sample(image: object = "a.png", name: str = "s") -> GroundingSample:
    return GroundingSample(name, image, ({"role": "user", "content": "Save."},), BoxTarget(0, 0, 1, 1))  # type: ignore[arg-type]


class Drawn:
    def open(self) -> Image.Image:
        return Image.new("L", (3, 2), 7)


def test_the_picture_goes_into_the_users_turn() -> None:
    messages = ({"role": "system", "content": "You click."}, {"role": "user", "content": "Goal: Save."})
    asked = GroundingSample("s", "a.png", messages, BoxTarget(0, 0, 1, 1))
    image = Image.new("RGB", (8, 8))
    system, user = asked.chat(image)
    assert system == {"role": "system", "content": [{"type": "text", "text": "You click."}]}
    assert user["content"] == [{"type": "image", "image": image}, {"type": "text", "text": "Goal: Save."}]
    assert asked.messages[1]["content"] == asked.instruction == "Goal: Save."


def test_a_sample_needs_a_question() -> None:
    with pytest.raises(ValueError, match="no messages"):
        GroundingSample("s", Path("a.png"), (), BoxTarget(0, 0, 1, 1))


@pytest.mark.parametrize("kind", ["path", "text", "pil", "object"])
def test_pictures_are_opened_as_rgb(tmp_path: Path, kind: str) -> None:
    Image.new("L", (3, 2), 7).save(tmp_path / "a.png")
    images = {"path": tmp_path / "a.png", "text": str(tmp_path / "a.png"), "pil": Drawn().open(), "object": Drawn()}
    opened = sample(images[kind]).open_image()
    assert (opened.mode, opened.size, opened.getpixel((0, 0))) == ("RGB", (3, 2), (7, 7, 7))


def broken(folder: Path, kind: str) -> Path:
    path = folder / "broken.png"
    if kind == "no picture":
        path.write_text("<html>404</html>")
    elif kind == "folder":
        path.mkdir()
    elif kind != "missing":
        Image.effect_noise((64, 64), 50).save(path)
        data = path.read_bytes()
        # Cut off in the pixels, or with its first chunk named like none.
        path.write_bytes(data[: len(data) // 2] if kind == "truncated" else data[:12] + b"\0\0\0\0" + data[16:])
    return path


@pytest.mark.parametrize("kind", ["missing", "folder", "no picture", "truncated", "broken chunk"])
def test_a_picture_that_cannot_be_read_raises_what_evaluations_count(tmp_path: Path, kind: str) -> None:
    with pytest.raises((OSError, ValueError)):
        sample(broken(tmp_path, kind)).open_image()


@pytest.mark.parametrize(("side", "opens"), [(1, True), (99, True), (142, False)])
def test_a_picture_of_more_pixels_than_pillow_trusts_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int, opens: bool
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9000)  # warns above, refuses above twice as many
    Image.new("1", (side, side)).save(tmp_path / "large.png")
    if opens:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert sample(tmp_path / "large.png").open_image().size == (side, side)
    else:
        with pytest.raises(ValueError, match=r"too large: .*20164 pixels.* Scale it down, or"):
            sample(tmp_path / "large.png").open_image()


def test_a_picture_of_20000_by_20000_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    # A PNG's head says its size; nothing after it is needed to refuse it.
    Image.new("1", (1, 1)).save(tmp_path / "bomb.png")
    data = bytearray((tmp_path / "bomb.png").read_bytes())
    data[16:24] = (20_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    (tmp_path / "bomb.png").write_bytes(bytes(data))
    with pytest.raises(ValueError, match=r"too large: .*400000000 pixels"):
        sample(tmp_path / "bomb.png").open_image()


def test_a_choice_is_drawn_from_the_whole_set_and_keeps_its_order() -> None:
    chosen = chosen_indices(10_000, 128)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == 128
    assert all(any(start <= index < start + 1000 for index in chosen) for start in range(0, 10_000, 1000))


def test_the_choice_is_the_same_in_every_process_and_another_with_another_seed() -> None:
    code = "from oaml_callbacks.grounding import chosen_indices; print(chosen_indices(1000, 8))"
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("0", "1")
    ]
    # Written out, so that another way of choosing is seen: it would break comparisons with earlier runs.
    assert runs == ["[46, 87, 282, 366, 392, 404, 923, 942]\n"] * 2
    assert chosen_indices(1000, 8, seed=1) != chosen_indices(1000, 8)
    assert set(chosen_indices(1000, 8)) < set(chosen_indices(1000, 9))


@pytest.mark.parametrize("most", [None, 3, 4])
def test_a_small_set_is_kept_whole(most: int | None) -> None:
    assert chosen_indices(3, most) == [0, 1, 2]


def test_a_choice_keeps_what_was_left_out_and_how_to_average() -> None:
    problems = [SampleProblem("a.jsonl:2", "why")]
    whole = Samples([sample(name=str(i)) for i in range(9)], problems=problems, ungraded=4, macro=("platform",))
    few = choose(whole, 3)
    assert [one.id for one in few] == [str(index) for index in chosen_indices(9, 3)]
    assert (few.problems, few.ungraded, few.macro) == (tuple(problems), 4, ("platform",))
    assert [one.id for one in choose(list(whole), 3)] == [one.id for one in few]


def test_a_choice_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, or None for all, found 0"):
        choose([sample()], 0)
