"""Rows as they come out of files: JSON a line, or one JSON list."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..samples import Picture, SampleFileError, SampleProblem

if TYPE_CHECKING:
    from PIL.Image import Image

Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True)
class Row:
    """One row of a samples file or dataset.

    Args:
        fields: Its values by name. A `None` counts as not there: datasets fill up rows with it.
        place: Where it stands, for warnings: `"eval.jsonl:12"`.
        images: The folder that paths of pictures are relative to.
        source: The file's name without its ending, which tells some benchmarks' platforms; empty for a dataset.
        beside: What the format's second file says of the rows, where it has one.
    """

    fields: Mapping[str, Any]
    place: str
    images: Path
    source: str = ""
    beside: Any = None

    def __getitem__(self, name: str) -> Any:
        if (value := self.fields.get(name)) is None:
            raise ValueError(f'there is no "{name}"')
        return value

    def get(self, name: str) -> Any:
        """The value, or `None`."""
        return self.fields.get(name)

    @property
    def id(self) -> str:
        """The row's own id, or its place."""
        given = self.fields.get("id")
        return self.place if given is None or given == "" else str(given)

    def picture(self, *names: str) -> Path | Image | Picture:
        """The row's one picture, from the first of the named fields that it has.

        Raises:
            ValueError: There is none, or more than one, or it is no path and nothing that opens.
        """
        name = next((name for name in names if self.fields.get(name) is not None), None)
        if name is None:
            raise ValueError(f"there is no picture: expected its path in {' or '.join(map(repr, names))}")
        value = self.fields[name]
        if isinstance(value, (list, tuple)):
            if len(value) != 1:
                raise ValueError(f"expected one picture, found {len(value)}")
            (value,) = value
        if isinstance(value, (str, Path)) and str(value):
            return Path(os.path.abspath(os.path.join(self.images, value)))
        if hasattr(value, "open") or hasattr(value, "convert"):
            return value  # type: ignore[no-any-return]
        raise ValueError(f'"{name}" must be the path of a picture, found {value!r:.80}')

    def size(self, picture: Path | Image | Picture, *names: str) -> Size:
        """The picture's width and height: what one of the named fields says, else what the picture's own head says.

        Raises:
            ValueError: It can't be told.
        """
        for name in names:
            if (given := self.fields.get(name)) is not None:
                whole = isinstance(given, (list, tuple)) and len(given) == 2 and all(_positive(side) for side in given)
                if not whole:
                    raise ValueError(f'"{name}" must be [width, height] in pixels, found {given!r:.80}')
                return given[0], given[1]
        return picture_size(picture)


def picture_size(picture: Any) -> Size:
    """Width and height of a picture, of a file's from its head alone.

    Raises:
        ValueError: It is missing, or no picture.
    """
    from PIL import Image

    try:
        if isinstance(picture, Path):
            with Image.open(picture) as file:
                width, height = file.size
        elif isinstance(picture, Image.Image):
            width, height = picture.size
        else:
            width, height = picture.size() if hasattr(picture, "size") else picture.open().size
        return width, height
    except FileNotFoundError:
        raise ValueError(f"the picture {picture} does not exist") from None
    except (OSError, SyntaxError, TypeError, Image.DecompressionBombError) as error:
        raise ValueError(f"the picture {picture} can't be opened: {error}") from None


def file_rows(path: Path, *, label: str, images: Path, beside: Any = None) -> Iterator[Row | SampleProblem]:
    """The rows of a file: a list in a `.json` file, else one JSON object a line; empty lines are passed over.

    Args:
        path: The file.
        label: What problems call it.
        images: See [`Row`].
        beside: See [`Row`].

    Raises:
        FileNotFoundError: There is no such file.
        SampleFileError: A `.json` file that is no JSON list.
    """
    entries = _list_entries(path, label) if path.suffix == ".json" else _line_entries(path, label)
    for place, value in entries:
        if isinstance(value, ValueError):
            yield SampleProblem(place, str(value))
        elif isinstance(value, dict):
            yield Row(value, place, images, path.stem, beside)
        else:
            yield SampleProblem(place, f"expected a JSON object, found {type(value).__name__}")


def parse_json(text: bytes) -> Any:
    """A line's value; a `ValueError` says what is wrong with it."""
    try:
        return json.loads(text.decode("utf-8"))  # a UnicodeDecodeError is a ValueError
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise ValueError("not JSON that can be read: nested too deeply") from None


def _line_entries(path: Path, label: str) -> Iterator[tuple[str, Any]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                value: Any
                try:
                    value = parse_json(line)
                except ValueError as error:
                    value = error
                yield f"{label}:{number}", value


def _list_entries(path: Path, label: str) -> Iterator[tuple[str, Any]]:
    try:
        values = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise SampleFileError(
            f"{path} can't be read as JSON: {error}. If it holds one object a line, its name must end in .jsonl."
        ) from None
    if not isinstance(values, list):
        raise SampleFileError(f"{path} must hold a JSON list of rows, found {type(values).__name__}.")
    for index, value in enumerate(values):
        yield f"{label}[{index}]", value


def _positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf")
