"""UI-Vision's element grounding: `element_grounding_basic.json`, `_functional.json` and `_spatial.json`.

Boxes are two opposite corners in pixels of `image_size`; which is which varies, so they are put in order first. A
click counts inside or on an edge (uivision/UI-Vision, `eval/grounding/eval_uivision.py`, which takes one file at a
time; the paper's final average is over the three tasks).
"""

from __future__ import annotations

from ..samples import GroundingSample
from .fields import box_target, labels, numbers
from .format import Format, ReadOptions
from .rows import Row

_TASKS = ("basic", "functional", "spatial")


def sample(row: Row, options: ReadOptions) -> GroundingSample:
    """The sample that a row describes."""
    picture = row.picture("image", "image_path")
    x1, y1, x2, y2 = numbers(row["bbox"], "bbox", 4, "[x1, y1, x2, y2]")
    ordered = [min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)]
    return GroundingSample(
        id=row.id,
        image=picture,
        messages=options.messages(row["prompt_to_evaluate"]),
        target=box_target(ordered, size=row.size(picture, "image_size")),
        groups=labels(
            task=next((task for task in _TASKS if row.source.endswith(task)), None),
            type=row.get("element_type"),
            application=row.get("platform"),  # the column's name, for one of 83 programs
            category=row.get("category"),
        ),
    )


FORMAT = Format(
    "ui-vision",
    sample,
    files=("annotations/element_grounding/element_grounding_*.json", "element_grounding_*.json"),
    images=("../../images", "images"),
    macro=("task",),
)
