"""Draw README's picture of a run's table: `python docs/make_table_picture.py`.

A table of made-up answers is logged to W&B offline. The picture is made of what was logged: its JPEG files, its boxes
in the colours of their sets, and its words; W&B's own page looks different.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from oaml_callbacks import read_sft_samples
from oaml_callbacks.demo.screens import write_samples
from oaml_callbacks.grounding.actions import Action
from oaml_callbacks.grounding.metrics import GradedSample, GroundingReport, grade
from oaml_callbacks.grounding.samples import GroundingSample
from oaml_callbacks.grounding.targets import BoxTarget
from oaml_callbacks.testing import RecordedRun, offline_wandb, read_run

COLOURS = {"human": (0, 110, 190), "predicted": (190, 20, 90)}
CELL = (480, 270)
LINE = 16


def answered(sample: GroundingSample, point: tuple[float, float], words: str = "") -> GradedSample:
    """The sample with an answer that clicks at `point`."""
    return grade(sample, words or f"Action: CLICK(x={point[0]:g}, y={point[1]:g})", Action("click", point))


def made_up(folder: Path) -> GroundingReport:
    """Six answers: in the middle, on the edge, beside, off the screen, in a corner, and one that can't be read."""
    write_samples(folder, name="shown", count=6, seed=5)
    samples = read_sft_samples(folder / "shown.jsonl")
    (left, top, _, _), (x, y) = samples[1].target.box or (0, 0, 0, 0), samples[2].target.point or (0, 0)
    corner = samples[4]
    at_the_corner = GroundingSample(corner.id, corner.image, corner.messages, BoxTarget(0.94, 0.9, 1.0, 1.0))
    return GroundingReport(
        (
            answered(samples[0], samples[0].target.point or (0, 0)),
            answered(samples[1], (left, top)),
            answered(samples[2], (x + 0.12, y + 0.1)),
            answered(samples[3], (4.2, 0.7)),
            answered(at_the_corner, (1.0, 1.0)),
            grade(samples[5], "I can't see such a button here.", Action(status="unreadable")),
        ),
        skipped=0,
        seconds=1.0,
    )


def logged_rows(run: RecordedRun) -> list[dict[str, Any]]:
    """The newest table's rows by their columns, pictures opened."""
    artifact = next(artifact for artifact in reversed(run.artifacts) if artifact.type == "run_table")
    place = artifact.files["grounding_table.table.json"].local_path
    assert place is not None
    table = json.loads(place.read_text())
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    for row in rows:
        path = artifact.files[row["screenshot"]["path"]].local_path
        assert path is not None
        row["image"] = Image.open(path).convert("RGB")
    return rows


def draw(row: dict[str, Any]) -> Image.Image:
    """One row: the picture with both sets of boxes, and the words below."""
    cell = Image.new("RGB", (CELL[0], CELL[1] + 4 * LINE + 6), "white")
    picture = row["image"].resize(CELL, Image.Resampling.LANCZOS)
    drawing = ImageDraw.Draw(picture)
    for name, boxes in row["screenshot"]["boxes"].items():
        for box in boxes:
            at = box["position"]
            edges = (at["minX"] * CELL[0], at["minY"] * CELL[1], at["maxX"] * CELL[0] - 1, at["maxY"] * CELL[1] - 1)
            around = (edges[0] - 1, edges[1] - 1, edges[2] + 1, edges[3] + 1)
            drawing.rectangle(around, outline="white", width=4)  # to be seen on a button of any colour
            drawing.rectangle(edges, outline=COLOURS[name], width=2)
    cell.paste(picture, (0, 0))
    distance = "" if row["distance"] is None else f", {row['distance']:.3f} away"
    words = (
        (f"{row['instruction'].splitlines()[0]}  [{row['why']}]", (20, 20, 20)),
        (f"human: {row['target'].splitlines()[-1]}", COLOURS["human"]),
        (f"predicted: {row['predicted']}", COLOURS["predicted"]),
        (f"{row['outcome']}{distance}", (90, 90, 90)),
    )
    for line, (text, colour) in enumerate(words):
        ImageDraw.Draw(cell).text((2, CELL[1] + 3 + line * LINE), text, fill=colour, font=ImageFont.load_default(12))
    return cell


def main() -> None:
    """Log a table, read it back, draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/grounding_table.png"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report = made_up(folder)
        with offline_wandb(folder):
            import wandb

            from oaml_callbacks.media import TABLE_KEY, GroundingTables

            run = wandb.init(project="picture")
            run.log({TABLE_KEY: GroundingTables(run).table(report, None, step=100)})
        rows = logged_rows(read_run(folder))
    cells = [draw(row) for row in sorted(rows, key=lambda row: row["sample"])]
    width, height = cells[0].size
    sheet = Image.new("RGB", (2 * width + 10, -(-len(cells) // 2) * (height + 6)), "white")
    for number, cell in enumerate(cells):
        sheet.paste(cell, (number % 2 * (width + 10), number // 2 * (height + 6)))
    # A palette keeps the file small; the screens have few colours.
    sheet.quantize(128, dither=Image.Dither.NONE).save(options.out, optimize=True)


if __name__ == "__main__":
    main()
