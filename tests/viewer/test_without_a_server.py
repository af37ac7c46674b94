"""The viewer without a server: a static copy from a disk and from any host, and the page that W&B shows."""

from __future__ import annotations

import functools
import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from oaml_callbacks.embedded_page import MAX_BYTES, embedded_page
from oaml_callbacks.viewer.export import export_runs

from ..browser import Watched
from ..graded import INSIDE, OUTSIDE, graded, picture, report
from ..run_folders import write_run
from .conftest import Open
from .shown_runs import PLANTED, SAMPLES, evaluations

pytestmark = pytest.mark.newest_only


@pytest.fixture(scope="module")
def copy(states: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "a copy"
    export_runs(states, out, progress=False)
    return out


@contextmanager
def any_host(folder: Path) -> Iterator[str]:
    """A web host that knows nothing of the viewer, with the copy in a folder of its own."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder.parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/a%20copy/"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(params=["disk", "host"])
def address(request: pytest.FixtureRequest, copy: Path) -> Iterator[str]:
    if request.param == "disk":
        yield f"{copy.as_uri()}/"
        return
    with any_host(copy) as found:
        yield found


def test_a_copys_list_leads_to_its_dashboards_and_viewers(address: str, opened: Open) -> None:
    page = opened(f"{address}index.html")
    expect(page.locator("#rows tr")).to_have_count(7)
    page.get_by_role("link", name="ended run").first.click()
    expect(page.locator("#accuracy-chart .scatterlayer path").first).to_be_attached()
    page.locator("#to-viewer").click()
    expect(page.locator("svg.screen").first).to_be_visible()
    assert page.url.startswith(address)


def test_a_copys_viewer_shows_the_picture_and_steps(address: str, opened: Open) -> None:
    page = opened(f"{address}viewer.html?run=ended&sample=2")
    expect(page.locator("#list [role=option]")).to_have_count(SAMPLES)
    href = page.locator("svg.screen image").get_attribute("href")
    size = page.evaluate(
        "(href) => new Promise((done) => { const one = new Image(); one.onload = () => done(one.naturalWidth);"
        " one.onerror = () => done(0); one.src = href; })",
        href,
    )
    assert size == 640
    page.keyboard.press("ArrowLeft")
    expect(page).to_have_url(re.compile(r"eval=eval@30"))
    page.keyboard.press("j")
    expect(page).to_have_url(re.compile(r"sample=3"))
    page.keyboard.press("h")
    expect(page.locator(".js-plotly-plot")).to_be_visible()


def test_what_a_copy_lacks_is_told(address: str, opened: Open) -> None:
    page = opened(f"{address}viewer.html?run=nobody", allowed="nobody.js")
    expect(page.locator("body")).to_contain_text("This copy has no run")


def test_names_that_are_too_long_for_files_are_found_all_the_same(tmp_path: Path, opened: Open) -> None:
    split = "eval_" + "é" * 120
    write_run(tmp_path / "runs", "r" * 90, reports=evaluations()[:2], split=split, name="the long one")
    (tmp_path / "runs" / ("r" * 90)).rename(tmp_path / "runs" / ("ü" * 100))
    written = export_runs(tmp_path / "runs", tmp_path / "site", progress=False)
    assert (written.runs, written.left_out) == (1, [])
    page = opened(f"{(tmp_path / 'site').as_uri()}/index.html")
    page.get_by_role("link", name="the long one").first.click()
    page.locator("#to-viewer").click()
    expect(page.locator("svg.screen").first).to_be_visible()
    expect(page.locator("body")).to_contain_text("Click 0.")


def page_of_the_last_evaluation(**options: int) -> str:
    last, before = evaluations()[-1], evaluations()[-2]
    return embedded_page(
        last, before.correct, split="eval", step=40, run_id="abc", run_name="a run", seed=0, **options
    )


def test_the_page_for_w_and_b_shows_its_clicks_in_a_frame_that_may_do_nothing(browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 1000, "height": 700})
    watched = Watched(page)
    # As W&B shows what was logged as HTML.
    page.set_content('<iframe sandbox="allow-scripts" style="width: 990px; height: 690px"></iframe>')
    page.evaluate("(text) => { document.querySelector('iframe').srcdoc = text; }", page_of_the_last_evaluation())
    frame = page.frame_locator("iframe")
    expect(frame.locator("svg.screen image")).to_have_attribute("href", re.compile("^data:image/jpeg"))
    expect(frame.locator("#list [role=option]")).to_have_count(SAMPLES)
    frame.locator("#list [role=option]").first.click()
    page.keyboard.press("j")
    expect(frame.locator("#live")).to_contain_text(f"Sample 2 of {SAMPLES}")
    frame.get_by_role("button", name=re.compile("^Wrong")).click()
    wrong = sum(not row.correct for row in evaluations()[-1].rows)
    expect(frame.locator("#list [role=option]")).to_have_count(wrong)
    page.close()
    assert watched.troubles == []


def test_the_page_is_bounded_and_holds_as_many_samples_as_fit() -> None:
    whole = page_of_the_last_evaluation()
    assert len(whole.encode()) <= MAX_BYTES
    assert whole.count("data:image/jpeg") == SAMPLES
    limit = len(whole.encode()) - 10_000
    some = page_of_the_last_evaluation(max_bytes=limit)
    assert len(some.encode()) <= limit
    kept = some.count("data:image/jpeg")
    assert 0 < kept < SAMPLES
    assert f"{kept} of the evaluation's {SAMPLES} samples" in some
    assert "of the evaluation's" not in whole


def test_planted_text_stays_text_in_the_page(browser: Browser) -> None:
    rows = [graded(0, INSIDE, answer=PLANTED, image=picture(0)), graded(1, OUTSIDE, image=picture(1))]
    text = embedded_page(
        report(rows), None, split=f"eval_{PLANTED[:20]}", step=1, run_id=PLANTED, run_name=PLANTED, seed=0
    )
    page = browser.new_page()
    watched = Watched(page)
    page.set_content(text)
    expect(page.locator("svg.screen").first).to_be_visible()
    expect(page.locator("body")).to_contain_text('<script>alert("planted")</script>')
    page.close()
    assert watched.troubles == []
