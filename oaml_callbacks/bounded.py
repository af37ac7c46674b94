"""[`in_time`]: an answer that is waited for no longer than was said."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class NoAnswer(TimeoutError):
    """There was no answer in time."""


def in_time(ask: Callable[[], T], seconds: float) -> T:
    """What `ask` returns or raises, if it does so in time.

    W&B's own time limits hold for each of many tries: where no server answers, its client goes on for minutes. Here it
    does so in a thread that nobody waits for any longer.

    Args:
        ask: Asks.
        seconds: How long it is waited for.

    Raises:
        NoAnswer: `ask` is still at it.
    """
    answers: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            answers.append(ask())
        except BaseException as error:  # noqa: BLE001 - raised below, to who waits
            errors.append(error)

    thread = threading.Thread(target=work, name="oaml-ask", daemon=True)
    thread.start()
    thread.join(max(0.0, seconds))
    if answers:
        return answers[0]
    if errors:
        raise errors[0]
    raise NoAnswer(f"no answer in {seconds:.0f} s")
