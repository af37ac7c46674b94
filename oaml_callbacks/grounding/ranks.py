"""Several processes evaluate together: each hears how the others fared, so that none waits for one that failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

SHOWN_SAMPLES = 4
"""Samples that a failure's message names; of more, it says how many."""


class EvaluationFailed(RuntimeError):
    """An evaluation ended early, on every rank alike: something raised on one of them.

    Args:
        rank: Where it happened first.
        samples: Ids of the samples that were being worked on; empty before the first.
        error: Type and text of what was raised.
    """

    def __init__(self, rank: int, samples: Sequence[str], error: str) -> None:
        self.rank, self.samples, self.error = rank, tuple(samples), error
        named = ", ".join(self.samples[:SHOWN_SAMPLES])
        more = len(self.samples) - SHOWN_SAMPLES
        where = f", sample{'s' if len(self.samples) > 1 else ''} {named}" if named else ""
        super().__init__(f"Rank {rank}{where}{f' and {more} more' if more > 0 else ''}: {error}")


class SampleFailed(Exception):
    """What was raised as `__cause__` belongs to this one sample of a batch."""

    def __init__(self, sample_id: str) -> None:
        super().__init__(sample_id)
        self.sample_id = sample_id


@dataclass(frozen=True)
class _Failure:
    samples: tuple[str, ...]
    error: str


class Ranks:
    """The processes of torch's default group; a process alone where there is none.

    Args:
        model: What they evaluate: NCCL exchanges objects through the memory of the GPU that it is on.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        import torch
        import torch.distributed as dist

        several = dist.is_available() and dist.is_initialized()
        self.index: int = dist.get_rank() if several else 0
        self.count: int = dist.get_world_size() if several else 1
        self._device = next((p.device for p in model.parameters()), torch.device("cpu"))
        self._out_of_step = False

    def together(
        self, work: Callable[[], T], *, samples: Sequence[str] = (), passed_on: tuple[type[Exception], ...] = ()
    ) -> list[T]:
        """Do a piece of work on every rank at once; what each of them made of it, in their order, is known to all.

        Args:
            work: Its result must be picklable, and small.
            samples: Ids of the samples that it is about, for the message.
            passed_on: Errors that are raised as they are, if every rank meets them.

        Raises:
            EvaluationFailed: It raised on some rank; raised on all of them.
        """
        value: T | None = None
        failure: _Failure | None = None
        raised: BaseException | None = None
        try:
            value = work()
        except BaseException as error:  # an interrupt too: the others must hear of it before this rank goes
            if self._out_of_step:
                raise
            raised = error
            failure = self._failure(error, samples)
        outcomes = self._exchange((value, failure))
        failed = [(rank, failure) for rank, (_, failure) in enumerate(outcomes) if failure is not None]
        if not failed:
            return [value for value, _ in outcomes]  # type: ignore[misc]  # None only where that is the result
        if raised is not None and (
            not isinstance(raised, Exception) or (isinstance(raised, passed_on) and len(failed) == self.count)
        ):
            raise raised
        rank, first = failed[0]
        cause = raised.__cause__ if isinstance(raised, SampleFailed) else raised
        raise EvaluationFailed(rank, first.samples, first.error) from cause

    @contextmanager
    def in_step(self) -> Iterator[None]:
        """Around a sharded model's forward passes: what is raised inside is final.

        The other ranks wait within the pass for this one's part, so nothing can be exchanged any more. Raised at
        once, it ends this process, and the launcher ends the others.
        """
        try:
            yield
        except Exception as error:
            self._out_of_step = True
            raise RuntimeError(
                f"Rank {self.index} failed inside a forward pass of a model that is sharded over {self.count} ranks "
                f"({type(error).__name__}: {error}). The other ranks wait in it, so the training can't go on."
            ) from error
        except BaseException:
            self._out_of_step = True
            raise

    def _failure(self, error: BaseException, samples: Sequence[str]) -> _Failure:
        if isinstance(error, SampleFailed) and error.__cause__ is not None:
            samples, error = (error.sample_id,), error.__cause__
        return _Failure(tuple(samples), f"{type(error).__name__}: {error}")

    def _exchange(self, value: T) -> list[T]:
        if self.count == 1:
            return [value]
        import torch
        import torch.distributed as dist

        gathered: list[T | None] = [None] * self.count
        with torch.cuda.device(self._device) if self._device.type == "cuda" else nullcontext():
            dist.all_gather_object(gathered, value)
        return gathered  # type: ignore[return-value]
