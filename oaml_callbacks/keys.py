"""Every key this package writes, its unit and its meaning. README's table and the tests are made from here."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

STEP_KEY = "train/global_step"
"""The x axis of every chart: optimizer steps done, as transformers' own W&B integration logs it."""

GROUNDING_ACCURACY = "grounding_accuracy"
GROUNDING_DISTANCE = "grounding_distance"
GROUNDING_PARSED = "grounding_parsed"
GROUNDING_CORRECT = "grounding_correct"
GROUNDING_SAMPLES = "grounding_samples"
GROUNDING_SKIPPED = "grounding_skipped"
GROUNDING_UNREACHED = "grounding_unreached"
GROUNDING_ACCURACY_LOW = "grounding_accuracy_low"
GROUNDING_ACCURACY_HIGH = "grounding_accuracy_high"
GROUNDING_ACCURACY_MACRO = "grounding_accuracy_macro"
GROUNDING_MISSES = "grounding_misses"
GROUNDING_FIXED = "grounding_fixed"
GROUNDING_BROKEN = "grounding_broken"
GROUNDING_TABLE = "grounding_table"
GROUNDING_EMBEDDINGS = "grounding_embeddings"
GROUNDING_PAGE = "grounding_page"
GROUNDING_LABELS_OK = "grounding_labels_ok"
GROUNDING_SECONDS = "grounding_seconds"
GROUNDING_SAMPLES_PER_SECOND = "grounding_samples_per_second"

MAX_KEY = 200
"""Characters of a key: W&B makes files' names of some."""

_NOT_IN_FILES = re.compile(r'[<>:"|?*\\]')
_NOT_ASCII = re.compile(r'[^ -~]|[<>:"|?*\\]')

VIEWER_URL = "viewer_url"
DASHBOARD_URL = "dashboard_url"
OUTCOME = "outcome"

# transformers logs these once, when training ends; its W&B integration keeps them in the summary alone.
END_OF_TRAINING = frozenset(
    {"train_runtime", "train_samples_per_second", "train_steps_per_second", "train_loss", "total_flos"}
)


@dataclass(frozen=True)
class Key:
    """One thing that is written: where, in which unit, and what it means."""

    name: str
    where: Literal["history", "summary", "config"]
    unit: str
    meaning: str


KEYS: tuple[Key, ...] = (
    Key(
        f"eval/{GROUNDING_ACCURACY}",
        "history",
        "share, 0-1, higher is better",
        "answers that point into the target (edges count), over **all** samples: an unreadable answer is a miss. "
        "A target without a box is a point with a tolerance, 0.05 of the screen by default",
    ),
    Key(
        f"eval/{GROUNDING_ACCURACY_LOW}, eval/{GROUNDING_ACCURACY_HIGH}",
        "history",
        "share, 0-1",
        "the accuracy's 95 % Wilson interval: how far chance alone could have moved it",
    ),
    Key(
        f"eval/{GROUNDING_ACCURACY}/<group>",
        "history",
        "share, 0-1",
        "the accuracy of a group that the samples name (`text`, `icon`, a platform, an application); the 100 largest",
    ),
    Key(
        f"eval/{GROUNDING_ACCURACY_MACRO}",
        "history",
        "share, 0-1",
        "mean of the accuracies of a benchmark's cells, where its users average so (ScreenSpot: platform and type)",
    ),
    Key(
        f"eval/{GROUNDING_DISTANCE}",
        "history",
        "share of the screen, 0-√2 for clicks on the screen, lower is better",
        "mean Euclidean distance, x over width and y over height, from the click to the target's point (a box's "
        "centre), over samples with a readable click; infinite when there is none",
    ),
    Key(
        f"eval/{GROUNDING_PARSED}",
        "history",
        "share, 0-1",
        "samples with a readable click (or mark, or refusal); read beside the distance, which leaves the others out",
    ),
    Key(f"eval/{GROUNDING_CORRECT}", "history", "count", "numerator of the accuracy"),
    Key(f"eval/{GROUNDING_SAMPLES}", "history", "count", "denominator of the accuracy"),
    Key(
        f"eval/{GROUNDING_MISSES}/near, …/wrong_side, …/elsewhere, …/unreadable",
        "history",
        "count",
        "how the misses miss: within one size of the target beside it; on another half of the screen; anywhere else; "
        "not readable",
    ),
    Key(
        f"eval/{GROUNDING_FIXED}, eval/{GROUNDING_BROKEN}",
        "history",
        "count",
        "samples that became right, and that became wrong, since the evaluation before (the first: since the base "
        "model): forgetting shows here while the mean stands still",
    ),
    Key(
        f"eval/{GROUNDING_SKIPPED}",
        "history",
        "count",
        "samples left out because their row or picture is missing or broken; written only when there are some",
    ),
    Key(
        f"eval/{GROUNDING_UNREACHED}",
        "history",
        "count",
        "samples that `max_seconds` left unasked; written only when there are some",
    ),
    Key(f"eval/{GROUNDING_SECONDS}", "history", "s", "wall time of the evaluation by generation"),
    Key(f"eval/{GROUNDING_SAMPLES_PER_SECOND}", "history", "1/s", "samples answered and graded per second"),
    Key(
        f"eval/{GROUNDING_TABLE}",
        "history",
        "table",
        "graded samples, 32 at most, with target and click drawn; half of them the same every time, half what is "
        "wrong or has just changed",
    ),
    Key(
        f"eval/{GROUNDING_EMBEDDINGS}",
        "history",
        "table",
        "with `embeddings=True`: the last hidden state where each of the table's answers begins",
    ),
    Key(
        f"eval/{GROUNDING_PAGE}",
        "history",
        "page",
        "with `embed=True`, once a training has ended: the last evaluation in the viewer, as a page of 5 MB at most",
    ),
    Key(
        GROUNDING_LABELS_OK,
        "summary",
        "share, 0-1",
        "gold answers of the training and evaluation rows that hit their own box, before the first step",
    ),
    Key(
        f"best/{GROUNDING_ACCURACY}",
        "summary",
        "share, 0-1",
        "accuracy of the one best evaluation: highest accuracy, then smallest distance, then earliest",
    ),
    Key(f"best/{GROUNDING_DISTANCE}", "summary", "share of the screen", "distance of that same evaluation"),
    Key("best/global_step", "summary", "step", "step of that same evaluation"),
    Key(
        f"baseline/{GROUNDING_ACCURACY}",
        "summary",
        "share, 0-1",
        "accuracy of the base model: adapter switched off, before the first step",
    ),
    Key(f"baseline/{GROUNDING_DISTANCE}", "summary", "share of the screen", "distance of the base model"),
    Key(VIEWER_URL, "summary", "URL", "where this run opens in the viewer, step by step; set when the run opens"),
    Key(DASHBOARD_URL, "summary", "URL", "where this run's dashboard opens; set when the run opens"),
    Key(
        OUTCOME,
        "summary",
        "text",
        "how training ended: `finished`, `failed: <exception>`, `interrupted` or `preempted`; `running` until then",
    ),
    Key("oaml.versions", "config", "text", "versions of Python and of the packages that decide the numbers"),
    Key("oaml.git", "config", "", "commit, and whether the working tree had uncommitted changes"),
    Key("oaml.chat_template_sha256", "config", "hex", "digest of the processor's chat template"),
    Key("oaml.image_processor", "config", "pixels", "the image processor's pixel limits and patch sizes"),
    Key(
        "oaml.grounding",
        "config",
        "",
        "each evaluation set's fingerprint (samples, pictures, rules), size and rules; runs whose fingerprints differ "
        "are not comparable",
    ),
    Key("oaml.config", "config", "", "the training configuration as it was given (`config=`, `oaml train`)"),
)


def _printable(name: str) -> str:
    # A line break in a metric's name breaks W&B's panels and query language.
    return name if name.isprintable() else "".join(c if c.isprintable() else "_" for c in name)


def _bounded(name: str) -> str:
    """`name`; of one that is too long both ends, which say what it is a metric of and which, and a digest."""
    if len(name) <= MAX_KEY:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    half = (MAX_KEY - len(digest) - 2) // 2
    return f"{name[:half]}_{digest}_{name[-half:]}"


def trainer_key(name: str) -> str:
    """The history key of a metric as the Trainer names it, by the rule of transformers' own W&B integration.

    `eval_loss` becomes `eval/loss`, `test_loss` `test/loss`, anything else `train/…`. Unprintable characters
    become `_`; of a name of more than 200 characters both ends stay.
    """
    return _trainer_key(name if len(name) <= MAX_KEY else _bounded(name))


@lru_cache(maxsize=4096)
def _trainer_key(name: str) -> str:
    name = _printable(name)
    for split in ("eval", "test"):
        if name.startswith(f"{split}_"):
            return f"{split}/{name[len(split) + 1 :]}"
    return f"train/{name}"


def set_prefix(split: str) -> str:
    """What the set `eval_web` is called in the summary's keys, `web_`; empty of the one without a name."""
    name = split.removeprefix("eval").removeprefix("_")
    return f"{name}_" if name else ""


def media_key(name: str) -> str:
    """The history key of a table or picture, as [`trainer_key`] has it, with parts that can be names of files.

    W&B makes a path of it: `eval_../../x` would lead out of the run's folder. Windows allows no `:` and the like.
    """
    return "/".join(map(_as_file_name, trainer_key(name).split("/")))


def _as_file_name(part: str) -> str:
    """A part of a key; one that could be no file's name anywhere with `_` where that is due, behind a digest."""
    # Bytes, since letters may take four, and file systems allow 255.
    letters = _NOT_IN_FILES if len(part.encode()) <= MAX_KEY else _NOT_ASCII
    fitted = letters.sub("_", part).strip(" .")
    if fitted == part != "":
        return part
    return f"{hashlib.sha256(part.encode()).hexdigest()[:8]}_{fitted}"


def loop_key(name: str) -> str:
    """The history key of a metric in a hand-written loop: W&B-style names stay, plain ones go the Trainer's way.

    `train/loss`, `eval/loss`, `val/iou` stay as they are; `loss` becomes `train/loss`, `eval_loss` `eval/loss`.
    """
    return _loop_key(_bounded(name))


@lru_cache(maxsize=4096)
def _loop_key(name: str) -> str:
    return _printable(name) if "/" in name else _trainer_key(name)


def split_evaluation_key(key: str) -> tuple[str, str] | None:
    """Take `eval/web_grounding_accuracy` apart into the set's prefix and the metric: `("web_", "grounding_accuracy")`.

    Returns:
        `None` for a key that is no grounding metric of an evaluation.
    """
    if not key.startswith("eval/"):
        return None
    set_prefix, found, metric = key[len("eval/") :].rpartition("grounding_")
    return (set_prefix, f"grounding_{metric}") if found else None


def markdown_table() -> str:
    """The table of keys that stands in README."""
    rows = ["| key | where | unit | meaning |", "| --- | --- | --- | --- |"]
    rows += [f"| `{key.name}` | {key.where} | {key.unit} | {key.meaning} |" for key in KEYS]
    return "\n".join(rows)


if __name__ == "__main__":
    print(markdown_table())  # noqa: T201
