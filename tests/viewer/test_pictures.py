"""Screenshots and thumbnails: only pictures, only from the run folder, and only so much of them."""

from __future__ import annotations

import io
import os
import threading
import zlib
from pathlib import Path

import pytest
from PIL import Image

from oaml_callbacks.viewer import pictures as pictures_module
from oaml_callbacks.viewer.pictures import SIDE, Pictures
from oaml_callbacks.viewer.reading import Problem

from ..graded import picture

pytestmark = pytest.mark.newest_only

KINDS = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}


def saved(folder: Path, name: str = "a.png", kind: str = "PNG", size: tuple[int, int] = (64, 36)) -> bytes:
    """A picture in the folder; gives its bytes."""
    picture(3, size).save(folder / name, kind)
    return (folder / name).read_bytes()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


class TestPicture:
    @pytest.mark.parametrize(("kind", "expected"), KINDS.items())
    def test_it_is_given_as_it_is_by_what_its_bytes_are(self, tmp_path: Path, kind: str, expected: str) -> None:
        data = saved(tmp_path, "named.png", kind)
        found = Pictures().picture(tmp_path, "named.png")
        assert (found.data, found.kind) == (data, expected)

    @pytest.mark.parametrize("name", ["a.png", "a.PNG", "b/c.jpg", "a.jpeg", "a.webp", "a.gif", "a b#?&%.png"])
    def test_its_name_is_one_of_a_picture(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "b").mkdir()
        saved(tmp_path, name)
        assert Pictures().picture(tmp_path, name).kind == "image/png"

    @pytest.mark.parametrize(
        "name", ["run.json", "code.py", "a", "a.svg", "a.html", "a.png.json", "a.png/", "", ".png.txt"]
    )
    def test_a_file_of_another_name_is_none(self, tmp_path: Path, name: str) -> None:
        if name and not name.endswith("/"):
            saved(tmp_path, name)
        with pytest.raises(Problem, match=r"is no picture$"):
            Pictures().picture(tmp_path, name)

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"#!/usr/bin/env python",
            b'{"secret": 1}',
            b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
            b"<html><script>alert(1)</script>",
            b"RIFF0000WAVE",
            b" \x89PNG\r\n\x1a\n",
        ],
    )
    def test_a_file_whose_bytes_are_none_is_not_given(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "a.png").write_bytes(content)
        for give in (Pictures().picture, Pictures().thumbnail):
            with pytest.raises(Problem, match=r"a\.png is no picture of a kind that is shown"):
                give(tmp_path, "a.png")

    @pytest.mark.parametrize(
        "path",
        [
            "../secret.png",
            "%2e%2e%2fsecret.png",
            "a/../../secret.png",
            "..\\secret.png",
            "/secret.png",
            "//secret.png",
            "a\0.png",
            "link.png",
            "folder/secret.png",
            "gone.png",
            "folder.png",
            "x" * 9999 + ".png",
            "\ud800.png",
        ],
    )
    def test_a_path_that_leads_elsewhere_or_nowhere_is_none(self, tmp_path: Path, path: str) -> None:
        run = tmp_path / "run"
        (run / "folder.png").mkdir(parents=True)
        saved(tmp_path, "secret.png")
        (run / "link.png").symlink_to(tmp_path / "secret.png")
        (run / "folder").symlink_to(tmp_path)
        for give in (Pictures().picture, Pictures().thumbnail):
            with pytest.raises(Problem):
                give(run, path)

    def test_an_absolute_path_is_none(self, tmp_path: Path) -> None:
        saved(tmp_path, "secret.png")
        (tmp_path / "run").mkdir()
        with pytest.raises(Problem, match="no path in a run folder"):
            Pictures().picture(tmp_path / "run", str(tmp_path / "secret.png"))

    def test_a_file_that_is_too_large_is_not_read(self, tmp_path: Path) -> None:
        saved(tmp_path)
        os.truncate(tmp_path / "a.png", pictures_module.MAX_BYTES + 1)
        for give in (Pictures().picture, Pictures().thumbnail):
            with pytest.raises(Problem, match="more than the 64 that are read"):
                give(tmp_path, "a.png")

    def test_its_tag_is_another_when_the_file_is(self, tmp_path: Path) -> None:
        saved(tmp_path)
        first = Pictures().picture(tmp_path, "a.png").etag
        assert Pictures().picture(tmp_path, "a.png").etag == first
        saved(tmp_path, size=(65, 36))
        assert Pictures().picture(tmp_path, "a.png").etag != first


class TestThumbnail:
    @pytest.mark.parametrize(
        ("size", "expected"),
        [((1920, 1080), (320, 180)), ((1080, 2400), (144, 320)), ((64, 36), (64, 36)), ((2000, 1), (320, 1))],
    )
    def test_it_is_a_small_jpeg_of_the_same_shape(
        self, tmp_path: Path, size: tuple[int, int], expected: tuple[int, int]
    ) -> None:
        saved(tmp_path, size=size)
        found = Pictures().thumbnail(tmp_path, "a.png")
        assert found.kind == "image/jpeg"
        assert (opened(found.data).format, opened(found.data).size) == ("JPEG", expected)
        assert max(expected) <= SIDE

    @pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "1", "I;16", "CMYK"])
    def test_it_is_made_of_any_kind_of_colours(self, tmp_path: Path, mode: str) -> None:
        Image.new(mode, (640, 360)).save(tmp_path / "a.png", "TIFF" if mode == "CMYK" else "PNG")
        if mode == "CMYK":
            Image.new(mode, (640, 360)).save(tmp_path / "a.png", "JPEG")
        assert opened(Pictures().thumbnail(tmp_path, "a.png").data).size == (320, 180)

    def test_it_is_made_once_for_as_long_as_the_file_stays_the_same(self, tmp_path: Path) -> None:
        saved(tmp_path)
        pictures = Pictures()
        first = pictures.thumbnail(tmp_path, "a.png")
        assert pictures.thumbnail(tmp_path, "a.png") is first
        saved(tmp_path, size=(65, 36))
        assert opened(pictures.thumbnail(tmp_path, "a.png").data).size == (65, 36)

    def test_equal_names_in_two_runs_are_two_pictures(self, tmp_path: Path) -> None:
        pictures = Pictures()
        for name, size in (("a", (64, 36)), ("b", (36, 64))):
            (tmp_path / name).mkdir()
            saved(tmp_path / name, size=size)
        sizes = [opened(pictures.thumbnail(tmp_path / name, "a.png").data).size for name in ("a", "b")]
        assert sizes == [(64, 36), (36, 64)]

    @pytest.mark.parametrize("keep", [20, 60, 200])
    def test_a_cut_off_picture_cannot_be_decoded_and_that_is_said(self, tmp_path: Path, keep: int) -> None:
        data = saved(tmp_path, size=(640, 360))
        (tmp_path / "a.png").write_bytes(data[:keep])
        with pytest.raises(Problem, match=r"a\.png can't be decoded"):
            Pictures().thumbnail(tmp_path, "a.png")

    def test_a_picture_that_claims_to_be_huge_is_not_decoded(self, tmp_path: Path) -> None:
        data = bytearray(saved(tmp_path))
        data[16:24] = (20_000).to_bytes(4, "big") * 2  # the width and height in a PNG's head, which has a checksum
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
        (tmp_path / "a.png").write_bytes(data)
        with pytest.raises(Problem, match=r"a\.png can't be decoded: DecompressionBombError"):
            Pictures().thumbnail(tmp_path, "a.png")

    def test_one_just_too_large_is_not_decoded_either(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pictures_module, "MAX_PIXELS", 64 * 36 - 1)
        saved(tmp_path)
        with pytest.raises(Problem, match="has too many pixels"):
            Pictures().thumbnail(tmp_path, "a.png")

    def test_only_so_many_are_remembered(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pictures = Pictures()
        for number in range(3):
            saved(tmp_path, f"{number}.png")
        size = len(pictures.thumbnail(tmp_path, "0.png").data)
        monkeypatch.setattr(pictures_module, "MAX_CACHED", 2.5 * size)
        made = [pictures.thumbnail(tmp_path, f"{number}.png") for number in range(3)]
        assert pictures.thumbnail(tmp_path, "2.png") is made[2]
        assert pictures.thumbnail(tmp_path, "0.png") is not made[0]

    def test_one_that_several_threads_make_counts_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("a.png", "b.png"):
            saved(tmp_path, name, size=(2000, 1500))
        size = len(Pictures().thumbnail(tmp_path, "a.png").data)
        monkeypatch.setattr(pictures_module, "MAX_CACHED", 2.5 * size)
        pictures, together, failed = Pictures(), threading.Barrier(8), list[BaseException]()

        def make() -> None:
            together.wait()
            try:
                pictures.thumbnail(tmp_path, "a.png")
            except BaseException as error:
                failed.append(error)
                raise

        threads = [threading.Thread(target=make) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        first, second = pictures.thumbnail(tmp_path, "a.png"), pictures.thumbnail(tmp_path, "b.png")
        assert failed == []
        assert pictures.thumbnail(tmp_path, "a.png") is first
        assert pictures.thumbnail(tmp_path, "b.png") is second
