"""A graded sample in words: its target, what the model did, its answer cut to a length."""

from __future__ import annotations

from .clean_text import cut, one_line
from .grounding.actions import Action
from .grounding.metrics import GradedSample
from .grounding.samples import GroundingSample
from .grounding.targets import MarkTarget, PointTarget, RefusalTarget

NOT_STOPPED = " …[not finished: stopped at max_new_tokens]"


def answer_text(row: GradedSample, length: int) -> str:
    """The model's text, cut to `length`; marked too if the model was stopped before its end."""
    return cut(row.answer, length) + ("" if row.stopped else NOT_STOPPED)


def target_text(sample: GroundingSample, length: int) -> str:
    """The answer that the sample's row gives; without one, what its target asks for."""
    if sample.answer is not None:
        return cut(sample.answer, length)
    target = sample.target
    if isinstance(target, MarkTarget):
        return f"click [{target.mark}]"
    if isinstance(target, RefusalTarget):
        return "refusal"
    if isinstance(target, PointTarget):
        return f"click {_numbers(target.point)} ± {target.tolerance:.4g}"
    return f"click within {_numbers(target.box)}" if target.box is not None else type(target).__name__


def action_text(action: Action) -> str:
    """What the answer does and where. A place off the screen is said to be, with its numbers as they are."""
    if action.status != "ok":
        return action.status
    words = [one_line(action.kind or "other", 100)]
    if action.mark is not None:
        words.append(f"[{action.mark}]")
    if action.point is not None:
        words.append(_numbers(action.point) + ("" if on_screen(action.point) else ", off the screen"))
    if action.text:
        words.append(f'"{cut(action.text, 100)}"')
    return " ".join(words)


def on_screen(point: tuple[float, float]) -> bool:
    """Whether a point lies on the screen, edges included. NaN doesn't."""
    return 0 <= point[0] <= 1 and 0 <= point[1] <= 1


def _numbers(numbers: tuple[float, ...]) -> str:
    return f"({', '.join(f'{number:.4g}' for number in numbers)})"
