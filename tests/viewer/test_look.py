"""Each page in its states, at two widths, in light and dark: nothing overflows, and a picture of it is kept.

`OAML_SCREENSHOTS=folder` says where the pictures go.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from .conftest import Open
from .serving import serving

pytestmark = pytest.mark.newest_only

STATES = {
    "list": ("site", "index.html", "#rows tr"),
    "list-hostile": ("hostile_site", "index.html", "#rows tr"),
    "dashboard-ended": ("site", "dashboard.html?run=ended", "#accuracy-chart .scatterlayer path"),
    "dashboard-training": ("site", "dashboard.html?run=training", "#accuracy-chart .scatterlayer path"),
    "dashboard-died": ("site", "dashboard.html?run=died", "#died"),
    "dashboard-failed": ("site", "dashboard.html?run=failed", "#accuracy-chart .scatterlayer path"),
    "dashboard-young": ("site", "dashboard.html?run=young", "#run"),
    "dashboard-theirs": ("site", "dashboard.html?run=theirs", "#accuracy-chart .scatterlayer path"),
    "dashboard-hostile": ("hostile_site", "dashboard.html?run=hostile", "#accuracy-chart .scatterlayer path"),
    "dashboard-broken": ("hostile_site", "dashboard.html?run=broken", "#run"),
    "dashboard-none": ("site", "dashboard.html?run=nobody", "#missing"),
    "viewer-wrong": ("site", "viewer.html?run=ended&eval=eval@10&sample=3", "svg.screen .target"),
    "viewer-trail": ("site", "viewer.html?run=ended&sample=4&trail=1", "svg.screen .target"),
    "viewer-unreadable": ("site", "viewer.html?run=ended&sample=11", "svg.screen .target"),
    "viewer-compare": ("site", "viewer.html?run=ended&with=other&sample=1", "svg.screen .target"),
    "viewer-misses": ("site", "viewer.html?run=ended&eval=eval@base&misses=1", ".js-plotly-plot .point"),
    "viewer-young": ("site", "viewer.html?run=young", ".message"),
    "viewer-theirs": ("site", "viewer.html?run=theirs", "svg.screen"),
    "viewer-hostile": ("hostile_site", "viewer.html?run=hostile&sample=0", "svg.screen .target"),
    "viewer-broken": ("hostile_site", "viewer.html?run=broken", "svg.screen"),
}

ALSO_NARROW = [
    "list-hostile",
    "dashboard-training",
    "dashboard-died",
    "dashboard-hostile",
    "viewer-wrong",
    "viewer-compare",
    "viewer-misses",
    "viewer-hostile",
    "viewer-broken",
]
"""States that tell something of their own on a narrow page, in the dark."""
SHOWN = [*((state, 1280, "light") for state in STATES), *((state, 390, "dark") for state in ALSO_NARROW)]


def keep(page: Page, name: str, folder: Path) -> None:
    """Photograph the whole page; it must not have to be moved sideways."""
    page.wait_for_timeout(300)
    place = Path(os.environ.get("OAML_SCREENSHOTS", folder))
    place.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=place / f"{name}.png", full_page=True)
    assert page.evaluate("() => document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.slow
@pytest.mark.parametrize(("state", "width", "scheme"), SHOWN)
def test_a_page_fits_in_every_state(
    request: pytest.FixtureRequest, tmp_path: Path, opened: Open, state: str, width: int, scheme: str
) -> None:
    site, address, ready = STATES[state]
    page = opened(f"{request.getfixturevalue(site)}{address}", width=width, height=800, scheme=scheme, allowed="404")
    expect(page.locator(ready).first).to_be_attached()
    keep(page, f"{state}-{width}-{scheme}", tmp_path)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_an_empty_folder_fits(tmp_path: Path, opened: Open, width: int, scheme: str) -> None:
    (tmp_path / "runs").mkdir()
    with serving(tmp_path / "runs") as address:
        page = opened(address, width=width, scheme=scheme)
        expect(page.locator("#empty")).to_be_visible()
        keep(page, f"list-empty-{width}-{scheme}", tmp_path)


@pytest.mark.parametrize("address", ["viewer.html?run=ended&sample=3", "dashboard.html?run=ended", "index.html"])
def test_a_page_prints(site: str, opened: Open, tmp_path: Path, address: str) -> None:
    page = opened(f"{site}{address}")
    page.wait_for_load_state("networkidle") if "viewer" in address else page.wait_for_timeout(1000)
    place = Path(os.environ.get("OAML_SCREENSHOTS", tmp_path))
    place.mkdir(parents=True, exist_ok=True)
    printed = page.pdf(path=place / f"{address.partition('.')[0]}.pdf", format="A4", print_background=True)
    assert printed.startswith(b"%PDF")
    page.emulate_media(media="print")
    assert page.locator(".no-print:visible").count() == 0
