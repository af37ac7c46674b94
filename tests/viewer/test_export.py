"""A static copy: all that the pages read, as files beside them, and nothing written over that isn't a copy."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from oaml_callbacks.run_folder import layout
from oaml_callbacks.viewer.export import MARK, PAGES, ExportError, Written, export_runs, file_name
from oaml_callbacks.viewer.pages import CHARTS

from ..graded import graded, picture, report
from ..run_folders import learning, write_run
from .raw_runs import SAMPLES, evaluated_run, evaluation, lines, piece, raw_run, strict, without_rights

pytestmark = pytest.mark.newest_only


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder of runs, whose name is in no file that a run has."""
    folder = tmp_path / "the-folder-of-runs"
    folder.mkdir()
    return folder


def exported(runs: Path, name: str = "site") -> tuple[Path, Written]:
    out = runs.parent / name
    return out, export_runs(runs, out, progress=False)


def piece_of(path: Path) -> Any:
    """A piece's value: its file is a script that says it."""
    found = re.fullmatch(r"globalThis\.oamlPiece=JSON\.parse\((.*)\);\n", path.read_text("utf-8"), re.DOTALL)
    assert found is not None, path
    return strict(strict(found.group(1).encode()).encode())


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestWhatIsWritten:
    def test_the_pages_and_the_charts_library(self, runs: Path) -> None:
        out, written = exported(runs)
        assert {*PAGES, CHARTS, "base.css", "icon.svg"} <= {path.name for path in out.iterdir()}
        assert (written.runs, written.files) == (0, len(files(out)) - 1)  # the mark is none of them
        assert written.bytes == sum(len(data) for name, data in files(out).items() if name != MARK)

    def test_every_piece_is_the_one_that_a_server_gives(self, runs: Path) -> None:
        write_run(runs, reports=learning(45, 3))
        out, written = exported(runs)
        assert written.runs == 1
        asked: dict[str, tuple[str, dict[str, str]]] = {
            "history/abc123": ("history", {}),
            "samples/abc123/eval": ("samples", {"set": "eval"}),
            "ids/abc123/eval": ("ids", {"set": "eval"}),
            "sample_block/abc123/eval/0": ("sample_block", {"set": "eval", "block": "0"}),
        }
        for block in "012":
            asked[f"track/abc123/eval/{block}"] = ("track", {"set": "eval", "block": block})
        for step in ("base", 10, 20):
            of = {"evaluation": f"eval@{step}"}
            asked[f"verdicts/abc123/eval.40{step}"] = ("verdicts", of)
            asked[f"answers/abc123/eval.40{step}/0"] = ("answers", {**of, "block": "0"})
        for path, (name, parameters) in asked.items():
            assert piece_of(out / "pieces" / f"{path}.js") == piece(runs, name, run="abc123", **parameters)
        there = {str(path.relative_to(out / "pieces").with_suffix("")) for path in (out / "pieces").rglob("*.js")}
        assert there == {*asked, "runs", "run/abc123"}

    def test_the_run_and_the_list_of_runs_are_there(self, runs: Path) -> None:
        write_run(runs, "project/abc".replace("/", "-"), reports=learning(5, 2))
        write_run(runs, "second")
        out, _ = exported(runs)
        assert [row["key"] for row in piece_of(out / "pieces/runs.js")["runs"]] == ["second", "project-abc"]
        assert piece_of(out / "pieces/run/project-abc.js")["evaluations"][1]["key"] == "eval@10"

    def test_pictures_are_there_by_the_paths_in_their_samples(self, runs: Path) -> None:
        write_run(runs, reports=[report([graded(number, image=picture(number % 2)) for number in range(4)])])
        out, _ = exported(runs)
        block = piece_of(out / "pieces/sample_block/abc123/eval/0.js")
        for sample in block:
            assert (
                files(out)[f"pictures/abc123/{sample['picture']}"]
                == (runs / "abc123" / sample["picture"]).read_bytes()
            )
        assert len([name for name in files(out) if name.startswith("pictures/")]) == 2

    def test_a_folder_in_folders_is_one_name(self, runs: Path) -> None:
        raw_run(runs, {layout.RUN: "{}"}, "user/project/abc")
        out, _ = exported(runs)
        assert piece_of(out / "pieces/run/user.2fproject.2fabc.js")["key"] == "user/project/abc"

    def test_openadapt_mls_runs_are_copied_too(self, runs: Path) -> None:
        row = {
            "epoch": 0,
            "sample_idx": 0,
            "human_action": {"x": 0.5, "y": 0.5},
            "predicted_action": {"x": 0.5, "y": 0.5},
        }
        raw_run(runs, {layout.TRAINING_LOG: json.dumps({"evaluations": [row]})}, "foreign")
        out, _ = exported(runs)
        assert piece_of(out / "pieces/verdicts/foreign/eval.400.js")["outcome"] == "c"

    def test_no_file_tells_where_it_was_made(self, runs: Path) -> None:
        write_run(runs, reports=learning(5, 2))
        raw_run(runs, {layout.RUN: "[", layout.EVALUATIONS: lines(evaluation())}, "damaged")
        out, _ = exported(runs)
        for name, data in files(out).items():
            assert str(runs.parent).encode() not in data, name
            assert str(Path.home()).encode() + b"/" not in data or name == CHARTS, name

    def test_links_of_the_pages_are_relative(self, runs: Path) -> None:
        out, _ = exported(runs)
        for page in PAGES:
            text = (out / page).read_text("utf-8")
            assert 'data-source="files"' in text
            places = re.findall(r'(?:href|src)="([^"]*)"', text)
            assert places
            for place in places:
                assert re.fullmatch(r"[\w-]+\.(css|svg|html)|data:,", place), place
                assert place == "data:," or (out / place).is_file(), place

    def test_a_copy_of_the_same_runs_is_the_same(self, runs: Path) -> None:
        write_run(runs, reports=learning(5, 2))
        (first, _), (second, _) = exported(runs, "one"), exported(runs, "two")
        assert files(first).keys() == files(second).keys()
        assert files(first)["viewer.html"] == files(second)["viewer.html"]

    def test_its_bar_is_not_among_what_is_printed(self, runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
        raw_run(runs, {layout.RUN: "{}"})
        assert export_runs(runs, runs.parent / "site", progress=True).runs == 1
        assert capfd.readouterr().out == ""


class TestHostileRuns:
    def test_texts_that_would_end_a_script_are_data(self, runs: Path) -> None:
        hostile = "</script><script>alert(1)</script>\u2028\ud800;globalThis.x=1//"
        rows = lines({"id": hostile, "instruction": hostile, "picture": hostile, "groups": {"__proto__": hostile}})
        evaluated_run(runs, rows, lines({"sample": 0, "answer": hostile}))
        out, _ = exported(runs)
        assert piece_of(out / "pieces/ids/raw/eval.js")[0].startswith("</script>")
        assert b"alert(1)" not in b"".join((out / page).read_bytes() for page in PAGES)

    @pytest.mark.parametrize(
        "path",
        [
            "../secret.png",
            "../../the-secret.png",
            "/etc/passwd",
            "a/../../secret.png",
            "link.png",
            "gone.png",
            "run.json",
        ],
    )
    def test_no_file_outside_the_run_is_copied_or_written(self, runs: Path, path: str) -> None:
        folder = evaluated_run(runs, lines({"id": "a", "picture": path}), "")
        for place in (runs / "secret.png", runs.parent / "the-secret.png"):
            place.write_bytes(b"\x89PNG\r\n\x1a\nsecret")
        (folder / "link.png").symlink_to(runs / "secret.png")
        out, _ = exported(runs)
        assert not (out / "pictures").exists()
        assert {one.name for one in runs.parent.iterdir()} == {"site", "the-folder-of-runs", "the-secret.png"}

    @pytest.mark.parametrize("name", ["..", "../../x", "a/b", "x/../../..", "\\", "a\0b", "CON", " "])
    def test_a_set_of_any_name_stays_in_the_copy(self, runs: Path, name: str) -> None:
        rows = lines(evaluation(set=name))
        raw_run(runs, {layout.RUN: "{}", layout.EVALUATIONS: rows, SAMPLES: lines({"id": "a"})})
        before = set(runs.parent.iterdir())
        out, _ = exported(runs)
        assert set(runs.parent.iterdir()) - before == {out}
        (folder,) = (out / "pieces/verdicts/raw").iterdir()
        assert re.fullmatch(r"[\w.-]+\.js", folder.name)

    def test_a_damaged_run_is_copied_with_its_problems(self, runs: Path) -> None:
        rows = lines(evaluation(answers="/etc/passwd")) + "broken\n"
        raw_run(runs, {layout.RUN: "[", layout.EVALUATIONS: rows, SAMPLES: "{\n", layout.HISTORY: "x\n"})
        out, _ = exported(runs)
        problems = piece_of(out / "pieces/run/raw.js")["problems"]
        assert len(problems) == 4
        assert piece_of(out / "pieces/history/raw.js")["problems"]
        assert piece_of(out / "pieces/sample_block/raw/eval/0.js")[0]["problem"]

    def test_a_folder_whose_name_is_no_utf_8_is_copied(self, runs: Path) -> None:
        os.makedirs(os.fsencode(runs) + b"/a\xff/oaml")
        with open(os.fsencode(runs) + b"/a\xff/oaml/run.json", "w") as file:
            file.write("{}")
        out, _ = exported(runs)
        assert (out / "pieces/run/a.ef.bf.bd.js").is_file()

    def test_a_link_among_the_runs_is_not_followed(self, runs: Path) -> None:
        raw_run(runs.parent, {layout.RUN: "{}"}, "secret")
        (runs / "a").symlink_to(runs.parent / "secret")
        assert exported(runs)[1].runs == 0

    def test_what_cannot_be_read_is_left_out_and_told_and_the_rest_is_there(self) -> None:
        with without_rights() as parent:
            runs = parent / "runs"
            runs.mkdir()
            folder = evaluated_run(runs, lines({"id": "a"}), lines({"sample": 0}))
            (folder / SAMPLES).chmod(0)
            write_run(runs, reports=learning(3, 2))
            out, written = exported(runs)
            assert written.runs == 2
            assert {reason.partition(":")[0] for reason in written.left_out} == {"raw"}
            assert (out / "pieces/samples/abc123/eval.js").is_file()

    def test_a_long_name_is_shortened_and_told_from_others(self) -> None:
        names = {file_name("é" * length) for length in range(41, 400)}
        assert len(names) == 359
        assert all(len(name) <= 120 for name in names)


class TestWhereItGoes:
    def test_an_earlier_copy_is_replaced(self, runs: Path) -> None:
        write_run(runs, "first")
        out, _ = exported(runs)
        (runs / "first").rename(runs / "renamed")
        export_runs(runs, out, progress=False)
        assert [path.name for path in (out / "pieces/run").iterdir()] == ["renamed.js"]

    def test_an_empty_folder_may_be_written_to(self, runs: Path) -> None:
        (runs.parent / "site").mkdir()
        out, _ = exported(runs)
        assert (out / "index.html").is_file()

    def test_folders_on_the_way_are_made(self, runs: Path) -> None:
        export_runs(runs, runs.parent / "a" / "b", progress=False)
        assert (runs.parent / "a" / "b" / "index.html").is_file()

    def test_a_folder_of_something_else_is_left_alone(self, runs: Path) -> None:
        out = runs.parent / "site"
        (out / "pieces").mkdir(parents=True)
        (out / "pieces" / "mine.txt").write_text("mine")
        with pytest.raises(ExportError, match="holds something that isn't an earlier copy"):
            export_runs(runs, out, progress=False)
        assert files(out) == {"pieces/mine.txt": b"mine"}

    def test_a_file_is_left_alone(self, runs: Path) -> None:
        out = runs.parent / "site"
        out.write_text("mine")
        with pytest.raises(ExportError, match="is a file"):
            export_runs(runs, out, progress=False)
        assert out.read_text() == "mine"

    @pytest.mark.parametrize("below", ["", "site", "abc123/site", "../the-folder-of-runs/site", "link"])
    def test_the_folder_of_the_runs_is_left_alone(self, runs: Path, below: str) -> None:
        (runs.parent / "link").symlink_to(runs)
        out = runs.parent / "link" / "site" if below == "link" else runs / below
        with pytest.raises(ExportError, match=r"where runs are looked for"):
            export_runs(runs, out, progress=False)
        assert list(runs.iterdir()) == []

    @pytest.mark.parametrize("name", ["x" * 300, "file/site"])
    def test_a_place_that_cannot_be_written_to_is_named(self, runs: Path, name: str) -> None:
        (runs.parent / "file").write_text("")
        with pytest.raises(ExportError, match=r"can't be written to: (File name too long|Not a directory)"):
            export_runs(runs, runs.parent / name, progress=False)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("abc-DEF_09", "abc-DEF_09"),
        ("eval@30", "eval.4030"),
        ("user/abc", "user.2fabc"),
        ("..", ".2e.2e"),
        ("a.b", "a.2eb"),
        ("a b", "a.20b"),
        ("a\nb", "a.0ab"),
        ("a\0", "a.00"),
        ("\x7f", ".7f"),
        ("%2e", ".252e"),
        ("a\\b:c*?\"<>|'", "a.5cb.3ac.2a.3f.22.3c.3e.7c.27"),
        ("é", ".c3.a9"),
        ("²", ".c2.b2"),
        ("\u0661", ".d9.a1"),
        ("😀", ".f0.9f.98.80"),
        ("\ufffd", ".ef.bf.bd"),
        ("0", "0"),
        ("", ""),
    ],
)
def test_a_name_of_a_file_is_what_the_pages_make_of_it(key: str, name: str) -> None:
    """`fileName` in `pages/source.js` gives these."""
    assert file_name(key) == name
