"""TRL's completions tables, where W&B would refuse them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any


def prompts_as_text(trainer: Any) -> None:
    """Keep a training with pictures and `log_completions=True` from ending in W&B's TypeError.

    TRL (seen in 1.16) writes the prompts of its completions table as lists of parts. A
    picture's part has another form than a text's, which a `wandb.Table` column doesn't take, so that the second row
    raises, into the training. Here the prompts that a Trainer keeps for that table become the text that they are.

    Args:
        trainer: TRL's `GRPOTrainer` or `RLOOTrainer`. Any other, or a version that keeps its prompts elsewhere, is
            left as it is.
    """
    logs: Any = getattr(trainer, "_logs", None)
    kept = logs.get("prompt") if isinstance(logs, dict) else None
    if isinstance(kept, deque) and not isinstance(kept, _Texts):
        logs["prompt"] = _Texts(map(_text, kept), maxlen=kept.maxlen)


class _Texts(deque[Any]):
    def extend(self, prompts: Iterable[Any]) -> None:
        super().extend(map(_text, prompts))

    def append(self, prompt: Any) -> None:
        super().append(_text(prompt))


def _text(prompt: Any) -> Any:
    """A conversation as text, its pictures named; anything else as it is."""
    if not isinstance(prompt, list) or not all(isinstance(message, Mapping) for message in prompt):
        return prompt
    return "\n".join(f"{message.get('role')}: {_content(message.get('content'))}" for message in prompt)


def _content(content: Any) -> str:
    if not isinstance(content, list):
        return str(content or "")
    return "".join(
        str(part.get("text") or f"[{part.get('type')}]") if isinstance(part, Mapping) else str(part)
        for part in content
    )
