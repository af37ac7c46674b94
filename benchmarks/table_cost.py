"""What an evaluation's table costs, against W&B's own way with pictures, in the same process, W&B offline.

    python benchmarks/table_cost.py [--rounds 5] [--rows 16]

Prints a Markdown table: time and disk space of a table of 1080p screens with boxes, PNG as `wandb.Image` makes it of a
PIL picture against [`GroundingTables`] (interleaved, medians); of a run's first table, which writes its pictures, and
of a later one, which names those that are there.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from oaml_callbacks.grounding.actions import Action
from oaml_callbacks.grounding.metrics import GroundingReport, grade
from oaml_callbacks.grounding.samples import GroundingSample
from oaml_callbacks.grounding.targets import BoxTarget
from oaml_callbacks.testing import offline_wandb

if TYPE_CHECKING:
    import wandb

SIZE = (1920, 1080)
WORDS = ("Invoice", "budget", "draft", "travel", "report", "contract", "order", "site", "photos", "open", "review")


def draw_screen(rng: Random) -> Image.Image:
    """A 1080p desktop: a window before a gradient, with a list of files and a page of text, light or dark."""
    dark = rng.random() < 0.5
    paper, ink, panel = ((30, 33, 39), (215, 218, 224), (45, 49, 57)) if dark else ((252,) * 3, (35,) * 3, (236,) * 3)
    image = Image.linear_gradient("L").rotate(rng.choice((0, 90))).resize(SIZE).convert("RGB")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=18)
    draw.rectangle((120, 80, 1800, 1000), fill=paper)
    draw.rectangle((120, 80, 1800, 124), fill=panel)
    draw.rectangle((120, 124, 480, 1000), fill=panel)
    for line in range(32):
        top = 140 + line * 26
        draw.text((140, top), " ".join(rng.sample(WORDS, 3)), font=font, fill=ink)
        draw.text((510, top), " ".join(rng.choices(WORDS, k=rng.randrange(4, 14))), font=font, fill=ink)
    return image


def draw_report(count: int, seed: int) -> GroundingReport:
    """`count` graded samples over screens of their own; the clicks are random."""
    rng = Random(seed)
    rows = []
    for number in range(count):
        x, y = rng.uniform(0.1, 0.8), rng.uniform(0.1, 0.8)
        target = BoxTarget(x, y, x + 0.08, y + 0.03)
        question = ({"role": "user", "content": f"Open file {number}."},)
        sample = GroundingSample(id=f"sample-{number}", image=draw_screen(rng), messages=question, target=target)
        click = (x + rng.gauss(0.04, 0.03), y + rng.gauss(0.015, 0.02))
        rows.append(grade(sample, f"Action: CLICK(x={click[0]:.2f}, y={click[1]:.2f})", Action("click", click)))
    return GroundingReport(tuple(rows), 0, 1.0)


def as_png(run: wandb.Run, report: GroundingReport, step: int) -> None:
    """The same table as one would write it with W&B alone."""
    import wandb

    from oaml_callbacks.media import COLUMNS
    from oaml_callbacks.overlays import overlays

    table = wandb.Table(columns=list(COLUMNS))
    for row in report.rows:
        picture = row.sample.open_image()
        table.add_data(
            step,
            wandb.Image(picture, boxes=overlays(row, picture.size)),
            row.sample.instruction,
            str(row.sample.target),
            str(row.action),
            row.correct,
            row.distance,
            row.outcome,
            row.answer,
            row.sample.id,
            "",
        )
    run.log({"eval/png": table})


def size_of(folder: Path) -> int:
    """Bytes of all files below `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds")
    parser.add_argument("--rows", type=int, default=16, help="rows of the table")
    options = parser.parse_args()

    reports = [draw_report(options.rows, seed) for seed in range(options.rounds)]
    seconds: dict[str, list[float]] = {"png": [], "first": [], "later": []}
    sizes: dict[str, list[int]] = {"png": [], "first": [], "later": []}
    with tempfile.TemporaryDirectory() as name, offline_wandb(name) as folder:
        import wandb

        from oaml_callbacks.media import GroundingTables

        def measure(what: str, write: Callable[[], None]) -> None:
            before, start = size_of(folder), time.perf_counter()
            write()
            seconds[what].append(time.perf_counter() - start)
            sizes[what].append(size_of(folder) - before)

        run = wandb.init(project="table-cost")
        run.log({"warm": wandb.Table(columns=["a"], data=[[1]])})
        tables = GroundingTables(run, max_rows=2 * options.rows)  # all samples are in the half that stays

        def ours(report: GroundingReport, step: int) -> None:
            run.log({f"eval/{step}": tables.table(report, None, step, key=f"eval/{step}")})

        for step, report in enumerate(reports):
            kinds: list[tuple[str, Callable[[], None]]] = [
                ("png", lambda: as_png(run, report, step)),  # noqa: B023 - called in this round
                ("first", lambda: ours(report, step)),  # noqa: B023
            ]
            for what, write in kinds if step % 2 else reversed(kinds):
                measure(what, write)
            measure("later", lambda: ours(report, step))  # noqa: B023

    png, png_size = statistics.median(seconds["png"]), statistics.median(sizes["png"])
    print(f"| table of {options.rows} rows of 1080p screens, both clicks drawn | time | on disk |")
    print("| --- | --- | --- |")
    for what, shown in (
        ("png", "PNG, as W&B makes it"),
        ("first", "here"),
        ("later", "here, the same pictures again"),
    ):
        time_taken, size = statistics.median(seconds[what]), statistics.median(sizes[what])
        print(
            f"| {shown} | {time_taken * 1e3:.0f} ms, {time_taken / png:.2f} x "
            f"| {size / 1e6:.2f} MB, {size / png_size:.2f} x |"
        )


if __name__ == "__main__":
    main()
