"""What batches save: an evaluation at batch size 16 against one sample at a time, with the demo's trained model.

    OMP_NUM_THREADS=1 python benchmarks/batched_generation.py [--samples 64] [--rounds 5]

Prints a Markdown table of medians over interleaved rounds, and where the time goes. The answers must be equal.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the model is too small to gain from threads

from oaml_callbacks import GroundingEvaluator, read_sft_samples
from oaml_callbacks.demo.screens import write_samples
from oaml_callbacks.grounding import batches, generation, stopping
from oaml_callbacks.grounding.model_state import evaluation_mode
from oaml_callbacks.grounding.ranks import Ranks
from oaml_callbacks.grounding.sharding import Sharding
from oaml_callbacks.processors import load_processor

BASE = Path(__file__).parents[1] / "configs" / "demo" / "tiny-qwen3-vl"
BATCH_SIZE = 16
PARTS = {
    "opening pictures (in the background)": (batches, "_open_all"),
    "the processor (in the background)": (batches, "_prepare_opened"),
    "waiting for them": (batches.BatchLoader, "take"),
    "`generate`": (generation.Generator, "answers"),
    "looking whether answers are complete": (stopping.CompleteAnswers, "__call__"),
}

Answers = list[str]


def one_by_one(evaluator: GroundingEvaluator, model: Any, processor: Any) -> Answers:
    """The loop that one writes first: open a picture, prepare it, generate; then the next."""
    answers = []
    with evaluation_mode(model, processor):
        generator = generation.Generator(
            model,
            processor,
            evaluator.reader(model),
            max_new_tokens=evaluator.max_new_tokens,
            sharding=Sharding(model),
            ranks=Ranks(model),
        )
        for sample in evaluator.samples:
            ((answer, _),) = generator.answers(batches.prepare(processor, [sample]).inputs)
            answers.append(answer)
    return answers


def timed(ask: Callable[[], Answers]) -> tuple[float, Answers]:
    """Seconds, and the answers."""
    start = time.perf_counter()
    answers = ask()
    return time.perf_counter() - start, answers


def parts(ask: Callable[[], Answers]) -> dict[str, float]:
    """Seconds of one more run by its parts, with their functions timed."""
    spent = dict.fromkeys(PARTS, 0.0)
    originals = {name: getattr(owner, function) for name, (owner, function) in PARTS.items()}

    def timing(name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return originals[name](*args, **kwargs)
            finally:
                spent[name] += time.perf_counter() - start

        return call

    for name, (owner, function) in PARTS.items():
        setattr(owner, function, timing(name))
    try:
        whole, _ = timed(ask)
    finally:
        for name, (owner, function) in PARTS.items():
            setattr(owner, function, originals[name])
    on_top = whole - spent["waiting for them"] - spent["`generate`"]
    return {**spent, "all the rest": on_top, "altogether": whole}


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=64, help="screens to click on")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds")
    options = parser.parse_args()

    import torch
    from tqdm import tqdm
    from transformers import AutoModelForImageTextToText

    processor: Any = load_processor(str(BASE))
    model = AutoModelForImageTextToText.from_pretrained(BASE, dtype=torch.float32)
    with tempfile.TemporaryDirectory() as name:
        write_samples(Path(name), name="eval", count=options.samples, seed=3)
        samples = read_sft_samples(Path(name) / "eval.jsonl")
        single, batched = (
            GroundingEvaluator(samples, processor=processor, batch_size=size, progress=False)
            for size in (1, BATCH_SIZE)
        )

        def evaluate(evaluator: GroundingEvaluator) -> Callable[[], Answers]:
            return lambda: [row.answer for row in evaluator.evaluate(model).rows]

        ways: dict[str, Callable[[], Answers]] = {
            "one at a time, in a plain loop": lambda: one_by_one(single, model, processor),
            "`batch_size=1`, pictures in the background": evaluate(single),
            f"`batch_size={BATCH_SIZE}`": evaluate(batched),
        }
        first = {way: timed(ask)[1] for way, ask in ways.items()}  # warms up, too
        if len({tuple(answers) for answers in first.values()}) != 1:
            raise SystemExit("The answers differ.")
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in tqdm(range(options.rounds), desc="Rounds"):
            for way, ask in ways.items():
                times[way].append(timed(ask)[0])
        where = parts(evaluate(batched))

    print("| how | samples/s | against the plain loop |")
    print("| --- | --- | --- |")
    plain = next(iter(times.values()))
    for way, seconds in times.items():
        ratio = statistics.median(a / b for a, b in zip(plain, seconds, strict=True))
        print(f"| {way} | {options.samples / statistics.median(seconds):.1f} | {ratio:.2f} x |")
    print(f"\n| where the time of {way} goes | s | share |")
    print("| --- | --- | --- |")
    for part, spent in where.items():
        print(f"| {part} | {spent:.3f} | {spent / where['altogether']:.1%} |")


if __name__ == "__main__":
    main()
