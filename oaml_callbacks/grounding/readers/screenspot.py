"""ScreenSpot and ScreenSpot-v2: `img_filename`, `instruction`, `bbox`, `data_type` (text or icon), `data_source`.

The benchmarks' own JSON files, one for each platform (`screenspot_mobile.json`, `screenspot_web_v2.json`, ...), have
boxes as [left, top, width, height] in pixels of the picture (SeeClick's `pretrain/screenspot_test.py`, which divides
them by the picture's size; OS-Copilot/ScreenSpot-v2). The copies on the Hub that hold the pictures
(rootsautomation/ScreenSpot, HongxinLi/ScreenSpot_v2) have [left, top, right, bottom] in shares. The numbers don't say
which it is, so the format's name does. A click counts inside the box or on its edge.

SeeClick's paper averages over the six cells of platform and type, as UGround (`offline_evaluation/ScreenSpot/eval.py`)
and ShowUI do; OS-Atlas over samples.
"""

from __future__ import annotations

from functools import partial

from ..samples import GroundingSample
from .fields import Layout, box_target, labels
from .format import Format, ReadOptions
from .rows import Row

_PLATFORMS = ("mobile", "desktop", "web")
_SOURCES = {
    "android": "mobile",
    "ios": "mobile",
    "windows": "desktop",
    "macos": "desktop",
    "forum": "web",
    "gitlab": "web",
    "shop": "web",
    "tool": "web",
}
_PREFIXES = {"mobile_": "mobile", "pc_": "desktop", "web_": "web"}


def sample(row: Row, options: ReadOptions, *, layout: Layout, pixels: bool) -> GroundingSample:
    """The sample that a row describes."""
    picture = row.picture("image", "img_filename", "file_name")
    size = row.size(picture, "img_size", "image_size") if pixels else None
    return GroundingSample(
        id=row.id,
        image=picture,
        messages=options.messages(row["instruction"]),
        target=box_target(row["bbox"], layout=layout, size=size),
        groups=labels(platform=_platform(row), type=row.get("data_type")),
    )


def _platform(row: Row) -> str | None:
    """The platform: the file's, as in the official code; else what the row's source or its picture's name says."""
    for platform in _PLATFORMS:
        if platform in row.source.lower().split("_"):
            return platform
    if known := _SOURCES.get(str(row.get("data_source")).lower()):
        return known
    name = str(row.get("img_filename") or row.get("file_name") or "")
    return next((platform for prefix, platform in _PREFIXES.items() if name.startswith(prefix)), None)


_MACRO = ("platform", "type")
_OWN = partial(sample, layout="xywh", pixels=True)
_HUB = partial(sample, layout="xyxy", pixels=False)

FORMATS = (
    Format(
        "screenspot",
        _OWN,
        files=("screenspot_*[!0-9].json",),  # not those of v2
        images=("screenspot_imgs", "images"),
        macro=_MACRO,
    ),
    Format(
        "screenspot-v2",
        _OWN,
        files=("screenspot_*_v2.json",),
        images=("screenspotv2_image", "images"),
        macro=_MACRO,
    ),
    Format("screenspot-hub", _HUB, images=("images",), macro=_MACRO),
    Format("screenspot-v2-hub", _HUB, images=("images",), macro=_MACRO),
)
