"""The page of a comparison: what is in it, how much, and how it looks in a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from oaml_callbacks.compared import page_flips
from oaml_callbacks.compared.comparison import compare_runs
from oaml_callbacks.compared.page import page, write_page
from oaml_callbacks.compared.page_flips import Pictures
from oaml_callbacks.compared.runs import read_runs
from oaml_callbacks.run_folder import layout

from .examples import evaluated, write, write_pair

pytestmark = pytest.mark.newest_only


def made(folder: Path, pictures: Pictures | None = None) -> str:
    return page(compare_runs(read_runs(["aaaa", "bbbb"], runs_dir=folder)), pictures)


def test_it_has_the_verdict_both_answers_and_the_pictures(tmp_path: Path) -> None:
    write_pair(tmp_path)
    pictures = Pictures()
    text = made(tmp_path, pictures)
    assert "B is better than A: of 32 samples B alone has 10 right" in text
    assert "B alone is right: 10" in text
    assert "CLICK(x=0.46, y=0.38)" in text
    assert "I see no such button." in text
    assert text.count('src="data:image/jpeg;base64,') == pictures.count == 12
    assert "http" not in text.replace("http-equiv", "")


def test_pictures_are_bounded_in_number_and_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pair(tmp_path)
    monkeypatch.setattr(page_flips, "MAX_PICTURES", 3)
    pictures = Pictures()
    text = made(tmp_path, pictures)
    assert pictures.count == text.count("<img") == 3
    assert text.count("<li>") == 12  # every flip is there
    gained = text.split("A alone is right")[0]
    assert gained.count("<img") == 2  # both kinds have some
    monkeypatch.setattr(page_flips, "MAX_PICTURES", 80)
    monkeypatch.setattr(page_flips, "MAX_BYTES", 2000)
    few = Pictures()
    made(tmp_path, few)
    assert 0 < few.count < 12
    assert few.bytes <= 2000


def test_several_comparisons_share_what_room_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pair(tmp_path)
    write(tmp_path, "cccc3333", evaluated(32, wrong=range(12, 24)), name="third")
    found = compare_runs(read_runs(["aaaa", "bbbb", "cccc"], runs_dir=tmp_path))
    monkeypatch.setattr(page_flips, "MAX_PICTURES", 6)
    monkeypatch.setattr(page_flips, "MAX_FLIPS", 20)
    sections = page(found).split("where they differ")[1:]
    assert [text.count("<img") for text in sections] == [3, 3]
    assert [text.count("<li>") for text in sections] == [5 + 2, 5 + 5]
    assert "and 7 more; --json has all" in sections[1]


def test_a_picture_that_cannot_be_shown_leaves_its_answers(tmp_path: Path) -> None:
    write_pair(tmp_path)
    for run in ("aaaa1111", "bbbb2222"):
        for picture in (tmp_path / run / layout.SCREENSHOTS).iterdir():
            picture.unlink()
            picture.write_bytes(b"no picture")
    text = made(tmp_path)
    assert "<img" not in text
    assert text.count("<li>") == 12


def test_it_opens_by_itself_on_wide_and_narrow_screens(tmp_path: Path, browser: Browser) -> None:
    write_pair(tmp_path)
    out = tmp_path / "out.html"
    assert write_page(compare_runs(read_runs(["aaaa", "bbbb"], runs_dir=tmp_path)), out) == "0.0 MB, 12 pictures"
    asked: list[str] = []
    errors: list[str] = []
    for width in (1200, 390):
        shown = browser.new_page(viewport={"width": width, "height": 900})
        shown.on("console", lambda message: errors.append(message.text))
        shown.on("request", lambda request: asked.append(request.url))
        shown.goto(out.as_uri())
        assert not errors
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        drawn = shown.evaluate("[...document.images].every(image => image.complete || image.loading === 'lazy')")
        assert drawn
        mark = shown.locator(".shot .click.hit").first.bounding_box()
        target = shown.locator(".shot .target").first.bounding_box()
        assert mark is not None
        assert target is not None
        centre = mark["x"] + mark["width"] / 2, mark["y"] + mark["height"] / 2
        assert target["x"] <= centre[0] <= target["x"] + target["width"]
        assert target["y"] <= centre[1] <= target["y"] + target["height"]
        shown.close()
    assert all(url.startswith(("file:", "data:")) for url in asked)
