"""`oaml grounding check` and `oaml grounding score`: what is printed and written, exit codes, mistakes."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from oaml_callbacks.cli import app
from oaml_callbacks.grounding.actions import AnswerReader
from oaml_callbacks.grounding.metrics import GroundingReport, grade
from oaml_callbacks.grounding.readers import read_samples

Row = dict[str, Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Call `oaml grounding …` in this process, in a folder of the test's own and on 80 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    logger = logging.getLogger("oaml_callbacks")
    before = list(logger.handlers)

    def run(*arguments: str | Path) -> Result:
        return CliRunner().invoke(app, ["grounding", *map(str, arguments)])

    yield run
    assert logger.handlers == before  # a program that calls this has its logging as it was


@pytest.fixture(scope="module")
def processor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from oaml_callbacks.demo.tiny_qwen import build_processor

    folder = tmp_path_factory.mktemp("processor")
    build_processor("qwen3_vl").save_pretrained(folder)
    return folder


def rows(screens: Path) -> list[Row]:
    """The evaluation rows, their pictures' paths absolute."""
    lines = (screens / "eval.jsonl").read_text(encoding="utf-8").splitlines()
    made = [json.loads(line) for line in lines]
    return [{**row, "images": [str(screens / row["images"][0])]} for row in made]


def write(path: Path, made: list[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    return path


def in_thousandths(row: Row) -> Row:
    *asked, answer = row["messages"]
    scaled = re.sub(r"(?<==)[\d.]+", lambda number: f"{float(number[0]) * 1000:.0f}", answer["content"])
    return {**row, "messages": [*asked, {**answer, "content": scaled}]}


class TestCheck:
    def test_whole_samples_end_with_0(self, run: Callable[..., Result], screens: Path) -> None:
        done = run("check", screens / "eval.jsonl", "--format", "sft", "--train", screens / "train.jsonl")
        assert done.exit_code == 0, done.output
        assert "labels             fine         8 of 8 hit their own target" in done.stdout
        assert "training labels    fine         8 of 8 hit their own target" in done.stdout
        assert "problem" not in done.stdout

    def test_labels_in_another_space_end_with_1_and_say_which(
        self, run: Callable[..., Result], screens: Path, tmp_path: Path
    ) -> None:
        path = write(tmp_path / "k.jsonl", [in_thousandths(row) for row in rows(screens)])
        done = run("check", path, "--format", "sft")
        said = " ".join(done.stdout.split())
        assert done.exit_code == 1
        assert "100 % of your labels (8 of 8) miss their own target; read as 0-1000 they'd hit 100 %." in said
        assert run("check", path, "--format", "sft", "--space", "relative1000").exit_code == 0

    def test_faults_are_named_within_80_columns(
        self, run: Callable[..., Result], screens: Path, tmp_path: Path, processor: Path
    ) -> None:
        made = rows(screens)
        made[0]["bbox"] = [0.2, 0.2, 0.2, 0.3]
        made[1]["images"] = ["gone.png"]
        made[2] |= {"bbox": [0.5, 0.5, 0.51, 0.51]}
        path = write(tmp_path / "x.jsonl", made)
        done = run("check", path, "--format", "sft", "--train", path, "--model", processor)
        assert done.exit_code == 1
        assert "x.jsonl:1: the target [0.2, 0.2, 0.2, 0.3] has no area" in done.stdout
        assert f"x.jsonl:2 ({tmp_path / 'gone.png'})" in done.stdout
        assert re.search(r"x\.jsonl:3: [\d.]+ x [\d.]+ pixels of \d+ x \d+", done.stdout)
        assert "x.jsonl:4 is x.jsonl:4" in done.stdout
        assert "left out" not in done.output  # once is enough
        table = done.stdout[done.stdout.index("checked ") :].splitlines()
        assert max(map(len, table)) <= 80

    def test_a_pipe_gets_plain_text(self, screens: Path) -> None:
        done = subprocess.run(
            [
                *(sys.executable, "-c", "from oaml_callbacks.cli import main; main()"),
                *("grounding", "check", str(screens / "eval.jsonl"), "--format", "sft"),
            ],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=True,
        )
        assert done.stderr == ""
        assert "\x1b" not in done.stdout
        assert "8 of 8 hit their own target" in done.stdout


class TestScore:
    def test_grades_are_the_evaluations_own_row_for_row(
        self, run: Callable[..., Result], screens: Path, tmp_path: Path
    ) -> None:
        samples = read_samples(screens / "eval.jsonl", format="sft")
        texts = [f"Action: CLICK(x=0.{i}, y=0.5)" if i % 2 else str(samples[i].answer) for i in range(len(samples))]
        texts[-1] = "no idea"
        answers = [{"id": sample.id, "answer": text} for sample, text in zip(samples, texts, strict=True)]
        done = run(
            *("score", write(tmp_path / "a.jsonl", answers), "--samples", screens / "eval.jsonl", "--format", "sft"),
            *("--family", "openadapt", "--json", "m.json", "--rows", "r.jsonl"),
        )
        assert done.exit_code == 0, done.output
        reader = AnswerReader("openadapt")
        graded = tuple(grade(sample, text, reader.read(text)) for sample, text in zip(samples, texts, strict=True))
        written = [json.loads(line) for line in Path("r.jsonl").read_text(encoding="utf-8").splitlines()]
        assert [(row["id"], row["correct"], row["outcome"], row["distance"]) for row in written] == [
            (row.sample.id, row.correct, row.outcome, row.distance) for row in graded
        ]
        metrics = GroundingReport(graded, 0, 0.0).metrics
        in_file = json.loads(Path("m.json").read_text(encoding="utf-8"))
        assert {name: in_file[name] for name in metrics if name in in_file} == {
            name: value for name, value in metrics.items() if "second" not in name
        }
        correct = int(metrics["grounding_correct"])
        assert f"accuracy     {correct / 8:.4f}   {correct} of 8; 95 % interval" in done.stdout
        assert "eval.jsonl:8: unreadable: no idea" in done.stdout
        assert "unreadable   1        no action could be read" in done.stdout

    def test_a_benchmarks_macro_average_and_what_explains_its_misses(
        self, run: Callable[..., Result], screens: Path, tmp_path: Path
    ) -> None:
        made = rows(screens)
        targets, answers = [], []
        for i, row in enumerate(made):
            left, top, right, bottom = row["bbox"]
            targets.append(
                {
                    "img_filename": row["images"][0],
                    "bbox": [left * 1280, top * 720, (right - left) * 1280, (bottom - top) * 720],
                    "instruction": "Click it.",
                    "data_type": "text" if i else "icon",
                    "data_source": "windows",
                }
            )
            centre = [round((left + right) / 2 * 1280), round((top + bottom) / 2 * 720)]
            if i == 0:  # the one that answers as the family does
                centre = [round((left + right) * 500), round((top + bottom) * 500)]
            answers.append({"answer": json.dumps([{"point_2d": centre, "label": "it"}]), "resized_size": [1280, 720]})
        Path("pc.json").write_text(json.dumps(targets))
        done = run(
            *("score", write(tmp_path / "a.jsonl", answers), "--samples", "pc.json", "--format", "screenspot"),
            *("--family", "qwen3_vl"),
        )
        assert done.exit_code == 0, done.output
        assert re.search(r"macro average +\d\.\d{4} +over the cells of platform x type", done.stdout)
        assert re.search(r"\d of 8 answers miss, and \d of them would hit if .* pixels of the resized", done.stdout)

    def test_missing_and_unknown_answers_are_said(
        self, run: Callable[..., Result], screens: Path, tmp_path: Path
    ) -> None:
        answers = [{"id": f"eval.jsonl:{i}", "answer": "Action: WAIT()"} for i in range(1, 8)] + [
            {"id": "other", "answer": ""}
        ]
        path = write(tmp_path / "a.jsonl", answers)
        done = run("score", path, "--samples", screens / "eval.jsonl", "--format", "sft")
        assert done.exit_code == 0
        assert "samples without an answer, which count as unreadable: 1 (eval.jsonl:8)" in done.stdout
        assert "answers to no sample, which count for nothing: 1 (other)" in done.stdout
        assert "no place     7" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "none.jsonl"], "none.jsonl: No such file or directory"),
        (["check", "{eval}", "--format", "sfd"], "no format 'sfd'.*did you mean sft"),
        (["check", "{eval}"], "not one of its rows can be used.*They were read in the format jsonl"),
        (["check", "{eval}", "--format", "sft", "--family", "qwen3"], "did you mean qwen3_vl"),
        (["check", "{eval}", "--format", "sft", "--space", "percent"], "expected one of auto, normalized"),
        (["check", "{eval}", "--format", "sft", "--max-pixels", "99"], "give --model, too"),
        (["check", "{eval}", "--format", "sft", "--model", "./nowhere"], "--model ./nowhere: "),
        (["check", "{eval}", "--format", "sft", "--images", "nowhere"], "there is no folder nowhere"),
        (["score", "none.jsonl", "--samples", "{eval}", "--format", "sft"], "none.jsonl: No such file"),
        (["score", "{eval}", "--samples", "{eval}", "--format", "sft"], 'line 1: expected "answer"'),
        (["score", "none.jsonl"], "--samples"),
    ],
)
def test_mistakes_are_one_line_and_end_with_2(
    run: Callable[..., Result], screens: Path, arguments: list[str], said: str
) -> None:
    done = run(*(argument.replace("{eval}", str(screens / "eval.jsonl")) for argument in arguments))
    assert done.exit_code == 2, done.output
    assert re.search(said, " ".join(done.stderr.split()))
    assert "Traceback" not in done.output
    assert done.stdout == ""


def test_help_is_quick() -> None:
    code = (
        "import sys; from oaml_callbacks.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(*{'torch', 'transformers', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "grounding", "score", "--help"], capture_output=True, text=True, check=True
    )
    assert "Grade a file of answers" in done.stdout
    assert done.stdout.splitlines()[-1] == ""
