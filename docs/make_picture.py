"""Draw README's picture from the demo's run: `python docs/make_picture.py`, after `make demo`.

The curves are read back from W&B's own file; the clicks are generated again, by the base model and with the adapter.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from PIL import Image

from oaml_callbacks import GroundingEvaluator, read_sft_samples
from oaml_callbacks.grounding.metrics import GradedSample
from oaml_callbacks.testing import RecordedRun, read_run

ACCURACY, DISTANCE, BASE = "#0b6e4f", "#b04a00", "#c1121f"


def curves(run: RecordedRun, left: Any) -> None:
    """Accuracy and distance over steps, the base model's at step 0."""
    key = "eval/grounding_{}".format
    base = {name: run.summary[f"baseline/grounding_{name}"] for name in ("accuracy", "distance")}
    right = left.twinx()
    for axis, name, colour, marker in ((left, "accuracy", ACCURACY, "o"), (right, "distance", DISTANCE, "s")):
        points = [(0, base[name]), *run.series(key(name))]
        axis.plot(*zip(*points, strict=True), color=colour, marker=marker, linewidth=2, clip_on=False)
        axis.set_ylabel(f"eval/grounding_{name}", color=colour)
        axis.tick_params(axis="y", colors=colour)
        axis.set_ylim(bottom=0)
        axis.spines["top"].set_visible(False)
    left.set_ylim(0, 1.05)
    left.set_xlabel("train/global_step")
    steps = [0, *(step for step, _ in run.series(key("accuracy")))]
    left.set_xticks(steps, ["0\nbase model", *map(str, steps[1:])])
    left.grid(axis="y", alpha=0.25)


def screen(base: GradedSample, tuned: GradedSample, axis: Any) -> None:
    """The screenshot with the target's box and both clicks."""
    image = Image.open(str(base.sample.image))
    width, height = image.size
    target = base.sample.target.box
    assert target is not None
    left, top, right, bottom = target
    axis.imshow(image)
    box = ((left * width, top * height), (right - left) * width, (bottom - top) * height)
    # Black in white: to be seen on a button of any colour.
    outline = [withStroke(linewidth=6, foreground="white")]
    axis.add_patch(Rectangle(*box, fill=False, edgecolor="black", linewidth=2.5, label="target", path_effects=outline))
    for row, colour, label in ((base, BASE, "base model's click"), (tuned, ACCURACY, "fine-tuned model's click")):
        assert row.action.point is not None
        x, y = row.action.point
        axis.plot(x * width, y * height, "o", color=colour, markersize=11, markeredgecolor="white", label=label)
    question = str(base.sample.messages[-1]["content"]).splitlines()[0]
    axis.set_title(question, loc="left", fontsize=11)
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=3, frameon=False)
    axis.axis("off")


def main() -> None:
    """Read the run, ask both models, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default="configs/demo/tiny-qwen3-vl", help="folder of the base model")
    parser.add_argument("--adapter", default="training_output/demo/final", help="folder of the adapter")
    parser.add_argument("--samples", type=Path, help="evaluation samples; default: the demo's")
    parser.add_argument("--runs", type=Path, default=Path(), help="folder whose newest W&B run is drawn")
    parser.add_argument("--out", type=Path, default=Path("docs/demo.png"))
    options = parser.parse_args()

    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    from oaml_callbacks.processors import load_processor

    path = options.samples or next(Path("demo_data").glob("eval*.jsonl"))
    model: Any = PeftModel.from_pretrained(AutoModelForImageTextToText.from_pretrained(options.base), options.adapter)
    evaluator = GroundingEvaluator(read_sft_samples(path)[:32], processor=load_processor(options.base))
    tuned = evaluator.evaluate(model).rows
    with model.disable_adapter():
        base = evaluator.evaluate(model).rows
    # The sample whose base click is the farthest off among those that the adapter gets right: the clearest to see.
    pairs = [(b, t) for b, t in zip(base, tuned, strict=True) if t.correct and b.distance is not None]
    chosen = max(pairs, key=lambda pair: pair[0].distance or 0)

    figure, (above, below) = plt.subplots(2, 1, figsize=(8, 8.2), height_ratios=(1, 1.75), layout="constrained")
    curves(read_run(options.runs), above)
    screen(*chosen, below)
    figure.savefig(options.out, dpi=110)


if __name__ == "__main__":
    main()
