"""`Target does not exist`: what ScreenSpot-Pro's prompts ask for where nothing fits (`ground_allow_negative`).

Its evaluators look for these words, in any capitals, where the answer has no place.
"""

from __future__ import annotations

from ..action_types import Action
from .base import Form, Scale

_WORDS = "target does not exist"


def read(text: str, scale: Scale) -> Action | None:
    """A refusal in words."""
    return Action("refusal", text=text.strip(), status="refusal") if _WORDS in text.lower() else None


NO_TARGET = Form("Target does not exist", read, space="normalized")
