"""OSWorld-G: `OSWorld-G.json` (or `OSWorld-G_refined.json`, to be named), pictures in `images/`.

`box_type` says what `box_coordinates` are: a `bbox` is [left, top, width, height], a `polygon` a flat list of corners,
both in pixels of `image_size`, and a `refusal` is right only if the model refuses (xlang-ai/OSWorld-G,
`evaluation/eval.py`; the same code is in VLMEvalKit's `dataset/GUI/osworld_g.py`). Its capabilities
(text_matching, layout_understanding, ...) are in `classification_result.json`, where a row may have several, so each
is a group of its own. The average is over samples.

The official code takes a box's four edges as in. For polygons it casts a ray, which leaves clicks that lie exactly on
a right or lower edge out; here every edge counts.
"""

from __future__ import annotations

from typing import Any

from ..samples import GroundingSample
from ..targets import RefusalTarget, Target
from .fields import box_target, labels, polygon_target
from .format import Format, ReadOptions
from .rows import Row


def sample(row: Row, options: ReadOptions) -> GroundingSample:
    """The sample that a row describes."""
    picture = row.picture("image", "image_path")
    return GroundingSample(
        id=row.id,
        image=picture,
        messages=options.messages(row["instruction"]),
        target=_target(row, picture),
        groups=_groups(row),
    )


def _target(row: Row, picture: Any) -> Target:
    kind = row["box_type"]
    if kind == "refusal":
        return RefusalTarget()
    size = row.size(picture, "image_size")
    if kind == "bbox":
        return box_target(row["box_coordinates"], layout="xywh", size=size)
    if kind == "polygon":
        return polygon_target(row["box_coordinates"], size=size)
    raise ValueError(f'"box_type" must be "bbox", "polygon" or "refusal", found {kind!r:.80}')


def _groups(row: Row) -> dict[str, str]:
    classified = row.beside.get("classified") if isinstance(row.beside, dict) else None
    if not isinstance(classified, dict):
        return labels(box_type=row.get("box_type"))
    own = {"id": row.get("id")}
    return {
        name: name for name, members in classified.items() if any(own.items() <= member.items() for member in members)
    }


FORMAT = Format(
    "osworld-g", sample, files=("OSWorld-G.json",), images=("images",), beside="classification_result.json"
)
