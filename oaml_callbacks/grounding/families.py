"""Which model family writes which forms, what its numbers are, and which action counts: one entry per family."""

from __future__ import annotations

from dataclasses import dataclass

from .action_types import Space
from .forms.base import Form
from .forms.box_tokens import BOX_TAG, FIRST_BOX, LAST_BOX, NUMBERS
from .forms.holo import CLICK, XY_OBJECT
from .forms.json_objects import JSON_OBJECTS
from .forms.no_target import NO_TARGET
from .forms.openadapt import OPENADAPT
from .forms.pairs import (
    DOUBLE_BRACKETS,
    ROUND_PAIR,
    SQUARE_BRACKETS,
    WHOLE_BOX,
    WHOLE_CORNERS,
    WHOLE_DOUBLE,
    WHOLE_PAIR,
)
from .forms.points_tag import POINTS_TAG
from .forms.pyautogui import AGUVIS, PIXELS, SHARES
from .forms.tool_call import TOOL_CALL
from .forms.ui_tars import UI_TARS


@dataclass(frozen=True)
class Family:
    """A model family's way of answering.

    Args:
        name: What `family=` calls it.
        forms: Its forms; the first that finds an action is the answer.
        space: What its numbers are; a form that is written in one space alone goes before it.
        rule: Which action counts, and what of an answer has to be there.
        source: The evaluator that reads it so.
    """

    name: str
    forms: tuple[Form, ...]
    space: Space
    rule: str
    source: str


_QWEN = (TOOL_CALL, POINTS_TAG, JSON_OBJECTS, NO_TARGET)
_QWEN_RULE = (
    "The first tool call, whose JSON must be whole; else the first closed `<points>`, else the first closed object "
    "with `point_2d` or `bbox_2d`."
)
_TWO_OR_FOUR = "else two or four numbers, if there are no others in the answer."

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "openadapt",
            (OPENADAPT,),
            "normalized",
            "The first action in the line after the last `Action:`; without that word, the first in the text.",
            "openadapt-ml 0.17.0, runtime/policy.py",
        ),
        Family(
            "qwen2_vl",
            (LAST_BOX, NUMBERS, NO_TARGET),
            "relative1000",
            f"The last box between tokens, {_TWO_OR_FOUR}",
            "likaixin2000/ScreenSpot-Pro-GUI-Grounding, models/qwen2vl.py",
        ),
        Family(
            "qwen2_5_vl",
            _QWEN,
            "pixels",
            _QWEN_RULE,
            "likaixin2000/ScreenSpot-Pro-GUI-Grounding, models/qwen2_5vl.py; QwenLM/Qwen3-VL, cookbooks",
        ),
        Family(
            "qwen3_vl",
            _QWEN,
            "relative1000",
            f"{_QWEN_RULE} All of it in 0-1000: the 999 of the mobile cookbook's prompt is 1000 here, too.",
            "QwenLM/Qwen3-VL, cookbooks/2d_grounding.ipynb and mobile_agent.ipynb",
        ),
        Family(
            "ui_tars",
            (UI_TARS, WHOLE_PAIR),
            "relative1000",
            "The first call after the last `Action:`; else a pair that is the whole answer.",
            "bytedance/UI-TARS, codes/ui_tars/action_parser.py and README_v1.md",
        ),
        Family(
            "ui_tars_1_5",
            (UI_TARS, WHOLE_PAIR),
            "pixels",
            "The first call after the last `Action:`; else a pair that is the whole answer.",
            "bytedance/UI-TARS, codes/ui_tars/action_parser.py and README_coordinates.md",
        ),
        Family(
            "showui",
            (WHOLE_PAIR,),
            "normalized",
            "A pair that is the whole answer.",
            "showlab/ShowUI, main/eval_screenspot.py",
        ),
        Family(
            "seeclick",
            (BOX_TAG, NUMBERS),
            "normalized",
            f"The first `<box>`, in 0-1000, {_TWO_OR_FOUR}",
            "njucckevin/SeeClick, pretrain/screenspot_test.py and process_utils.py",
        ),
        Family(
            "os_atlas_4b",
            (DOUBLE_BRACKETS, NO_TARGET),
            "relative1000",
            "The last `[[x,y]]`.",
            "likaixin2000/ScreenSpot-Pro-GUI-Grounding, models/osatlas4b.py",
        ),
        Family(
            "os_atlas_7b",
            (FIRST_BOX, NUMBERS, NO_TARGET),
            "relative1000",
            f"The first box between tokens, {_TWO_OR_FOUR}",
            "likaixin2000/ScreenSpot-Pro-GUI-Grounding, models/osatlas7b.py",
        ),
        Family(
            "uground",
            (WHOLE_PAIR,),
            "relative1000",
            "A pair that is the whole answer.",
            "OSU-NLP-Group/UGround, grounding/uground_qwen2vl.py",
        ),
        Family(
            "gta1",
            (ROUND_PAIR,),
            "pixels",
            "The first pair in round brackets, of whole numbers.",
            "Yan98/GTA1, README.md and src/grpo_grounding.py",
        ),
        Family(
            "ui_venus",
            (SQUARE_BRACKETS,),
            "relative1000",
            "The first square brackets; `[-1,-1]` is a refusal. Version 1.5.",
            "inclusionAI/UI-Venus, models/grounding/ui_venus1_5_gd.py",
        ),
        Family(
            "ui_venus_1",
            (WHOLE_BOX,),
            "pixels",
            "A box that is the whole answer. Version 1 (Ground-7B, Ground-72B).",
            "inclusionAI/UI-Venus, the model cards of version 1",
        ),
        Family(
            "holo",
            (XY_OBJECT,),
            "relative1000",
            "A JSON object that is the whole answer. Holo2.",
            "Hcompany/Holo2, model card",
        ),
        Family(
            "holo_1_5",
            (XY_OBJECT, CLICK),
            "pixels",
            "A JSON object or `Click(x, y)` that is the whole answer.",
            "likaixin2000/ScreenSpot-Pro-GUI-Grounding, models/holo1_5.py",
        ),
        Family(
            "aguvis",
            (AGUVIS,),
            "normalized",
            "The first line that begins with `pyautogui.` or `computer.`.",
            "xlang-ai/OpenCUA, evaluation/agentnetbench/agent/aguvis.py",
        ),
        Family(
            "opencua",
            (PIXELS, SHARES),
            "pixels",
            "The first line that begins with `pyautogui.` or `computer.`, else the first such call. Whole numbers are "
            "pixels, those with a decimal point shares.",
            "xlang-ai/OpenCUA, evaluation/agentnetbench/agent/opencua.py",
        ),
    )
}
"""Every known family by name."""

ANY_FAMILY: tuple[Form, ...] = (
    TOOL_CALL, POINTS_TAG, JSON_OBJECTS, LAST_BOX, BOX_TAG, OPENADAPT, UI_TARS, PIXELS, SHARES, NO_TARGET,
    WHOLE_CORNERS, WHOLE_DOUBLE, WHOLE_PAIR, WHOLE_BOX, XY_OBJECT, CLICK,
)  # fmt: skip
"""What is tried, in this order, where no family is given: forms that cannot be mistaken for anything else, wherever
they stand; then bare pairs, boxes and objects, but only where they are the whole answer: prose that mentions numbers
is no answer."""
