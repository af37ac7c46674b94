"""Where the misses fall: the viewer's picture by the charts' library, also by the oldest that is allowed."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from .conftest import Open
from .shown_runs import SAMPLES


def test_the_misses_have_a_picture(site: str, opened: Open) -> None:
    page = opened(f"{site}viewer.html?run=ended&eval=eval@base")
    expect(page.locator("#list [role=option]")).to_have_count(SAMPLES)
    page.keyboard.press("h")
    page.wait_for_selector(".js-plotly-plot .scatterlayer .point")
    expect(page.locator("body")).to_contain_text(re.compile(r"\d+ (of|misses)"))
