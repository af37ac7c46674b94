"""One evaluation as a page that holds all it needs: for a colleague who has only the link to the W&B run."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Mapping
from typing import Any

from .clean_text import error_text, one_line
from .grounding.metrics import GradedSample, GroundingReport
from .pictures import as_jpeg
from .run_folder import layout
from .run_folder.evaluations import answer_record, sample_record
from .run_folder.screenshots import Kept
from .table_choice import choose_rows
from .viewer.bundle import bundled
from .viewer.clicks import BLOCK, SCALE, TRACK_BLOCK, letter

logger = logging.getLogger(__name__)

MAX_BYTES = 5_000_000
"""Of a page."""
MAX_ROWS = 64
"""Samples of a page; fewer where their pictures are large."""


def embedded_page(
    report: GroundingReport,
    previous: Mapping[str, bool] | None,
    *,
    split: str,
    step: int,
    run_id: str,
    run_name: str | None,
    seed: int,
    max_bytes: int = MAX_BYTES,
) -> str:
    """The viewer as one HTML file, with some of an evaluation's samples in it.

    The samples are those that a table of as many rows shows: half of them the same every time, half what is wrong or
    has just changed.

    Args:
        report: The evaluation.
        previous: Which samples were right in the one before it.
        split: Its set: `eval`, `eval_web`, …
        step: Optimizer steps done.
        run_id: The run's id.
        run_name: Its name, if it has one.
        seed: Draws the samples.
        max_bytes: Bytes that the page may have.

    Returns:
        HTML; all in it is text or a picture, and it may load nothing from elsewhere.
    """
    about = _about(report, split=split, step=step, run_id=run_id, run_name=run_name)
    room = max_bytes - len(_page(_pieces(about, split, []))) - 10_000  # the columns' brackets and commas
    rows: list[tuple[GradedSample, dict[str, Any], str | None]] = []
    for chosen in choose_rows(report, previous, max_rows=min(MAX_ROWS, BLOCK), seed=seed):
        picture, kept = _picture(chosen.row)
        record = sample_record(chosen.row, kept)
        # What `<` and the like are written as is six times as long.
        size = len(picture or "") + 6 * len(json.dumps(record)) + 6 * len(json.dumps(chosen.row.answer[:5000])) + 1000
        if size <= room:
            room -= size
            rows.append((chosen.row, record, picture))
    if len(rows) < len(report.rows):
        about["note"] = (
            f"{len(rows)} of the evaluation's {len(report.rows)} samples: half of them the same every time, half what "
            "was wrong or had just changed. The counts below are of these; the evaluation's accuracy is of all."
        )
    return _page(_pieces(about, split, rows))


def _page(pieces: Mapping[str, Any]) -> str:
    return bundled("viewer.html", source="page", inline_styles=True, pieces=pieces)


def _about(report: GroundingReport, *, split: str, step: int, run_id: str, run_name: str | None) -> dict[str, Any]:
    metrics = report.metrics
    evaluation = {
        "key": layout.evaluation_key(split, step),
        "set": split,
        "step": step,
        "baseline": False,
        "best": False,
        **{
            name: metrics.get(f"grounding_{metric}")
            for name, metric in (
                ("samples", "samples"),
                ("correct", "correct"),
                ("accuracy", "accuracy"),
                ("low", "accuracy_low"),
                ("high", "accuracy_high"),
                ("parsed", "parsed"),
            )
        },
    }
    return {
        "key": run_id,
        "id": run_id,
        "name": one_line(run_name) if run_name else run_id,
        "state": "unknown",
        "sets": [{"name": split, "samples": len(report.rows)}],
        "evaluations": [evaluation],
        "problems": [],
    }


def _pieces(
    about: Mapping[str, Any], split: str, rows: list[tuple[GradedSample, dict[str, Any], str | None]]
) -> dict[str, Any]:
    run, evaluation = about["key"], about["evaluations"][0]["key"]
    answers = [answer_record(row, place) for place, (row, _, _) in enumerate(rows)]
    letters = [letter(answer) for answer in answers]
    pieces: dict[str, Any] = {
        f"run/{run}": about,
        f"samples/{run}/{split}": {
            "count": len(rows),
            "block": BLOCK,
            "track_block": TRACK_BLOCK,
            "digest": "",
            "groups": {},
        },
        f"sample_block/{run}/{split}/0": [record for _, record, _ in rows],
        f"ids/{run}/{split}": [record["id"] for _, record, _ in rows],
        f"answers/{run}/{evaluation}/0": answers,
        f"verdicts/{run}/{evaluation}": {
            "outcome": "".join(letters),
            "distance": [_scaled(answer["distance"]) for answer in answers],
            "dx": [_scaled(answer["offset"][0]) if answer["offset"] else None for answer in answers],
            "dy": [_scaled(answer["offset"][1]) if answer["offset"] else None for answer in answers],
        },
        **{f"picture/{record['picture']}": picture for _, record, picture in rows if picture is not None},
    }
    for first in range(0, len(rows), TRACK_BLOCK):
        some = range(first, min(first + TRACK_BLOCK, len(rows)))
        pieces[f"track/{run}/{split}/{first // TRACK_BLOCK}"] = {
            "first": first,
            "evaluations": [evaluation],
            "outcome": [letters[index] for index in some],
            "point": [[answers[index]["point"]] for index in some],
        }
    return pieces


def _picture(row: GradedSample) -> tuple[str | None, Kept | None]:
    """The sample's picture as an address that is the picture, and what the record says of it."""
    try:
        image = row.sample.open_image()
        data, _ = as_jpeg(image)
    except (OSError, ValueError) as error:
        logger.debug("The picture of sample %s isn't in the page: %s", one_line(row.sample.id), error_text(error))
        return None, None
    name = one_line(row.sample.id)
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}", Kept(name, image.size)


def _scaled(value: float | None) -> int | None:
    return None if value is None else round(value * SCALE)
