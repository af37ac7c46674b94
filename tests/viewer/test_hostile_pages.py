"""Run folders that hold whatever somebody put there: the pages show it as text, and say what they couldn't read."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from .conftest import Open
from .shown_runs import PLANTED

pytestmark = pytest.mark.newest_only


def no_markup_of_theirs(page: Page) -> bool:
    """Whether nothing of the planted text has become an element."""
    found: bool = page.evaluate(
        """() => !document.querySelector("img[src='x'], svg[onload], [onerror], a[href^='javascript:']")"""
    )
    return found


def test_the_list_shows_planted_scripts_as_text(hostile_site: str, opened: Open) -> None:
    page = opened(hostile_site)
    expect(page.locator("#rows")).to_contain_text('<script>alert("planted")</script>')
    expect(page.locator("#rows tr")).to_have_count(2)
    assert no_markup_of_theirs(page)


def test_the_dashboard_shows_planted_scripts_as_text_and_no_such_link(hostile_site: str, opened: Open) -> None:
    page = opened(f"{hostile_site}dashboard.html?run=hostile")
    expect(page.locator("h1")).to_contain_text("</script>")
    expect(page.locator("#config")).to_contain_text("<script>")
    expect(page.locator("body")).to_contain_text(re.compile("NaN"))
    expect(page.locator(".scatterlayer path").first).to_be_attached()
    assert no_markup_of_theirs(page)


@pytest.mark.slow
def test_the_viewer_shows_planted_scripts_as_text_and_an_endless_answer_cut(hostile_site: str, opened: Open) -> None:
    page = opened(f"{hostile_site}viewer.html?run=hostile&sample=0")
    expect(page.locator("svg.screen").first).to_be_visible()
    expect(page.locator("body")).to_contain_text('<script>alert("planted")</script>')
    expect(page.locator("#list [role=option]").first).to_contain_text("onerror")
    assert no_markup_of_theirs(page)
    page = opened(f"{hostile_site}viewer.html?run=hostile&sample=1")
    expect(page.locator("body")).to_contain_text("48 MB, more than the 8 that are read")
    assert no_markup_of_theirs(page)


@pytest.mark.parametrize("page", ["viewer.html", "dashboard.html"])
def test_broken_files_are_named_and_the_rest_is_shown(hostile_site: str, opened: Open, page: str) -> None:
    shown = opened(f"{hostile_site}{page}?run=broken", allowed="404")
    expect(shown.locator("body")).to_contain_text("run.json")
    if page == "viewer.html":
        expect(shown.locator("svg.screen").first).to_be_visible()
    else:
        expect(shown.locator("#evaluation-rows tr")).to_have_count(3)


def test_a_missing_answers_file_is_told(hostile_site: str, opened: Open) -> None:
    page = opened(f"{hostile_site}viewer.html?run=broken&eval=eval@10", allowed="404")
    expect(page.locator("svg.screen").first).to_be_visible()
    expect(page.locator("#list [role=option]").first).to_be_visible()


@pytest.mark.parametrize("run", ["../hostile", "/etc", "nobody", f"{PLANTED} ", "a/b"])
@pytest.mark.parametrize("page", ["viewer.html", "dashboard.html"])
def test_a_run_that_is_none_is_told_as_text(hostile_site: str, opened: Open, page: str, run: str) -> None:
    shown = opened(f"{hostile_site}{page}?run={quote(run, safe='')}", allowed="404")
    expect(shown.locator("body")).to_contain_text("There is no run")
    assert no_markup_of_theirs(shown)


def test_a_set_of_a_hostile_name_is_a_choice_like_any_other(hostile_site: str, opened: Open) -> None:
    page = opened(f"{hostile_site}viewer.html?run=hostile")
    expect(page.locator("svg.screen").first).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("svg.screen").first).to_be_visible()
    assert no_markup_of_theirs(page)
