"""MMBench-GUI's level 2: `L2_annotations.json`, pictures in `offline_images/<platform>/`.

Boxes are [left, top, right, bottom]. The file on the Hub has them in shares; the official code takes pixels too and
tells them apart by their size (open-compass/MMBench-GUI, `benchmarks/l2_element_grounding.py`), which is a guess, so
here the format's name says it. A click counts inside or on an edge; an edge of -1 in pixels stands for 0; a box that
reaches outside the picture is refused. The average is that of the two levels, basic and advanced
(`benchmarks/matrics.py`).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ..samples import GroundingSample
from .fields import box_target, labels, numbers
from .format import Format, ReadOptions
from .rows import Row


def sample(row: Row, options: ReadOptions, *, pixels: bool) -> GroundingSample:
    """The sample that a row describes."""
    # The row names the picture alone; it lies in its platform's folder.
    picture = replace(row, images=row.images / str(row.get("platform") or "")).picture("image", "image_path")
    edges = numbers(row["bbox"], "bbox", 4, "[left, top, right, bottom]")
    if pixels:
        edges = [0.0 if edge == -1 else edge for edge in edges]
    return GroundingSample(
        id=row.id,
        image=picture,
        messages=options.messages(row["instruction"]),
        target=box_target(edges, size=row.size(picture, "image_size") if pixels else None, inside=True),
        groups=labels(
            platform=row.get("platform"),
            type=row.get("data_type"),
            level=row.get("grounding_type"),
            application=row.get("app_name"),
        ),
    )


_IN_SHARES = Format(
    "mmbench-gui",
    partial(sample, pixels=False),
    files=("L2_annotations.json",),
    images=("offline_images",),
    macro=("level",),
)

FORMATS = (_IN_SHARES, replace(_IN_SHARES, name="mmbench-gui-pixels", sample=partial(sample, pixels=True)))
