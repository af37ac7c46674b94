"""What lies where in a run folder. The training writes it; the viewer reads it, and openadapt-ml's own pages do.

```
training_output/
  current -> <run_id>              the run that was begun last
  <run_id>/
    training_log.json              openadapt-ml 0.17.0's, bounded: see `openadapt_log`
    predictions_epoch<N>.json      openadapt-ml's, bounded
    screenshots/<digest>.png       each picture once, by its content
    oaml/run.json                  what the run is
    oaml/progress.json             where it stands: written anew every two seconds, the run's sign of life
    oaml/history.jsonl             one line per log event, as W&B's history has it
    oaml/evaluations.jsonl         one line per evaluation: its metrics, and where its answers lie
    oaml/samples_<set>.jsonl       one line per sample of an evaluation set, in the order of their first evaluation
    oaml/answers_<set>_<step>.jsonl   one line per answer of one evaluation; `base` for the base model's
```

Files of lines grow at their end; all others are replaced whole, so that a reader finds the old or the new one, and a
training that dies leaves no half of one but the last line of a file of lines.
"""

from __future__ import annotations

from ..values import fit_file_name

VERSION = 1
"""Of the files below `oaml/`; written into `run.json`."""

RUNS_DIR = "training_output"
"""Where run folders go and are looked for, below the working directory: openadapt-ml's own place."""

CURRENT = "current"
SCREENSHOTS = "screenshots"
TRAINING_LOG = "training_log.json"

OWN = "oaml"
RUN = f"{OWN}/run.json"
PROGRESS = f"{OWN}/progress.json"
HISTORY = f"{OWN}/history.jsonl"
EVALUATIONS = f"{OWN}/evaluations.jsonl"

BASE = "base"
"""What stands in the place of the base model's step."""

BEAT_SECONDS = 2.0
"""How often a training gives a sign of life."""

SILENT_SECONDS = 30.0
"""Without a sign of life for so long, a training is taken for dead."""


def folder_name(run_id: str) -> str:
    """What a run's folder is called: its id, where that can be a name and is none of another meaning."""
    name = fit_file_name(run_id)
    return f"_{name}" if name == CURRENT or name.startswith(".") else name


def samples_file(split: str) -> str:
    """Where the samples of an evaluation set lie."""
    return f"{OWN}/samples_{fit_file_name(split)}.jsonl"


def answers_file(split: str, step: int, *, baseline: bool = False) -> str:
    """Where the answers of one evaluation lie."""
    return f"{OWN}/answers_{fit_file_name(split)}_{_when(step, baseline)}.jsonl"


def evaluation_key(split: str, step: int, *, baseline: bool = False) -> str:
    """An evaluation's name in the viewer's URLs: `eval@30`, `eval@base` for the base model's."""
    return f"{split}@{_when(step, baseline)}"


def _when(step: int, baseline: bool) -> str:
    # Not by its step: with `eval_on_start` there are two evaluations before the first.
    return BASE if baseline else str(step)
