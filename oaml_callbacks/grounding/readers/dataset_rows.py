"""Rows of a `datasets.Dataset`, or of any sequence of mappings, with their pictures left where they are."""

from __future__ import annotations

import io
import operator
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..samples import Picture, SampleProblem
from .rows import Row, Size, picture_size

if TYPE_CHECKING:
    from PIL.Image import Image

_COLUMNS = ("image", "images")
"""Where a row's picture is looked for in sequences that don't say which of their columns hold pictures."""


class DatasetPicture:
    """A picture in a dataset, fetched and decoded when it is opened, and not kept.

    Args:
        rows: The dataset.
        index: The row.
        column: The picture's column.
        position: Which of the row's pictures, where the column holds a list; `None` where it holds one.
        encoded_rows: The same dataset, giving pictures as `{"bytes", "path"}`, if there is such a view.
    """

    def __init__(
        self, rows: Any, index: int, column: str, position: int | None = None, *, encoded_rows: Any = None
    ) -> None:
        self._rows, self._encoded_rows = rows, encoded_rows
        self._index, self._column, self._position = index, column, position

    def __repr__(self) -> str:
        return f"{self._column!r} of row {self._index}"

    def open(self) -> Image:
        """Fetch and decode it; raises OSError or ValueError if that can't be."""
        return _decoded(self._one(self._rows[self._index][self._column]))

    def encoded(self) -> bytes | None:
        """The bytes of its file, not decoded; `None` where the dataset holds it decoded, or as a path."""
        value = self._stored()
        data = value.get("bytes") if isinstance(value, Mapping) else None
        return data if isinstance(data, bytes) else None

    def size(self) -> Size:
        """Width and height, without decoding where that can be; raises ValueError if it can't be told."""
        value = self._stored()
        if isinstance(value, Mapping) and isinstance(value.get("bytes"), bytes):
            from PIL import Image

            return picture_size(Image.open(io.BytesIO(value["bytes"])))
        if isinstance(value, Mapping):
            value = value.get("path")
        return picture_size(Path(value)) if isinstance(value, (str, Path)) else picture_size(self.open())

    def _stored(self) -> Any:
        if self._encoded_rows is None:
            return self._one(self._rows[self._index][self._column])
        return self._one(self._encoded_rows[self._index].column(self._column)[0].as_py())

    def _one(self, value: Any) -> Any:
        return value if self._position is None else value[self._position]


def dataset_rows(dataset: Any, indices: Sequence[int] | None, *, images: Path) -> Iterator[Row | SampleProblem]:
    """The rows of a dataset, or those of `indices`, in the order given.

    Args:
        dataset: Has a length, and gives mappings by index.
        indices: Which rows; `None`: all.
        images: The folder that pictures given as paths are relative to.

    Raises:
        TypeError: It isn't such a dataset.
        IndexError: An index that it doesn't have.
    """
    if isinstance(dataset, Mapping):
        raise TypeError(
            f"Expected one split of the dataset, such as dataset[{next(iter(dataset), 'test')!r}], found all."
        )
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise TypeError(f"Expected a dataset with a length and rows by index, found {type(dataset).__name__}.")
    chosen = range(len(dataset)) if indices is None else [operator.index(index) for index in indices]
    if outside := [index for index in chosen if not 0 <= index < len(dataset)]:
        raise IndexError(f"The dataset has {len(dataset)} rows, so there is no row {outside[0]}.")
    rows = _columns_rows if _is_datasets(dataset) else _plain_rows
    yield from rows(dataset, chosen, images)


def _is_datasets(dataset: Any) -> bool:
    """Whether it is a `datasets.Dataset` whose rows aren't made by a transform of the user's."""
    module = sys.modules.get("datasets")
    return module is not None and isinstance(dataset, module.Dataset) and dataset.format["type"] != "custom"


def _columns_rows(dataset: Any, chosen: Sequence[int], images: Path) -> Iterator[Row | SampleProblem]:
    """Rows of a `datasets.Dataset`. Of its picture columns only whether, and how many, there are is looked at."""
    plain = dataset.with_format(None)
    columns = [name for name, feature in dataset.features.items() if _holds_pictures(feature)]
    pictures = {
        name: (plain.select_columns([name]), plain.select_columns([name]).with_format("arrow")) for name in columns
    }
    words = plain.select_columns([name for name in plain.column_names if name not in pictures])
    for index in chosen:
        fields = dict(words[index]) if words.column_names else {}
        for name, (decoded, stored) in pictures.items():
            cell = stored[index].column(name).chunk(0)  # a slice of the file, not a copy
            fields[name] = _pictures(cell, decoded, index, name, stored)
        yield Row(fields, f"row {index}", images)


def _pictures(cell: Any, decoded: Any, index: int, name: str, stored: Any) -> Picture | list[Picture] | None:
    if cell.null_count:
        return None
    if not hasattr(cell, "value_lengths"):  # pyarrow's arrays of lists have it
        return DatasetPicture(decoded, index, name, encoded_rows=stored)
    count = cell.value_lengths()[0].as_py()
    return [DatasetPicture(decoded, index, name, position, encoded_rows=stored) for position in range(count)]


def _holds_pictures(feature: Any) -> bool:
    """Whether a column holds a picture in each row, or a list of them."""
    inner = feature[0] if isinstance(feature, list) and feature else getattr(feature, "feature", feature)
    return isinstance(inner, sys.modules["datasets"].Image)


def _plain_rows(dataset: Any, chosen: Sequence[int], images: Path) -> Iterator[Row | SampleProblem]:
    for index in chosen:
        place = f"row {index}"
        try:
            fields = dataset[index]
        except (OSError, ValueError) as error:
            yield SampleProblem(place, f"it can't be read: {error}")
            continue
        if not isinstance(fields, Mapping):
            yield SampleProblem(place, f"expected a mapping of names and values, found {type(fields).__name__}")
            continue
        lazy = {name: _lazily(dataset, index, name, fields[name]) for name in _COLUMNS if fields.get(name) is not None}
        yield Row({**fields, **lazy}, place, images)


def _lazily(dataset: Any, index: int, name: str, value: Any) -> Any:
    """The value with pictures that aren't paths replaced by ones that fetch the row again when they are opened."""
    if isinstance(value, (list, tuple)):
        return [
            one if isinstance(one, (str, Path)) else DatasetPicture(dataset, index, name, position)
            for position, one in enumerate(value)
        ]
    return value if isinstance(value, (str, Path)) else DatasetPicture(dataset, index, name)


def _decoded(value: Any) -> Image:
    from PIL import Image

    if isinstance(value, Image.Image):
        return value
    if isinstance(value, Mapping) and isinstance(value.get("bytes"), bytes):
        return Image.open(io.BytesIO(value["bytes"]))
    path = value.get("path") if isinstance(value, Mapping) else value
    if isinstance(path, (str, Path)):
        return Image.open(path)
    raise ValueError(f"expected a PIL image, a path, or bytes of a picture, found {type(value).__name__}")
