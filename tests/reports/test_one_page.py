"""The skeleton of pages that hold all they need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from oaml_callbacks.reports.one_page import esc, link, one_page

from ..browser import Watched

ATTACK = """<img src="http://127.0.0.1:9/x" onerror="document.title='taken'"><script>document.title='taken'</script>"""


def test_text_of_others_stays_text() -> None:
    assert esc('<a href="x">&\x1b[31m\u202e') == "&lt;a href=&quot;x&quot;&gt;&amp;\\x1b[31m\\u202e"


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "//host/x", "https://me:pw@host/", "", None]
)
def test_what_is_no_address_to_click_on_is_no_link(url: str | None) -> None:
    assert link(url, "<here>") == "&lt;here&gt;"


def test_an_address_becomes_a_link_that_opens_beside_the_page() -> None:
    assert link('https://a.b/?x=1&y="', "here") == (
        '<a href="https://a.b/?x=1&amp;y=&quot;" target="_blank" rel="noopener noreferrer">here</a>'
    )


@pytest.mark.parametrize("given", [{"style": "p{} </STYLE>"}, {"scripts": ["a </script>"]}])
def test_what_would_end_its_own_element_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="ends the element"):
        one_page("T", "", **given)


@pytest.mark.newest_only
def test_a_given_script_runs_and_nothing_else_does(browser: Browser, tmp_path: Path) -> None:
    page = browser.new_page()
    place = tmp_path / "page.html"
    # The attack is put in as an element on purpose: the page's policy is what holds it.
    place.write_text(one_page("plain", f"<h1>x</h1>{ATTACK}", scripts=["document.body.dataset.ran = 'yes'"]))
    page.goto(place.as_uri())
    page.wait_for_selector("body[data-ran=yes]")
    assert page.title() == "plain"
    page.close()


@pytest.mark.newest_only
def test_its_colours_are_light_or_dark_as_the_reader_has_it_and_light_on_paper(
    browser: Browser, tmp_path: Path
) -> None:
    place = tmp_path / "page.html"
    place.write_text(one_page("T", "<p>words</p>"))
    page = browser.new_page(color_scheme="dark")
    watched = Watched(page)
    page.goto(place.as_uri())
    colour = "getComputedStyle(document.documentElement).color"
    assert page.evaluate(colour) == "rgb(232, 236, 241)"
    page.emulate_media(media="print")
    assert page.evaluate(colour) == "rgb(23, 27, 33)"
    page.emulate_media(media="screen", color_scheme="light")
    assert page.evaluate(colour) == "rgb(23, 27, 33)"
    assert watched.troubles == []
    page.close()
