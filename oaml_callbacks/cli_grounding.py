"""`oaml grounding`: argument handling alone. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from .cli_common import AsJson, Debug, log_to_stderr, print_json, sub_app, told_errors

if TYPE_CHECKING:
    from .grounding.actions import AnswerReader, Space
    from .grounding.readers.format import Resize
    from .grounding.samples import Samples

app = sub_app("grounding", "Check samples and grade answers, without a model.")

_CHECK_HELP = """Find what is wrong with samples before a model is blamed.

Are all rows whole; do the labels hit their own targets, as the parser reads them; is every picture there and whole;
does every box lie on its screen; do targets stay visible when the processor has shrunk the picture (with --model);
are samples trained on, too (with --train)?

Examples:

\b
  oaml grounding check eval.jsonl --format sft --family openadapt
  oaml grounding check eval.jsonl --train train.jsonl --model Qwen/Qwen3-VL-2B-Instruct
  oaml grounding check ScreenSpot-v2 --format screenspot-v2 --train train.jsonl

Exit codes: 0 nothing found; 1 problems found; 2 a mistake in the arguments or a file that can't be read.
"""
_SCORE_HELP = """Grade a file of answers by the rules of an evaluation.

A line of the file is `{"id": "…", "answer": "…"}`, the id being a sample's. Without any ids the answers are in the
samples' order. Answers in pixels need the size of the picture as the model saw it: `"resized_size": [width, height]`
in each line, or --model.

Examples:

\b
  oaml grounding score answers.jsonl --samples eval.jsonl --family qwen3_vl
  oaml grounding score answers.jsonl --samples ScreenSpot-v2 --format screenspot-v2 --rows graded.jsonl

Exit codes: 0 graded; 2 a mistake in the arguments or a file that can't be read.
"""

_Format = Annotated[
    str, typer.Option("--format", metavar="F", help="The samples' format: jsonl, sft, or a benchmark's.")
]
_Images = Annotated[Path | None, typer.Option("--images", metavar="DIR", help="Where the pictures are.")]
_Family = Annotated[
    str | None, typer.Option("--family", metavar="F", help="The model family whose forms are read. Default: any form.")
]
_Space = Annotated[
    str, typer.Option("--space", metavar="S", help="What numbers are: auto, normalized, relative1000 or pixels.")
]
_Model = Annotated[
    str | None,
    typer.Option(
        "--model", "--processor", metavar="NAME|DIR", help="Whose processor says how far pictures are shrunk."
    ),
]
_MaxPixels = Annotated[
    int | None, typer.Option("--max-pixels", min=1, metavar="N", help="The processor's limit, width times height.")
]


@app.command(help=_CHECK_HELP, no_args_is_help=True)
def check(  # noqa: PLR0917  # called by typer alone
    samples: Annotated[Path, typer.Argument(metavar="SAMPLES", help="The samples to evaluate on.")],
    format: _Format = "jsonl",
    images: _Images = None,
    family: _Family = None,
    space: _Space = "auto",
    train: Annotated[Path | None, typer.Option("--train", metavar="TRAIN", help="The samples trained on.")] = None,
    train_format: Annotated[str, typer.Option("--train-format", metavar="F", help="Their format.")] = "sft",
    model: _Model = None,
    max_pixels: _MaxPixels = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Check samples; see `_CHECK_HELP`."""
    with _telling(debug, quiet=True):
        from rich.console import Console

        from .grounding.check import check_samples
        from .grounding_summary import print_findings

        resized, model_type = _processor(model, max_pixels)
        reader = _reader(family, space, model_type)
        findings = check_samples(
            _samples(samples, format, images, reader, resized),
            reader,
            train=_samples(train, train_format, None, reader, resized) if train is not None else None,
            resized=resized,
            progress=True,
        )
        if as_json:
            print_json([asdict(finding) for finding in findings])
        else:
            print_findings(findings, Console())
        raise typer.Exit(1 if any(finding.verdict == "problem" for finding in findings) else 0)


@app.command(help=_SCORE_HELP, no_args_is_help=True)
def score(  # noqa: PLR0917  # called by typer alone
    predictions: Annotated[Path, typer.Argument(metavar="PREDICTIONS.jsonl", help="The answers.")],
    samples: Annotated[Path, typer.Option("--samples", metavar="SAMPLES", help="What was asked.")],
    format: _Format = "jsonl",
    images: _Images = None,
    family: _Family = None,
    space: _Space = "auto",
    model: _Model = None,
    max_pixels: _MaxPixels = None,
    json_out: Annotated[
        Path | None, typer.Option("--json", metavar="OUT.json", help="Write the metrics here.")
    ] = None,
    rows_out: Annotated[
        Path | None, typer.Option("--rows", metavar="OUT.jsonl", help="Write every graded answer here.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Grade a file of answers; see `_SCORE_HELP`."""
    with _telling(debug):
        from rich.console import Console

        from .grounding.labels import explain_misses
        from .grounding.score import read_predictions, row_as_json, score_as_json, score_predictions
        from .grounding_summary import print_score

        resized, model_type = _processor(model, max_pixels)
        reader = _reader(family, space, model_type)
        asked = _samples(samples, format, images, reader, resized)
        scored = score_predictions(asked, read_predictions(predictions), reader, resized=resized)
        if json_out is not None:
            json_out.write_text(json.dumps(score_as_json(scored, reader), indent=2) + "\n", encoding="utf-8")
        if rows_out is not None:
            lines = (json.dumps(row_as_json(row), ensure_ascii=False) + "\n" for row in scored.report.rows)
            rows_out.write_text("".join(lines), encoding="utf-8")
        print_score(scored, explain_misses(scored.report, reader), Console())


def _samples(path: Path, format: str, images: Path | None, reader: AnswerReader, resized: Resize | None) -> Samples:
    from .grounding.readers import read_samples
    from .grounding.samples import SampleFileError

    try:
        return read_samples(path, format=format, images=images, reader=reader, resized=resized)
    except SampleFileError as error:
        raise SampleFileError(f"{error} They were read in the format {format}.") from None


def _reader(family: str | None, space: str, model_type: str | None) -> AnswerReader:
    from .grounding.actions import AnswerReader

    return AnswerReader(family=family, space=cast("Space", space), model_type=model_type)


def _processor(model: str | None, max_pixels: int | None) -> tuple[Resize | None, str | None]:
    """What a model's processor makes of a picture's size, and the model's type, where a model is given."""
    if model is None:
        if max_pixels is not None:
            raise ValueError("--max-pixels is a limit of a processor's: give --model, too")
        return None, None
    from .grounding.screen import ResizedSizes
    from .processors import load_processor

    try:
        processor = load_processor(model, max_pixels=max_pixels)
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(f"--model {model}: {error}") from error
    return ResizedSizes(processor).of, _model_type(model)


def _model_type(model: str) -> str | None:
    from transformers import AutoConfig

    try:
        config: Any = AutoConfig.from_pretrained(model)
    except (OSError, ValueError):  # a folder with a processor alone
        return None
    return cast("str | None", getattr(config, "model_type", None))


@contextmanager
def _telling(debug: bool, *, quiet: bool = False) -> Iterator[None]:
    """Show what readers warn of, and tell mistakes in a sentence.

    Args:
        debug: Show tracebacks.
        quiet: What readers warn of is among the findings, and needn't be said twice.
    """
    log_to_stderr()
    readers = logging.getLogger(f"{__package__}.grounding.readers")
    before = readers.level
    readers.setLevel(logging.ERROR if quiet else before)
    try:
        with told_errors(debug, mistakes=(ValueError, OSError)):  # the parsers', the processors' and the files'
            yield
    finally:
        readers.setLevel(before)
