from __future__ import annotations

import dataclasses
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from oaml_callbacks.grounding.samples import GroundingSample
from oaml_callbacks.run_folder.screenshots import Screenshots

from ..graded import graded, picture


def sample(image: Any, number: int = 0) -> GroundingSample:
    return dataclasses.replace(graded(number).sample, image=image)


def saved(path: Path, kind: str = "PNG", number: int = 0, size: tuple[int, int] = (64, 36)) -> Path:
    picture(number, size).save(path, kind)
    return path


def test_a_picture_in_a_file_is_linked_as_it_is(tmp_path: Path) -> None:
    path = saved(tmp_path / "screen.png", size=(1920, 1080))
    kept = Screenshots(tmp_path / "run").keep(sample(path))
    assert kept is not None
    assert kept.size == (1920, 1080)
    assert os.path.samefile(tmp_path / "run" / kept.path, path)


def test_where_it_cannot_be_linked_it_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def another_disk(*_: Any, **__: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", another_disk)
    path = saved(tmp_path / "screen.png")
    kept = Screenshots(tmp_path / "run").keep(sample(path))
    assert kept is not None
    assert not os.path.samefile(tmp_path / "run" / kept.path, path)
    assert (tmp_path / "run" / kept.path).read_bytes() == path.read_bytes()


def test_equal_pictures_are_kept_once(tmp_path: Path) -> None:
    screenshots = Screenshots(tmp_path / "run")
    paths = [saved(tmp_path / f"{name}.png", number=number) for name, number in (("a", 1), ("b", 1), ("c", 2))]
    kept = [screenshots.keep(sample(path)) for path in paths]
    assert len({one.path for one in kept if one}) == 2
    assert len(list((tmp_path / "run" / "screenshots").iterdir())) == 2


def test_the_name_follows_from_the_bytes_and_not_from_the_files_name(tmp_path: Path) -> None:
    kept = Screenshots(tmp_path / "run").keep(sample(saved(tmp_path / "screen.png", "JPEG")))
    assert kept is not None
    assert kept.path.endswith(".jpg")


@pytest.mark.parametrize("kind", ["BMP", "TIFF"])
def test_a_kind_that_browsers_do_not_show_is_kept_as_jpeg(tmp_path: Path, kind: str) -> None:
    kept = Screenshots(tmp_path / "run").keep(sample(saved(tmp_path / "screen", kind)))
    assert kept is not None
    with Image.open(tmp_path / "run" / kept.path) as image:
        assert image.format == "JPEG"


def test_a_picture_in_memory_is_kept_small_with_its_own_size(tmp_path: Path) -> None:
    kept = Screenshots(tmp_path / "run").keep(sample(picture(0, (3840, 2160))))
    assert kept is not None
    assert kept.size == (3840, 2160)
    with Image.open(tmp_path / "run" / kept.path) as image:
        assert image.size == (1280, 720)


def test_copies_are_bounded_also_over_two_parts_of_a_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    noise = [Image.frombytes("RGB", (64, 64), os.urandom(64 * 64 * 3)) for _ in range(6)]
    room = 12_000 / 2**20  # for three or so
    screenshots = Screenshots(tmp_path / "run", max_mb=room)
    first = [screenshots.keep(sample(image)) for image in noise[:3]]
    with caplog.at_level(logging.WARNING):
        again = Screenshots(tmp_path / "run", max_mb=room)
        later = [again.keep(sample(image)) for image in noise[3:]]
    assert all(first)
    assert later[-1] is None
    assert again.keep(sample(noise[0])) is not None  # it is there already
    assert sum(path.stat().st_size for path in (tmp_path / "run").rglob("*.jpg")) <= 12_000
    assert len([record for record in caplog.records if "copied screenshots" in record.getMessage()]) == 1


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_a_broken_picture_is_a_warning(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "screen.png"
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert Screenshots(tmp_path / "run").keep(sample(path)) is None
    assert "sample-0" in caplog.text


def test_a_picture_that_is_gone_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert Screenshots(tmp_path / "run").keep(sample(tmp_path / "gone.png")) is None
    assert "isn't in the run folder" in caplog.text


def test_of_a_link_the_file_itself_is_linked(tmp_path: Path) -> None:
    """As a model hub's cache has its files."""
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot").mkdir()
    path = saved(tmp_path / "blobs" / "abc.png")
    (tmp_path / "snapshot" / "screen.png").symlink_to("../blobs/abc.png")
    kept = Screenshots(tmp_path / "run").keep(sample(tmp_path / "snapshot" / "screen.png"))
    assert kept is not None
    assert not (tmp_path / "run" / kept.path).is_symlink()
    assert os.path.samefile(tmp_path / "run" / kept.path, path)


def test_a_picture_that_a_browser_would_turn_is_kept_as_the_model_saw_it(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "screen.jpg"
    picture(0, (64, 36)).save(path, exif=exif)
    kept = Screenshots(tmp_path / "run").keep(sample(path))
    assert kept is not None
    with Image.open(tmp_path / "run" / kept.path) as image:
        assert image.size == (64, 36) == kept.size
        assert image.getexif().get(0x0112, 1) == 1
