"""What can be wrong with the server, switched on and off while it runs."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal, get_args

Kind = Literal["refuse", "500", "429", "401", "403", "404", "413", "hang", "drop", "garbage"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass
class Fault:
    """One thing that is wrong.

    Attributes:
        kind: What is done to a request: a status as its answer; ``hang``, no answer; ``drop``, what was asked is done
            and half of the answer sent; ``garbage``, an answer of status 200 that is no JSON. ``refuse`` closes the
            listening socket.
        where: Requests it is for: ``graphql``, ``file_stream``, ``storage``, names of GraphQL operations. Empty: all.
        after: So many of these requests are answered first.
        count: It is over after so many; ``None`` is never.
        over: Set when it was mended.
    """

    kind: Kind
    where: frozenset[str] = frozenset()
    after: int = 0
    count: int | None = None
    met: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def meets(self, names: Collection[str]) -> bool:
        """Whether this request is hit; counts it."""
        if self.where and self.where.isdisjoint(names):
            return False
        self.met += 1
        return self.after < self.met and (self.count is None or self.met <= self.after + self.count)


class Faults:
    """The faults that there are now. Threads may share it."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(
        self, kind: Kind, *, where: Collection[str] | str | None = None, after: int = 0, count: int | None = None
    ) -> Fault:
        """Add one.

        Raises:
            ValueError: The kind isn't known, or `count` was given for ``refuse``, which no request can end.
        """
        if kind not in KINDS:
            raise ValueError(f"Unknown kind of fault {kind!r}: one of {', '.join(KINDS)}.")
        if kind == "refuse" and count is not None:
            raise ValueError("`count` makes no sense for `refuse`: nothing arrives that could be counted.")
        fault = Fault(kind, frozenset([where] if isinstance(where, str) else where or ()), after, count)
        with self._lock:
            self._faults.append(fault)
        return fault

    def of(self, names: Collection[str]) -> Fault | None:
        """What hits a request with these names: the first that does."""
        with self._lock:
            return next((fault for fault in self._faults if fault.meets(names)), None)

    def clear(self) -> None:
        """Mend them all."""
        with self._lock:
            for fault in self._faults:
                fault.over.set()
            self._faults.clear()
