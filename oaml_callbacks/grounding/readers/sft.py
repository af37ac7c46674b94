"""openadapt-ml's and TRL's supervised fine-tuning rows: `{"images": [path], "messages": [system, user, assistant]}`.

What is right is the row's `bbox` ([left, top, right, bottom]), or its `point` with a `tolerance`, in shares of the
screen. Without either it is where the row's own answer points, within a tolerance of 0.05 (the L2 click tolerance of
openadapt-ml 0.17.0); for set-of-marks answers (`CLICK([3])`) the mark. Rows whose answer points nowhere (`TYPE`,
`WAIT`, `DONE`) are counted apart.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...chat import place_images
from ..actions import AnswerReader
from ..samples import GroundingSample, SampleFileError
from ..targets import DEFAULT_TOLERANCE, MarkTarget, PointTarget, RefusalTarget, Target
from .fields import box_target, check_inside, check_messages, grouping, numbers
from .format import Format, ReadOptions, Resize
from .rows import Row, parse_json


def sample(row: Row, options: ReadOptions) -> GroundingSample | None:
    """The sample that a row describes; everything from the last assistant turn on is the answer."""
    picture = row.picture("images", "image")
    messages = check_messages(row["messages"])
    answers = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    asked = messages[: answers[-1]] if answers else messages
    if not any(message["role"] == "user" for message in asked):
        raise ValueError("no user message comes before the answer")
    place_images(asked, [object()])  # raises where the picture has no place, or several
    answer = _text(messages[answers[-1]]["content"]) if answers else None
    target = _given_target(row, options) or _answers_target(row, picture, answer, options)
    if target is None:
        return None
    groups = {} if row.get("groups") is None else grouping(row["groups"])
    if row.get("group"):
        groups["group"] = str(row["group"])
    return GroundingSample(
        id=row.id, image=picture, messages=tuple(asked), target=target, groups=groups, answer=answer
    )


def sample_from_sft_row(
    row: Mapping[str, Any],
    sample_id: str,
    *,
    tolerance: float = DEFAULT_TOLERANCE,
    reader: AnswerReader | None = None,
    resized: Resize | None = None,
) -> GroundingSample | None:
    """Make a sample of one SFT row; `None` if its answer points nowhere, such as `TYPE(text="…")`.

    Args:
        row: `images` (one path or PIL image), `messages`, and `bbox`, `point`, `tolerance`, `group` or `groups`.
        sample_id: The sample's id.
        tolerance: See [`read_samples`], as the others.
        reader: Reads the answer.
        resized: The processor's resizing.

    Raises:
        ValueError: Not exactly one picture, no question before the answer, or nothing that says where to click.
    """
    made = sample(
        Row(row, sample_id, Path()), ReadOptions(tolerance=tolerance, reader=reader or AnswerReader(), resized=resized)
    )
    return None if made is None else dataclasses.replace(made, id=sample_id)


def read_sft_rows(path: str | Path) -> list[dict[str, Any]]:
    """Read a JSONL file of openadapt-ml SFT rows to train on, with the paths of the pictures made absolute.

    A row is `{"images": [path], "messages": [system, user, assistant]}` (openadapt-ml 0.17.0,
    `datasets/next_action.py`), and may have a `"bbox": [left, top, right, bottom]` in shares of the screen and a
    `"group"`. Paths are relative to the file's folder. Empty lines are passed over.

    Raises:
        FileNotFoundError: There is no such file.
        SampleFileError: A line that is no such row (its number and why), a picture that isn't there or is none, or no
            row at all.
    """
    path = Path(path)
    rows = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                if line.strip():
                    rows.append(_training_row(parse_json(line), path.parent))
            except ValueError as error:
                raise SampleFileError(f"{path}, line {number}: {error}.") from None
    if not rows:
        raise SampleFileError(f"{path} has no rows. Expected one JSON object a line, with images and messages.")
    return rows


def _training_row(row: Any, folder: Path) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise ValueError(f"expected a JSON object, found {type(row).__name__}")
    images = row.get("images")
    if not isinstance(images, list) or not images or not all(isinstance(image, str) for image in images):
        raise ValueError('"images" must be a list of paths, with one at least')
    check_messages(row.get("messages"))
    paths = [(folder / image).absolute() for image in images]
    for path in paths:
        _check_picture(path)
    return {**row, "images": [str(path) for path in paths]}


def _check_picture(path: Path) -> None:
    from PIL import Image, UnidentifiedImageError

    if not path.is_file():
        raise ValueError(f"the picture {path} does not exist")
    try:
        with Image.open(path):  # reads the file's head alone
            return
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ValueError(f"the picture {path} can't be opened: {error}") from None


def _given_target(row: Row, options: ReadOptions) -> Target | None:
    if row.get("bbox") is not None:
        return box_target(row["bbox"], inside=True)
    if row.get("point") is None:
        return None
    x, y = numbers(row["point"], "point", 2, "[x, y]")
    check_inside([x, y], row["point"], None, "point")
    return PointTarget(x, y, _tolerance(row, options))


def _answers_target(row: Row, picture: Any, answer: str | None, options: ReadOptions) -> Target | None:
    if answer is None:
        raise ValueError('there is no "bbox", no "point" and no answer, so nothing says where to click')
    size = options.resized(*row.size(picture)) if options.resized is not None else None
    action = options.reader.read(answer, resized_size=size)
    if action.status == "unreadable":
        raise ValueError(
            f'there is no "bbox" and no "point", and the answer can\'t be read: {answer!r:.80}; if it is written in '
            "some model family's form, name that family to the answer's reader"
        )
    if action.status == "refusal":
        return RefusalTarget()
    if action.mark is not None:
        return MarkTarget(action.mark)
    return None if action.point is None else PointTarget(*action.point, _tolerance(row, options))


def _tolerance(row: Row, options: ReadOptions) -> float:
    if row.get("tolerance") is None:
        return options.tolerance
    (tolerance,) = numbers([row["tolerance"]], "tolerance", 1, "above 0")
    return tolerance


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if isinstance(part.get("text"), str))


FORMAT = Format("sft", sample)
