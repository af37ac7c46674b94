"""Text that others wrote, models among them, is shown as text, cut where it says so, and never followed as a path."""

from __future__ import annotations

import json
import re
import time
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from oaml_callbacks import GroundingEvaluator, OpenAdaptWandbCallback
from oaml_callbacks.clean_text import clean_text, cut, error_text, one_line
from oaml_callbacks.grounding import GroundingReport, read_sft_rows
from oaml_callbacks.grounding.actions import Action
from oaml_callbacks.keys import MAX_KEY, media_key, trainer_key
from oaml_callbacks.sft import SFTDataset
from oaml_callbacks.testing import RecordedRun
from oaml_callbacks.values import MAX_FILE_NAME, fit_file_name, fit_name, fit_tags
from oaml_callbacks.viewer.runs import Runs

from . import builders
from .graded import INSIDE, Told, graded, report

MEGABYTE = "x" * 2**20
MARKUP = "<script>alert(1)</script> [link](javascript:alert(1)) **bold** {{7*7}} %s %n"

anything = st.text(st.characters(categories=["Lu", "Ll", "Nd", "Po", "Zs", "Cc", "Cf", "Cs", "Zl", "Zp"]))
"""Halves of characters among it, which `st.text()` leaves out."""


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("two\r\nlines", "two\nlines"),
        ("over\rwritten", "over\\x0dwritten"),
        ("\x1b[31mred\x1b[0m \x07 \x00", "\\x1b[31mred\\x1b[0m \\x07 \\x00"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2066a\u2069 \u2028", "\\u2066a\\u2069 \\u2028"),
        ("half \ud83d of one", "half \ufffd of one"),
        ("a whole \U0001f600, 网页, é, a family \U0001f468\u200d\U0001f469", None),
        (MARKUP, None),
    ],
)
def test_what_would_act_is_spelled_out_and_the_rest_stays(text: str, cleaned: str | None) -> None:
    assert clean_text(text) == (text if cleaned is None else cleaned)


@given(anything)
def test_any_text_can_be_written_and_holds_nothing_that_acts(text: str) -> None:
    cleaned = clean_text(text)
    cleaned.encode("utf-8")
    assert clean_text(cleaned) == cleaned
    assert not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in cleaned if letter not in "\n\t")
    assert not any(unicodedata.bidirectional(letter) in ("RLO", "LRO", "RLE", "LRE", "PDF") for letter in cleaned)


@given(anything, st.integers(1, 60))
def test_a_name_is_one_line_and_another_name_stays_another(text: str, length: int) -> None:
    name = one_line(text, length)
    assert not {"\n", "\r", "\t"} & set(name)
    if len(text) > length:
        assert one_line(text + "x", length) != name


def test_long_text_is_cut_and_says_so() -> None:
    start = time.process_time()
    assert cut(MEGABYTE, 10) == "x" * 10 + " …[cut: 1,048,576 characters]"
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("at", [90, 95, 99, 100])
def test_a_secret_at_the_cut_is_hidden_whole(at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "planted-value-that-lies-across"
    monkeypatch.setenv("PLANTED_SECRET", secret)
    for end in ("", MEGABYTE):
        assert "plant" not in cut("." * at + secret + "." * 100 + end, 100)


def test_an_error_is_told_by_its_type_and_text_and_bounded() -> None:
    class Wordless(Exception):
        def __str__(self) -> str:
            raise RuntimeError("none")

    assert error_text(ValueError("no \x1b[2J")) == "ValueError: no \\x1b[2J"
    assert len(error_text(OSError(MEGABYTE))) < 1100
    assert error_text(Wordless()) == "Wordless: its text can't be had"


DEVICES = ["CON", "nul", "COM1", "lpt9.txt", "aux.", "PRN.tar.gz"]
ODD = ["name.", "name ", "a:b", 'a"b', "a|b", "a\\b", "C:\\x"]


@pytest.mark.parametrize(
    "name", [*DEVICES, *ODD, "..", ".", "", "../../etc/passwd", "/etc/passwd", "~", "a\x00b", MEGABYTE]
)
def test_a_files_name_is_one_on_any_system(name: str) -> None:
    fitted = fit_file_name(name)
    assert re.fullmatch(r"[0-9A-Za-z_.-]{1,100}", fitted)
    assert not fitted.endswith(".")
    assert not re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", fitted)


@given(anything)
def test_a_files_name_never_leaves_its_folder(text: str) -> None:
    folder = Path("/some/folder")
    path = folder / fit_file_name(text)
    assert path.parent == folder
    assert path.name not in ("", ".", "..")
    assert len(path.name) <= MAX_FILE_NAME


@given(anything, anything)
def test_two_names_become_two_files(one: str, other: str) -> None:
    assume(one.replace("/", "_") != other.replace("/", "_"))
    assert fit_file_name(one) != fit_file_name(other)


@pytest.mark.parametrize("name", ["eval_loss", "eval/web_loss", "eval_grounding_table", "eval_web_grounding_table"])
def test_usual_keys_stay_as_they_are(name: str) -> None:
    assert media_key(name) == trainer_key(name)


@given(anything)
def test_a_tables_key_makes_a_path_within_the_folder(name: str) -> None:
    parts = media_key(f"eval_{name}_grounding_table").split("/")
    assert parts[0] == "eval"
    assert not {"", ".", ".."} & set(parts)
    assert not any(set(part) & set('<>:"|?*\\') for part in parts)


def test_a_key_is_bounded_and_says_at_both_ends_what_it_is_of() -> None:
    one, other = (trainer_key(f"eval_{MEGABYTE}{end}_grounding_accuracy") for end in "ab")
    assert one.startswith("eval/xxx")
    assert one.endswith("_grounding_accuracy")
    assert len(one) <= MAX_KEY
    assert one != other


def test_a_runs_name_and_tags_are_such_as_w_and_b_takes() -> None:
    assert fit_name("a\nb\x1b\ud800") == "a\\nb\\x1b\ufffd"
    assert len(fit_name(MEGABYTE) or "") == 128
    assert fit_tags(["kept", "", MEGABYTE]) == ["kept", fit_tags([MEGABYTE])[0]]
    assert len(fit_tags([MEGABYTE])[0]) <= 64


# A whole training ------------------------------------------------------------------------------------------------

SETS = ("../../outside", "CON", "a\x00b\nc", "sp ace:*?", "half\ud83d", "y" * 5000)
GROUPS = ("../up", "a\nb\x1b[2J", "half\ud83d", MEGABYTE, MARKUP)


def hostile_report() -> GroundingReport:
    answers = [MARKUP, "\x1b[2J\x00\x07 \u202e", "half\ud83d", MEGABYTE, "../../../etc/passwd"]
    rows = []
    for number, answer in enumerate(answers):
        row = graded(number, answer=answer, action=Action(f"click\x1b{MEGABYTE}", INSIDE, text=answer))
        sample = replace(
            row.sample,
            id=f"{number}/../{answer[:3000]}",
            messages=({"role": "user", "content": answer},),
            groups={"kind": GROUPS[number]},
            answer=answer,
        )
        rows.append(replace(row, sample=sample))
    return report(rows)


@pytest.fixture
def hostile(screens: Path, offline: Path, caplog: pytest.LogCaptureFixture) -> tuple[RecordedRun, Any, Path]:
    folder = offline / "a" / "b" / "c"
    folder.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_DIR", str(folder))
        rows = read_sft_rows(screens / "eval.jsonl")
        evaluators: dict[str, GroundingEvaluator] = {name: Told(hostile_report()) for name in SETS}
        callback = OpenAdaptWandbCallback(
            grounding=evaluators,
            run_name=f"../\x1b[2J\ud83d {MARKUP}",
            group="..\x00/x",
            tags=["\x1b[2J\ud83d", MEGABYTE, ""],
            notes=f"\x1b[2J\ud83d {MARKUP} {MEGABYTE}",
            config={"note\x00\ud83d": MEGABYTE[:1000] + "\x1b\ud83d", "path": "../../x"},
        )
        args = builders.arguments(offline / "trainer", eval_steps=10)
        sets = {name: SFTDataset(rows[:2]) for name in SETS}
        trainer = builders.trainer(screens, args, [callback], eval_dataset=sets)
        trainer.train()
        return builders.read_back(callback, folder), trainer, folder


@pytest.mark.slow
def test_a_training_among_hostile_text_is_whole_and_is_read_back_as_text(
    hostile: tuple[RecordedRun, Any, Path], offline: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run, trainer, folder = hostile
    assert trainer.state.global_step == 10
    assert len(run.column("train/loss")) == 5

    # Names, each one line.
    assert run.name is not None
    assert run.name.startswith("../\\x1b[2J\ufffd <script>")
    assert run.group == "..\\x00/x"
    assert run.tags[0] == "\\x1b[2J\ufffd"
    assert all(len(tag) <= 64 for tag in run.tags)
    assert "…[cut: " in (run.notes or "")

    # Every set has its numbers and its table, under a key that is bounded and printable.
    keys = [key for row in run.rows for key in row]
    assert all(len(key) <= MAX_KEY and key.isprintable() for key in keys)
    tables = [key for key in keys if key.endswith("grounding_table")]
    assert len(set(tables)) == len(SETS)
    assert len([key for key in keys if key.endswith("grounding_accuracy")]) == len(SETS)

    # A table's rows are what was answered: as text, cut and marked.
    (artifact, *_) = [artifact for artifact in run.artifacts if artifact.type == "run_table"]
    path = next(file.local_path for name, file in artifact.files.items() if name.endswith(".table.json"))
    assert path is not None
    table = json.loads(path.read_text(encoding="utf-8"))
    cells = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    answers = [cell["answer"] for cell in cells]
    assert MARKUP in answers
    assert "\\x1b[2J\\x00\\x07 \\u202e" in answers
    assert "half\ufffd" in answers
    assert any(answer.endswith("…[cut: 1,048,576 characters]") for answer in answers)
    assert all(
        len(str(cell[name])) < 700 for cell in cells for name in ("answer", "instruction", "sample", "predicted")
    )

    # The graded rows, a file for each set.
    files = sorted((run.path.parent / "grounding" / "rows").iterdir())
    assert len(files) == 2 * len(SETS)
    assert all(len(line) < 20_000 for file in files for line in file.read_text(encoding="utf-8").splitlines())

    # The run folder: all of it can be read, and its files' names are its own.
    (own,) = [path for path in (offline / "training_output").iterdir() if not path.is_symlink()]
    found = Runs(own.parent).run(own.name)
    assert len(found.run()["sets"]) == len(SETS)
    for evaluation in found.run()["evaluations"]:
        assert set(found.verdicts(evaluation["key"])["outcome"]) <= set("cnweup")
        assert all(len(answer["answer"]) < 5000 for answer in found.answers(evaluation["key"], 0) if answer)
    assert all(path.name.isascii() and len(path.name) < 150 for path in own.rglob("*"))

    # Nothing lies outside these two.
    outside = [path for path in offline.rglob("*") if path.is_file() and not path.is_relative_to(folder / "wandb")]
    outside = [path for path in outside if not path.is_relative_to(own) and path.parent != own.parent]
    of_wandb = (offline / "artifacts", offline / "cache" / "wandb" / "logs")  # its staging area, and its service's log
    assert [path for path in outside if not any(map(path.is_relative_to, of_wandb))] == []
    assert not (folder.parent / "outside").exists()

    # Lines of ours are lines.
    for record in caplog.records:
        if record.name.startswith("oaml_callbacks"):
            assert "\x1b" not in record.getMessage()
            assert len(record.getMessage()) < 5000
