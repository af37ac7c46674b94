"""Samples -> a model's inputs: pictures decoded and prepared in the background while the model answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..chat import Message
from .ranks import SampleFailed
from .samples import GroundingSample
from .screen import resized_size

if TYPE_CHECKING:
    from PIL.Image import Image

AHEAD = 2
"""Batches begun before the model asks for them: one being decoded, and one being made into tensors."""
SMALLEST_SIDE = 2
"""Pixels: a picture that is narrower or lower shows nothing to click."""


@dataclass(frozen=True)
class Prepared:
    """A batch as the model takes it.

    Args:
        asked: The samples that can be asked.
        inputs: Their tensors, on the CPU; `None` without any.
        sizes: `(width, height)` of each one's screenshot in pixels as the model sees it; `None` where the processor
            doesn't say.
        left_out: `(id, reason)` of the samples whose picture can't be used.
    """

    asked: tuple[GroundingSample, ...] = ()
    inputs: Any = None
    sizes: tuple[tuple[int, int] | None, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()


class BatchLoader:
    """Prepares batches in the background, in their order, while the model answers those before.

    One thread decodes pictures and one runs the processor, so neither a sample's `open()` nor the processor is ever
    entered twice at once. Two batches of pictures at most are decoded at any time, however many samples there are.

    Args:
        processor: The model's.
        batches: Of samples, in the order in which they are taken.
    """

    def __init__(self, processor: Any, batches: Iterable[Sequence[GroundingSample]]) -> None:
        self._processor = processor
        self._left = deque(batches)
        self._opener = ThreadPoolExecutor(1, thread_name_prefix="oaml-open")
        self._preparer = ThreadPoolExecutor(1, thread_name_prefix="oaml-prepare")
        self._coming: deque[Future[Prepared]] = deque()

    def __enter__(self) -> BatchLoader:
        for _ in range(AHEAD):
            self._begin_next()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pool in (self._opener, self._preparer):
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in (self._opener, self._preparer):
            pool.shutdown()

    def take(self) -> Prepared:
        """The next batch, empty where there is none left; begins another.

        Raises:
            SampleFailed: What happened to one of its samples is no matter of its picture; `__cause__` says what.
        """
        if not self._coming:
            return Prepared()
        batch = self._coming.popleft().result()
        self._begin_next()
        return batch

    def _begin_next(self) -> None:
        if self._left:
            samples = self._left.popleft()
            opened = self._opener.submit(_open_all, samples)
            self._coming.append(
                self._preparer.submit(lambda: _prepare_opened(self._processor, samples, opened.result()))
            )


def prepare(processor: Any, samples: Sequence[GroundingSample]) -> Prepared:
    """Open the samples' pictures and make one batch of those that can be asked.

    Args:
        processor: The model's.
        samples: Any number of them.

    Raises:
        SampleFailed: Something else than a missing, broken or refused picture.
    """
    return _prepare_opened(processor, samples, _open_all(samples))


def _prepare_opened(processor: Any, samples: Sequence[GroundingSample], opened: Sequence[_Opened | str]) -> Prepared:
    left_out = {sample.id: found for sample, found in zip(samples, opened, strict=True) if isinstance(found, str)}
    asked = [(s, found) for s, found in zip(samples, opened, strict=True) if not isinstance(found, str)]
    try:
        inputs = _inputs(processor, [found for _, found in asked])
    except Exception:  # whatever it is: which sample does it come from?
        refused = {sample.id: reason for sample, found in asked if (reason := _refused(processor, sample, found))}
        if not refused:
            raise
        left_out |= refused
        asked = [(sample, found) for sample, found in asked if sample.id not in refused]
        inputs = _inputs(processor, [found for _, found in asked])
    return Prepared(
        asked=tuple(sample for sample, _ in asked),
        inputs=inputs,
        sizes=_sizes(processor, inputs, [found for _, found in asked]),
        left_out=tuple((sample.id, left_out[sample.id]) for sample in samples if sample.id in left_out),
    )


def stand_in(processor: Any, sample: GroundingSample) -> Any:
    """Inputs for a rank that must generate along with others and has nothing to ask: the sample on a blank screen."""
    from PIL import Image

    image = Image.new("RGB", (224, 224))
    return _inputs(processor, [_Opened(sample.chat(image), image)])


@dataclass(frozen=True)
class _Opened:
    chat: list[Message]
    screen: Image

    @property
    def images(self) -> list[Any]:
        return [part["image"] for turn in self.chat for part in turn["content"] if "image" in part]


def _open_all(samples: Sequence[GroundingSample]) -> list[_Opened | str]:
    return [_open(sample) for sample in samples]


def _open(sample: GroundingSample) -> _Opened | str:
    """The sample with its picture, or why it can't be asked."""
    try:
        image = sample.open_image()
        if min(image.size) < SMALLEST_SIDE:
            raise ValueError(f"a picture of {image.width}x{image.height} pixels shows nothing to click")
        return _Opened(sample.chat(image), image)
    except (OSError, ValueError) as error:
        return _reason(sample, error)
    except Exception as error:
        raise SampleFailed(sample.id) from error


def _refused(processor: Any, sample: GroundingSample, opened: _Opened) -> str | None:
    """Why the processor refuses a picture, such as one that is far too long; `None` if it takes it."""
    try:
        _inputs(processor, [opened])
    except (OSError, ValueError) as error:
        return _reason(sample, error)
    except Exception as error:
        raise SampleFailed(sample.id) from error
    return None


def _reason(sample: GroundingSample, error: Exception) -> str:
    place = f"{sample.image}: " if isinstance(sample.image, Path) else ""
    return f"{place}{type(error).__name__}: {error}"


def _inputs(processor: Any, opened: Sequence[_Opened]) -> Any:
    if not opened:
        return None
    prompts = [processor.apply_chat_template(o.chat, tokenize=False, add_generation_prompt=True) for o in opened]
    images = [image for o in opened for image in o.images]
    # Left padding: with the other kind most answers of a mixed batch are wrong.
    return processor(text=prompts, images=images, padding=True, padding_side="left", return_tensors="pt")


def _sizes(processor: Any, inputs: Any, opened: Sequence[_Opened]) -> tuple[tuple[int, int] | None, ...]:
    grids = None if inputs is None else inputs.get("image_grid_thw")
    patch = getattr(processor.image_processor, "patch_size", None)
    if grids is None or not isinstance(patch, int):
        return (None,) * len(opened)
    sizes = []
    first = 0
    for one in opened:
        screen = next(i for i, image in enumerate(one.images) if image is one.screen)
        sizes.append(resized_size(grids[first + screen].tolist(), patch))
        first += len(one.images)
    return tuple(sizes)
