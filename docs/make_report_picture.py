"""Photograph the report of `docs/reports.md`: `python docs/make_report_picture.py RUNS…`.

RUNS are what `oaml report` takes. Those of the picture are three trainings of the demo:

    for rank in 2 8 16; do
        WANDB_MODE=offline oaml train configs/demo.yaml --wandb lora.r=$rank lora.lora_alpha=$((2 * rank)) \
            wandb.run_name="LoRA rank $rank" training.output_dir=training_output/rank-$rank
    done
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import ViewportSize

sys.path.insert(0, str(Path(__file__).parents[1]))

from oaml_callbacks.compared.runs import read_runs
from oaml_callbacks.reports.content import content
from oaml_callbacks.reports.html_report import html_report
from tests.browser import chromium, executable

SIZE: ViewportSize = {"width": 1120, "height": 1640}


def main() -> None:
    """Write `docs/report.png`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--title", default="Which LoRA rank clicks best?")
    parser.add_argument("--runs-dir", type=Path)
    given = parser.parse_args()
    path = executable()
    if path is None:
        sys.exit("no Chromium: `playwright install chromium`, or your system's package `chromium`")
    found = content(read_runs(given.runs, runs_dir=given.runs_dir), title=given.title, now=time.time())
    with tempfile.TemporaryDirectory() as folder, chromium(path) as browser:
        report = Path(folder) / "report.html"
        report.write_text(html_report(found), encoding="utf-8")
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.goto(report.as_uri())
        page.wait_for_timeout(300)
        with Image.open(io.BytesIO(page.screenshot())) as image:  # in few colours: a third of the bytes
            few = image.convert("RGB").quantize(colors=200, dither=Image.Dither.NONE)
            few.save(Path(__file__).parent / "report.png", optimize=True)


if __name__ == "__main__":
    main()
