"""What a model is asked to click: [`GroundingSample`], sets of them, and the choice of a few out of many."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast, overload

from ..chat import Message, place_images
from ..errors import UserError
from .targets import Target

if TYPE_CHECKING:
    from PIL.Image import Image


class SampleFileError(UserError):
    """A samples file that cannot be used: says which line, and what is wrong with it."""


class Picture(Protocol):
    """A picture that is opened when it is needed, such as a dataset's."""

    def open(self) -> Image:
        """Open the picture; raises OSError or ValueError if it can't be."""


@dataclass(frozen=True)
class GroundingSample:
    """A screenshot, a request, and what has to be clicked.

    ```python
    GroundingSample(
        id="login-1",
        image="screens/login.png",
        messages=({"role": "user", "content": "Click Sign in."},),
        target=BoxTarget(0.42, 0.48, 0.52, 0.54),
    )
    ```

    Args:
        id: Names the sample in warnings and reports.
        image: The screenshot: a path, a PIL image, or an object whose `open()` gives one.
        messages: The conversation up to the answer, `{"role": ..., "content": ...}`; the picture is put into the first
            user turn unless a part `{"type": "image"}` says where it goes.
        target: What counts as right.
        groups: What to report by, besides the whole: `{"platform": "web", "type": "icon"}`.
        answer: The answer that the sample's row gives, as the model is trained to write it.

    Raises:
        ValueError: There are no messages.
    """

    id: str
    image: Path | str | Image | Picture
    messages: tuple[Message, ...]
    target: Target
    groups: Mapping[str, str] = field(default_factory=dict)
    answer: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.image, str):
            object.__setattr__(self, "image", Path(self.image))
        if not self.messages:
            raise ValueError(f"Sample {self.id} has no messages, so there is nothing to ask.")

    @property
    def instruction(self) -> str:
        """What the last user turn asks, as text."""
        for message in reversed(self.messages):
            if message["role"] == "user":
                content = message["content"]
                if isinstance(content, str):
                    return content
                return "\n".join(part["text"] for part in content if part.get("text"))
        return ""

    def open_image(self) -> Image:
        """The screenshot, decoded, as RGB.

        Raises:
            OSError: It is missing, cut short, or no picture.
            ValueError: It can't be decoded, or has more pixels than Pillow takes for honest (twice
                `PIL.Image.MAX_IMAGE_PIXELS`, which is 179 million in all).
        """
        from PIL import Image

        picture: Image.Image
        try:
            if isinstance(self.image, Path):
                with Image.open(self.image) as picture:
                    return picture.convert("RGB")
            picture = self.image if isinstance(self.image, Image.Image) else cast(Picture, self.image).open()
            return picture.convert("RGB")
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ValueError(
                f"The picture is too large: {error} Scale it down, or, if you trust it, raise "
                "PIL.Image.MAX_IMAGE_PIXELS."
            ) from error
        except (SyntaxError, TypeError) as error:
            # What Pillow's decoders raise for broken PNG and TIFF files, beside OSError and ValueError.
            raise ValueError(f"The picture can't be decoded: {error}") from error

    def chat(self, image: Image) -> list[Message]:
        """The messages a chat template takes, with `image` in its place."""
        return place_images(self.messages, [image])


@dataclass(frozen=True)
class SampleProblem:
    """A row that can't be a sample: where it stands, and why."""

    place: str
    reason: str


class Samples(Sequence[GroundingSample]):
    """Samples as a reader gives them, with what it had to leave out.

    Args:
        samples: Those that can be asked and graded.
        problems: Rows that are broken; an evaluation counts them in `grounding_skipped`.
        ungraded: How many rows are whole, and ask for something that has no place (typing, waiting).
        macro: The groups over whose cells the benchmark's paper averages the accuracy, such as `("platform", "type")`.
    """

    def __init__(
        self,
        samples: Sequence[GroundingSample],
        *,
        problems: Sequence[SampleProblem] = (),
        ungraded: int = 0,
        macro: Sequence[str] = (),
    ) -> None:
        self._samples = tuple(samples)
        self.problems = tuple(problems)
        self.ungraded = ungraded
        self.macro = tuple(macro)

    @overload
    def __getitem__(self, index: int) -> GroundingSample: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[GroundingSample]: ...

    def __getitem__(self, index: int | slice) -> GroundingSample | Sequence[GroundingSample]:
        return self._samples[index]

    def __len__(self) -> int:
        return len(self._samples)

    def __iter__(self) -> Iterator[GroundingSample]:
        return iter(self._samples)

    def __repr__(self) -> str:
        return f"<Samples: {len(self)}, {len(self.problems)} problems, {self.ungraded} ungraded>"


def choose(samples: Sequence[GroundingSample], max_samples: int | None, *, seed: int = 0) -> Samples:
    """At most `max_samples` of the samples, drawn from the whole set, in their order: see [`chosen_indices`].

    Problems, the count of ungraded rows and the averaging of a [`Samples`] are carried over.

    Args:
        samples: What to choose from.
        max_samples: How many to keep; `None`: all.
        seed: Another seed gives another choice.

    Raises:
        ValueError: `max_samples` is below 1.
    """
    kept = [samples[index] for index in chosen_indices(len(samples), max_samples, seed=seed)]
    if not isinstance(samples, Samples):
        return Samples(kept)
    return Samples(kept, problems=samples.problems, ungraded=samples.ungraded, macro=samples.macro)


def chosen_indices(total: int, max_samples: int | None, *, seed: int = 0) -> list[int]:
    """At most `max_samples` of the indices below `total`, ascending: the same ones in every run, on any machine.

    They follow from `total`, `max_samples` and `seed` alone (the smallest SHA-256 digests of seed and index), not from
    a random generator, whose draws may change with its library. A larger `max_samples` keeps what a smaller one had.

    Raises:
        ValueError: `max_samples` is below 1.
    """
    if max_samples is not None and max_samples < 1:
        raise ValueError(f"max_samples must be at least 1, or None for all, found {max_samples}.")
    if max_samples is None or max_samples >= total:
        return list(range(total))
    drawn = sorted(range(total), key=lambda index: hashlib.sha256(f"{seed}:{index}".encode()).digest())
    return sorted(drawn[:max_samples])
