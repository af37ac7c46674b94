"""Chat messages as Qwen-VL processors take them: pictures inside the user's turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Message = dict[str, Any]


def place_images(messages: Sequence[Mapping[str, Any]], images: Sequence[Any]) -> list[Message]:
    """Put `images` where the messages want them, and return new messages with list contents.

    openadapt-ml's and TRL's rows keep pictures beside the messages (`{"images": [...], "messages": [...]}`); a chat
    template wants them inside. `{"type": "image"}` parts are filled in order; pictures left over go to the front of
    the first user turn, as TRL places them.

    Args:
        messages: `{"role": ..., "content": str | list of parts}`, in order.
        images: Anything an image processor takes (PIL images, paths).

    Returns:
        `[{"role": ..., "content": [{"type": "image", "image": ...} | {"type": "text", "text": ...}, ...]}]`.

    Raises:
        ValueError: More `{"type": "image"}` parts than images, or images but no user turn to put them in.
    """
    left = list(images)
    placed: list[Message] = []
    for message in messages:
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else [dict(p) for p in content]
        for part in parts:
            # `datasets` gives every part every key: {"type": "image", "text": None}.
            if part.get("type") == "image" and part.get("image") is None:
                if not left:
                    raise ValueError(f"The messages have more image places than the {len(images)} images given.")
                part["image"] = left.pop(0)
        parts = [{k: v for k, v in part.items() if v is not None} for part in parts]
        placed.append({"role": message["role"], "content": parts})
    if left:
        user = next((message for message in placed if message["role"] == "user"), None)
        if user is None:
            raise ValueError(f"{len(left)} images were given, but no message has the role 'user' to put them in.")
        user["content"] = [{"type": "image", "image": image} for image in left] + user["content"]
    return placed
