"""Photograph README's two pages: `python docs/make_screenshots.py [RUNS]`, after `make demo`.

The newest run below RUNS (`training_output`) is served, and headless Chromium opens its viewer and its dashboard.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize

sys.path.insert(0, str(Path(__file__).parents[1]))

from oaml_callbacks.viewer.runs import Runs
from tests.browser import chromium, executable
from tests.viewer.serving import serving

SIZE: ViewportSize = {"width": 1280, "height": 800}


def photograph(page: Page, path: Path) -> None:
    """Keep what is seen, in few colours: a third of the bytes."""
    page.wait_for_timeout(500)
    with Image.open(io.BytesIO(page.screenshot())) as image:
        image.convert("RGB").quantize(colors=200, dither=Image.Dither.NONE).save(path, optimize=True)


def wandering(runs: Runs, key: str) -> int:
    """The sample whose click has come the longest way home: wrong at first, right at the end."""
    run = runs.run(key)
    evaluations = [one["key"] for one in run.run()["evaluations"]]
    first, last = run.verdicts(evaluations[0]), run.verdicts(evaluations[-1])
    far = [(distance or 0) if last["outcome"][index] == "c" else 0 for index, distance in enumerate(first["distance"])]
    return far.index(max(far))


def main() -> None:
    """Write `docs/viewer.png` and `docs/dashboard.png`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="?", default=Path("training_output"))
    folder = parser.parse_args().runs
    path, runs = executable(), Runs(folder)
    if path is None:
        sys.exit("no Chromium: `playwright install chromium`, or your system's package `chromium`")
    key = runs.run("current").key
    with serving(folder) as address, chromium(path) as browser:
        shoot(browser, address, key, wandering(runs, key))


def shoot(browser: Browser, address: str, key: str, sample: int) -> None:
    """Open both pages, and photograph them."""
    docs = Path(__file__).parent
    page = browser.new_page(viewport=SIZE, color_scheme="light")
    page.goto(f"{address}viewer.html?run={key}&sample={sample}&trail=1")
    page.wait_for_selector("svg.screen .target")
    page.wait_for_load_state("networkidle")
    photograph(page, docs / "viewer.png")
    page.goto(f"{address}dashboard.html?run={key}")
    page.wait_for_selector("#rate-chart .scatterlayer path", state="attached")
    photograph(page, docs / "dashboard.png")


if __name__ == "__main__":
    main()
