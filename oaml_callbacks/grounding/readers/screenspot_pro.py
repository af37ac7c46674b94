"""ScreenSpot-Pro: one JSON list for each application in `annotations/`, pictures in `images/`.

Boxes are [left, top, right, bottom] in pixels, divided by the row's `img_size`; a click counts inside or on an edge
(`eval_screenspot_pro.py` of likaixin2000/ScreenSpot-Pro-GUI-Grounding, whose English instructions and positive targets
these are). The average is over samples.
"""

from __future__ import annotations

from ..samples import GroundingSample
from .fields import box_target, labels
from .format import Format, ReadOptions
from .rows import Row


def sample(row: Row, options: ReadOptions) -> GroundingSample:
    """The sample that a row describes."""
    picture = row.picture("image", "img_filename")
    return GroundingSample(
        id=row.id,
        image=picture,
        messages=options.messages(row["instruction"]),
        target=box_target(row["bbox"], size=row.size(picture, "img_size")),
        groups=labels(
            type=row.get("ui_type"),
            group=row.get("group"),
            application=row.get("application"),
            platform=row.get("platform"),
        ),
    )


FORMAT = Format("screenspot-pro", sample, files=("annotations/*.json", "*.json"), images=("../images", "images"))
