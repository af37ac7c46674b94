"""openadapt-ml's own training command, run in this process."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .clean_text import one_line
from .errors import UserError
from .openadapt_ml import KNOWN, OpenAdaptMLError, OpenAdaptMLTrainings, openadapt_ml_tracking

if TYPE_CHECKING:
    from .callback import OpenAdaptWandbCallback

SCRIPT = "openadapt_ml.scripts.train"


def run_train_script(
    arguments: Sequence[str],
    callback: OpenAdaptWandbCallback | None,
    *,
    eval_dataset: Any = None,
    eval_steps: int | None = None,
) -> OpenAdaptMLTrainings:
    """Run `python -m openadapt_ml.scripts.train` with these arguments in this process, tracked.

    Args:
        arguments: As they would be typed behind it.
        callback: As for [`openadapt_ml_tracking`], and so what follows.
        eval_dataset: What to evaluate on.
        eval_steps: How often.

    Raises:
        UserError: What was given can't be trained on, found before the training begins; or a package is missing.
        SystemExit: Its own argument parser's.
    """
    trainings = None
    before = sys.argv
    try:
        with openadapt_ml_tracking(callback, eval_dataset=eval_dataset, eval_steps=eval_steps) as trainings:
            _check_config(arguments)
            sys.argv = ["oaml openadapt-ml-train", *arguments]
            runpy.run_module(SCRIPT, run_name="__main__")
    except ImportError as error:
        how = "" if "install" in str(error) else f'. Try: pip install "openadapt-ml[training]=={KNOWN}*"'
        raise OpenAdaptMLError(f"a package is missing: {error}{how}") from error
    except (OSError, ValueError) as error:
        if isinstance(error, UserError) or (trainings is not None and trainings.begun):
            raise
        named = isinstance(error, OSError) and error.filename is not None
        raise OpenAdaptMLError(f"{error.filename}: {error.strerror}" if named else str(error)) from error  # type: ignore[union-attr]
    finally:
        sys.argv = before
    return trainings


def _check_config(arguments: Sequence[str]) -> None:
    """Say what is wrong with the configuration file, where the script would end in a KeyError or the like."""
    import yaml

    paths = [one.partition("=")[2] for one in arguments if one.startswith("--config=")]
    paths += [value for one, value in pairwise(arguments) if one == "--config"]
    for path in paths[-1:]:
        try:
            config = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise OpenAdaptMLError(f"{path} is no YAML: {one_line(str(error))}") from None
        model = config.get("model") if isinstance(config, dict) else None
        if not isinstance(model, dict) or not isinstance(model.get("name"), str):
            raise OpenAdaptMLError(
                f"{path} names no model: expected `model: {{name: Qwen/Qwen3-VL-2B-Instruct}}` in it."
            )
        for section in ("training", "synthetic_data"):
            if not isinstance(config.get(section, {}), dict):
                raise OpenAdaptMLError(
                    f"{path}: {section} has no settings. Write `name: value` below it, or delete it."
                )
