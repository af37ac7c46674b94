"""openadapt-ml's own generators, on a folder of ours, in a real browser."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Browser

from ..browser import Watched
from ..graded import INSIDE, graded, report
from ..run_folders import learning, write_run

GENERATE = """
import sys, warnings
warnings.simplefilter("ignore")
from openadapt_ml.training.trainer import regenerate_all_dashboards
print([path.name for path in regenerate_all_dashboards(sys.argv[1])])
"""
# Their pages load it from a CDN; here it only has to be there.
CHARTS = (
    "window.Chart = class { constructor(canvas, config) { this.data = config.data; this.options = {}; } update() {} };"
)


def generate(folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", GENERATE, str(folder)], capture_output=True, text=True, check=True)
    assert "Warning" not in done.stdout, done.stdout
    return done.stdout


def test_both_pages_are_made_and_no_gallery_is_empty(tmp_path: Path, browser: Browser) -> None:
    hostile = graded(0, INSIDE, answer="</script><img src=x onerror=alert(1)><script>alert(2)</script>")
    folder = write_run(tmp_path, reports=[*learning(6, 4), report([hostile, graded(1, None)])])
    assert "['dashboard.html', 'viewer.html']" in generate(folder)
    page = browser.new_page()
    page.route("**/*chart*.js", lambda route: route.fulfill(body=CHARTS, content_type="text/javascript"))
    watched = Watched(page)

    page.goto((folder / "dashboard.html").as_uri())
    page.wait_for_selector(".eval-sample", state="attached")

    page.goto((folder / "viewer.html").as_uri())
    page.wait_for_selector(".gallery-card", state="attached")
    assert page.evaluate("[...document.querySelectorAll('img')].some((one) => one.naturalWidth > 0)")
    epochs = page.locator("select option").all_text_contents()
    assert [name for name in epochs if name == "Epoch 0"]
    # On a disk some of what they fetch isn't there, which they only note.
    assert [one for one in watched.troubles if one.startswith("a script")] == []
