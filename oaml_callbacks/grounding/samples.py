"""What a model is asked to click: [`GroundingSample`], and the reader of openadapt-ml's SFT rows."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast, overload

from ..chat import Message, place_images
from .targets import Box, BoxTarget, Target

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")


class SampleFileError(ValueError):
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
            ValueError: It can't be decoded (also Pillow's `DecompressionBombError`, turned into one).
        """
        from PIL import Image

        picture: Image.Image
        try:
            if isinstance(self.image, Path):
                with Image.open(self.image) as picture:
                    return picture.convert("RGB")
            picture = self.image if isinstance(self.image, Image.Image) else cast(Picture, self.image).open()
            return picture.convert("RGB")
        except (Image.DecompressionBombError, SyntaxError) as error:
            # What Pillow's decoders raise beside OSError and ValueError.
            raise ValueError(str(error)) from error

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


def read_sft_rows(path: str | Path) -> list[dict[str, Any]]:
    """Read a JSONL file of openadapt-ml SFT rows, with the paths of the pictures made absolute.

    A row is `{"images": [path], "messages": [system, user, assistant]}` (openadapt-ml 0.17.0,
    `datasets/next_action.py`), and may have a `"bbox": [left, top, right, bottom]` in shares of the screen and a
    `"group"`. Paths are relative to the file's folder. Empty lines are passed over.

    Raises:
        FileNotFoundError: There is no such file.
        SampleFileError: A line that is no such row (its number and why), a picture that isn't there or is none, or no
            row at all.
    """
    path = Path(path)

    def read(line: str, number: int) -> dict[str, Any]:
        row = _sft_row(line, path.parent)
        for image in row["images"]:
            _check_picture(Path(image))
        return row

    return _read_lines(path, read)


def read_sft_samples(path: str | Path) -> list[GroundingSample]:
    """Read a JSONL file of SFT rows as samples to evaluate on: see [`read_sft_rows`]; each row needs its `bbox`.

    Pictures aren't looked at here: one that is missing is named and counted when the evaluation comes to it.

    Raises:
        FileNotFoundError: There is no such file.
        SampleFileError: A line that is no such row, or has no usable box: its number and why; or no row at all.
    """
    path = Path(path)
    return _read_lines(
        path, lambda line, number: sample_from_sft_row(_sft_row(line, path.parent), f"{path.name}:{number}")
    )


def sample_from_sft_row(row: Mapping[str, Any], sample_id: str) -> GroundingSample:
    """Make a sample of an SFT row that has a `bbox`; everything from the last assistant turn on is the answer.

    Raises:
        ValueError: Not exactly one picture, no question before the answer, or no usable box.
    """
    if len(row["images"]) != 1:
        raise ValueError(f"expected one picture, found {len(row['images'])}")
    if row.get("bbox") is None:
        raise ValueError('there is no "bbox": [left, top, right, bottom], so a click cannot be graded')
    answers = [i for i, message in enumerate(row["messages"]) if message["role"] == "assistant"]
    messages = row["messages"][: answers[-1]] if answers else row["messages"]
    if not any(message["role"] == "user" for message in messages):
        raise ValueError("no user message comes before the answer")
    place_images(messages, [object()])  # raises where the picture has no place, or several
    image = row["images"][0]
    return GroundingSample(
        id=sample_id,
        image=Path(image) if isinstance(image, str) else image,
        messages=tuple(messages),
        target=BoxTarget(*_check_box(row["bbox"])),
        groups={"group": row["group"]} if row.get("group") else {},
        answer=row["messages"][answers[-1]]["content"] if answers else None,
    )


def _read_lines(path: Path, read: Callable[[str, int], T]) -> list[T]:
    """What `read` makes of each line that isn't empty; its ValueErrors get the file's name and the line's number."""
    found = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                text = line.decode("utf-8")  # a UnicodeDecodeError is a ValueError
                if text.strip():
                    found.append(read(text, number))
            except ValueError as error:
                raise SampleFileError(f"{path}, line {number}: {error}.") from None
    if not found:
        raise SampleFileError(f"{path} has no rows. Expected one JSON object a line, with images and messages.")
    return found


def _check_picture(path: Path) -> None:
    from PIL import Image, UnidentifiedImageError

    if not path.is_file():
        raise ValueError(f"the picture {path} does not exist")
    try:
        with Image.open(path):  # reads the file's head alone
            return
    except (OSError, UnidentifiedImageError) as error:
        raise ValueError(f"the picture {path} can't be opened: {error}") from None


def _sft_row(line: str, folder: Path) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from None
    if not isinstance(row, dict):
        raise ValueError(f"expected a JSON object, found {type(row).__name__}")
    images, messages = row.get("images"), row.get("messages")
    if not isinstance(images, list) or not images or not all(isinstance(image, str) for image in images):
        raise ValueError('"images" must be a list of paths, with one at least')
    if not isinstance(messages, list) or not messages:
        raise ValueError('"messages" must be a list of {"role", "content"}, with one at least')
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str) or "content" not in message:
            raise ValueError('each of "messages" must have a "role" and a "content"')
        parts = message["content"]
        if not isinstance(parts, str) and not (isinstance(parts, list) and all(isinstance(p, dict) for p in parts)):
            raise ValueError('a message\'s "content" must be text, or a list of parts')
    return {**row, "images": [str((folder / image).absolute()) for image in images]}


def _check_box(box: Any) -> Box:
    try:
        left, top, right, bottom = (float(edge) for edge in box)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"bbox must be four numbers [left, top, right, bottom], found {box!r}") from None
    if not all(math.isfinite(edge) for edge in (left, top, right, bottom)):
        raise ValueError(f"bbox must be finite, found {box!r}")
    if left > right or top > bottom:
        raise ValueError(f"bbox must be [left, top, right, bottom] with left ≤ right and top ≤ bottom, found {box!r}")
    if min(left, top) < 0 or max(right, bottom) > 1:
        raise ValueError(
            f"bbox must be in shares of the screen, 0-1, found {box!r}; divide pixels by width and height"
        )
    return left, top, right, bottom
