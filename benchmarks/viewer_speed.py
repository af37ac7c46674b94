"""How fast the viewer opens what is large, in headless Chromium, and what it takes.

    python benchmarks/viewer_speed.py [--runs 1000] [--samples 10000] [--evaluations 50] [--keep FOLDER]

Prints a Markdown table. The first useful picture is, of the list, its rows with all figures; of a run's viewer, the
screenshot, decoded, with target and click drawn; of its dashboard, the drawn curve of the accuracy. Each is the median
of several openings in new browser contexts, so with empty caches; the first of all, of which the server knows nothing
yet, is told beside it. Memory is the page's own process's (USS), after it was scrolled from end to end.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Page
from rich.progress import track
from transformers import TrainerState

sys.path.insert(0, str(Path(__file__).parents[1]))

from many_runs import drawn_samples, learnt, write_run

from oaml_callbacks.run_folder.writer import RunFolder
from tests.browser import chromium, executable

LARGE = "large"
OPENINGS = 5

# An SVG's picture doesn't tell whether it is there; the same picture asked for again does.
PICTURE = """() => {
  const image = document.querySelector("svg.screen image");
  if (!image || !document.querySelector("svg.screen .target")) return false;
  const probe = new Image();
  probe.src = image.getAttribute("href");
  return probe.complete && probe.naturalWidth > 0;
}"""


@dataclass(frozen=True)
class Opened:
    """Openings of a page: the first in seconds, the median of the others, and its process's memory in MB."""

    first: float
    median: float
    megabytes: float
    late_frames: float
    """Share of the frames while it is scrolled that took longer than 50 ms."""


@contextmanager
def viewing(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """`oaml view`, as a user starts it; gives its address and process."""
    command = [sys.executable, "-c", "from oaml_callbacks.cli import main; main()", "view", str(folder), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split(": ", 1)[1].split()[0], psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=10)


def open_often(browser: Browser, url: str, ready: str, scrolled: str) -> Opened:
    """Open a page several times, and scroll it the last time.

    Args:
        browser: The browser.
        url: The page.
        ready: JavaScript that is true when the first useful picture is there.
        scrolled: A selector of what is scrolled.
    """
    times, megabytes, late = [], 0.0, 0.0
    for opening in range(OPENINGS + 1):
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        begun = time.perf_counter()
        page.goto(url, wait_until="commit")
        page.wait_for_function(ready, polling="raf", timeout=60_000)
        times.append(time.perf_counter() - begun)
        if opening == OPENINGS:
            late = late_frames(page, scrolled)
            megabytes = page_memory(page)
        context.close()
    return Opened(times[0], statistics.median(times[1:]), megabytes, late)


def late_frames(page: Page, scrolled: str) -> float:
    """Scroll from end to end in two hundred frames."""
    found: float = page.evaluate(
        """async (selector) => {
          const box = document.querySelector(selector);
          const end = box.scrollHeight - box.clientHeight;
          const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
          const times = [];
          let last = await frame();
          for (let at = 0; at <= 200; at++) {
            box.scrollTop = end * at / 200;
            const now = await frame();
            times.push(now - last);
            last = now;
          }
          return times.filter((one) => one > 50).length / times.length;
        }""",
        scrolled,
    )
    return found


def page_memory(page: Page) -> float:
    """Megabytes of the largest process that draws pages, which is this one's."""
    page.wait_for_timeout(500)
    renderers = []
    for process in psutil.process_iter(["cmdline"]):
        if "--type=renderer" in " ".join(process.info["cmdline"] or []):
            renderers.append(process.memory_full_info().uss / 2**20)
    return float(max(renderers))


def idle_share(process: psutil.Process) -> float:
    """The share of a core that a process takes while nobody asks, in per cent."""
    before, begun = sum(process.cpu_times()[:2]), time.perf_counter()
    time.sleep(10)
    return float(100 * (sum(process.cpu_times()[:2]) - before) / (time.perf_counter() - begun))


def seconds_until_seen(browser: Browser, folder: Path) -> float:
    """How long after a training has logged an evaluation the open dashboard shows it; the median of five."""
    state = TrainerState(max_steps=100, num_train_epochs=1)
    times = []
    with tempfile.TemporaryDirectory(dir=folder) as name:
        run = RunFolder(Path(name), "live", {}, state, resumes=False)
        run.begin(state)
        run.log({"train/loss": 1.0, "train/global_step": 1})
        samples = drawn_samples(Path(name) / "screens", 128)
        with viewing(Path(name)) as (address, _):
            page = browser.new_page()
            page.goto(f"{address}dashboard.html?run=live")
            page.wait_for_selector("#loss-chart .scatterlayer path", state="attached")
            for step in range(1, 6):
                state.global_step = step
                report = learnt(samples, step / 10, random.Random(step))
                run.evaluation(report, report.metrics, split="eval", state=state)
                begun = time.perf_counter()
                page.get_by_text(f"Latest, step {step}").wait_for()
                times.append(time.perf_counter() - begun)
                page.wait_for_timeout(370 * step)  # at another point of its second
            page.close()
        run.close("finished")
    return statistics.median(times)


def write_all(folder: Path, runs: int, samples: int, evaluations: int) -> None:
    """The large run, and the small ones."""
    drawn = drawn_samples(folder / "screens", samples)
    write_run(folder / "runs", LARGE, drawn, evaluations=evaluations, losses=5000)
    for number in track(range(runs - 1), description="Runs"):
        write_run(folder / "runs", f"r{number:04}", drawn[:8], evaluations=5, losses=20)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--evaluations", type=int, default=50)
    parser.add_argument("--keep", type=Path, help="write the runs there, or use those that are there")
    options = parser.parse_args()
    path = executable()
    if path is None:
        sys.exit("no Chromium: `playwright install chromium`, or your system's package `chromium`")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        if not (folder / "runs").is_dir():
            write_all(folder, options.runs, options.samples, options.evaluations)
        with viewing(folder / "runs") as (address, server), chromium(path) as browser:
            print_table(options, address, server, browser)
            print(f"An evaluation is on the open dashboard {seconds_until_seen(browser, folder):.1f} s after it.")


def print_table(options: argparse.Namespace, address: str, server: psutil.Process, browser: Browser) -> None:
    """Measure, and print."""
    pages = {
        f"the list of {options.runs:,} runs": open_often(
            browser,
            address,
            f"() => document.querySelectorAll('tbody tr').length >= {options.runs}",
            "html",
        ),
        f"a run of {options.samples:,} samples and {options.evaluations} evaluations, clicks": open_often(
            browser, f"{address}viewer.html?run={LARGE}", PICTURE, "[role=listbox]"
        ),
        "the same run's dashboard": open_often(
            browser,
            f"{address}dashboard.html?run={LARGE}",
            "() => document.querySelector('.js-plotly-plot .scatterlayer .point, .js-plotly-plot .scatterlayer path')",
            "html",
        ),
    }
    print(
        "| page | first useful picture | first time of all | frames over 50 ms while scrolled | memory of the page |"
    )
    print("| --- | --- | --- | --- | --- |")
    for name, one in pages.items():
        print(f"| {name} | {one.median:.2f} s | {one.first:.2f} s | {one.late_frames:.1%} | {one.megabytes:.0f} MB |")
    memory = server.memory_info().rss / 2**20
    print(f"\nThe server then has {memory:.0f} MB, and takes {idle_share(server):.1f} % of a core while nobody asks.")


if __name__ == "__main__":
    main()
