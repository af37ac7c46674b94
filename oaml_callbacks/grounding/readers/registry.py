"""Every format of samples by its name. A format is added by a file of its own and a line here."""

from __future__ import annotations

from ...suggest import did_you_mean, nearest
from . import jsonl, mmbench_gui, osworld_g, screenspot, screenspot_pro, sft, ui_vision
from .format import Format

FORMATS: dict[str, Format] = {
    known.name: known
    for known in (
        jsonl.FORMAT,
        sft.FORMAT,
        *screenspot.FORMATS,
        screenspot_pro.FORMAT,
        osworld_g.FORMAT,
        ui_vision.FORMAT,
        *mmbench_gui.FORMATS,
    )
}


def find_format(name: str) -> Format:
    """The format of that name.

    Raises:
        ValueError: There is none; the message names those there are, and the nearest.
    """
    if (known := FORMATS.get(name)) is not None:
        return known
    hint = did_you_mean(nearest(str(name).lower().replace("_", "-"), FORMATS))
    raise ValueError(f"There is no format {name!r} of samples{hint or '.'} Known: {', '.join(FORMATS)}.")
