"""Screenshots as JPEG: small, once, and bounded."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from PIL import Image, UnidentifiedImageError

from oaml_callbacks.pictures import Pictures, as_jpeg

from .graded import graded, picture


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1920, 1080), (960, 540)),
        ((3840, 2160), (1280, 720)),
        ((1366, 768), (1280, 720)),
        ((1080, 2400), (540, 1200)),
        ((1280, 720), (1280, 720)),
        ((64, 36), (64, 36)),
        ((5000, 1), (1250, 1)),
        ((1, 1), (1, 1)),
    ],
)
def test_pictures_keep_their_shape_and_have_1280_pixels_at_most(
    tmp_path: Path, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    data, reached = as_jpeg(picture(size=size))
    assert reached == expected
    (tmp_path / "picture.jpg").write_bytes(data)
    with Image.open(tmp_path / "picture.jpg") as read:
        assert (read.format, read.size) == ("JPEG", expected)


def test_a_picture_is_written_once_for_all_samples_that_share_it(tmp_path: Path) -> None:
    pictures = Pictures(tmp_path / "pictures", max_bytes=10**6)
    shared = picture(3)
    samples = [graded(number, image=shared).sample for number in range(3)]
    saved = [pictures.of(sample, "eval") for sample in (*samples, samples[0])]
    assert len({one.path for one in saved if one is not None}) == 1
    assert pictures.bytes == sum(path.stat().st_size for path in tmp_path.rglob("*.jpg"))


def test_the_same_id_in_two_evaluation_sets_is_two_samples(tmp_path: Path) -> None:
    pictures = Pictures(tmp_path, max_bytes=10**6)
    one, other = graded(0, image=picture(1)).sample, graded(0, image=picture(2)).sample
    paths = {saved.path for saved in (pictures.of(one, "web"), pictures.of(other, "desktop")) if saved is not None}
    assert len(paths) == 2


def test_beyond_the_limit_there_are_no_new_pictures_and_the_user_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    size = len(as_jpeg(picture(0))[0])
    pictures = Pictures(tmp_path, max_bytes=2.5 * size)
    with caplog.at_level(logging.WARNING):
        saved = [pictures.of(graded(number).sample, "eval") for number in (0, 1, 2, 3, 0)]
    assert [one is not None for one in saved] == [True, True, False, False, True]
    assert [record.message for record in caplog.records if "max_media_mb" in record.message] == caplog.messages
    assert len(caplog.messages) == 1
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2.5 * size


def test_a_picture_that_is_gone_is_named_once_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pictures = Pictures(tmp_path, max_bytes=10**6)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    samples = [graded(0, image=tmp_path / "gone.png").sample, graded(1, image=broken).sample]
    assert [pictures.of(sample, "eval") for sample in (*samples, *samples)] == [None] * 4
    assert len(caplog.messages) == 2
    assert "sample-0" in caplog.messages[0]
    assert UnidentifiedImageError.__name__ in caplog.messages[1]
