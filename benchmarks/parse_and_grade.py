"""How many answers a second are read and graded, on one core.

    python benchmarks/parse_and_grade.py [--seconds 1.0]

Prints a Markdown table: for openadapt-ml's form, Qwen3-VL's tool calls, and a mix of every family's answers (with
chains of thought, typed text and answers that can't be read among them), with the family given and without. Each
figure is the best of five runs.
"""

from __future__ import annotations

import argparse
import itertools
import random
import time
from collections.abc import Sequence

from oaml_callbacks.grounding import AnswerReader, BoxTarget, GroundingSample, grade

SIZE = (1316, 728)
THOUGHT = "Thought: To progress toward the goal, I need to click on an element in the top-left area of the screen.\n"

Answer = tuple[AnswerReader, str]


def templates() -> dict[str, list[str]]:
    """Answers by family; `{x}` and `{y}` are filled in."""
    call = (
        '<tool_call>\n{{"name": "computer_use", "arguments": {{"action": "left_click", "coordinate": [{x}, {y}]}}}}\n'
    )
    qwen = [
        f"{call}</tool_call>",
        f'Thought: The search bar is at the top.\nAction: "Tap it."\n{call}</tool_call>',
        '```json\n[\n\t{{"point_2d": [{x}, {y}], "label": "the search bar"}}\n]\n```',
        '<tool_call>\n{{"name": "computer_use", "arguments": {{"action": "type", "text": "hello"}}}}\n</tool_call>',
    ]
    return {
        "openadapt": [
            THOUGHT + "Action: CLICK(x=0.{x}, y=0.{y})",
            THOUGHT + "Action: CLICK(x=0.{x}, y=0.{y})",
            THOUGHT + 'Action: TYPE(text="hello, world")',
            THOUGHT + "Action: DONE()",
        ],
        "qwen2_5_vl": qwen,
        "qwen3_vl": qwen,
        "qwen2_vl": ["<|box_start|>({x},{y}),({x},{y})<|box_end|>"],
        "ui_tars": [THOUGHT + "Action: click(start_box='({x},{y})')"],
        "showui": ["[0.{x}, 0.{y}]"],
        "seeclick": ["(0.{x},0.{y})"],
        "os_atlas_7b": ["<|box_start|>({x},{y}),({x},{y})<|box_end|>"],
        "uground": ["({x}, {y})"],
        "gta1": ["({x}, {y})"],
        "ui_venus": ["[{x},{y}]", "[-1,-1]"],
        "aguvis": ["pyautogui.click(x=0.{x}, y=0.{y})", "I would click the button in the top-left corner."],
    }


def answers(families: Sequence[str], *, named: bool) -> list[Answer]:
    """A thousand answers of these families, each with what reads it."""
    rng = random.Random(0)
    found = []
    for family in itertools.islice(itertools.cycle(families), 1000):
        text = rng.choice(templates()[family]).format(x=rng.randrange(1, 999), y=rng.randrange(1, 999))
        found.append((AnswerReader(family=family) if named else AnswerReader(model_type="qwen3_vl"), text))
    return found


def answers_per_second(batch: Sequence[Answer], seconds: float) -> float:
    """The best of five runs."""
    sample = GroundingSample(
        id="1", image="1.png", messages=({"role": "user", "content": "Click"},), target=BoxTarget(0.1, 0.1, 0.6, 0.6)
    )
    best = 0.0
    for _ in range(5):
        count = 0
        start = time.process_time()
        while (passed := time.process_time() - start) < seconds / 5:
            for reader, text in batch:
                grade(sample, text, reader.read(text, resized_size=SIZE))
            count += len(batch)
        best = max(best, count / passed)
    return best


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each figure is measured")
    options = parser.parse_args()
    print("| answers read and graded a second, one core | family given | no family |")
    print("| --- | --- | --- |")
    for name, families in (
        ("openadapt-ml's form", ["openadapt"]),
        ("Qwen3-VL's tool calls and JSON", ["qwen3_vl"]),
        ("a mix of twelve families", list(templates())),
    ):
        given, none = (answers_per_second(answers(families, named=named), options.seconds) for named in (True, False))
        print(f"| {name} | {given:,.0f} | {none:,.0f} |")


if __name__ == "__main__":
    main()
