"""`oaml compare`: what is printed and written, exit codes, mistakes, and the example of docs/compare.md."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from oaml_callbacks.cli_compare import COMPARE_HELP, compare
from oaml_callbacks.run_folder import layout

from .examples import SET, answered, evaluated, sample, write, write_example, write_pair

pytestmark = pytest.mark.newest_only

DOCS = Path(__file__).parents[2] / "docs" / "compare.md"
HOSTILE = "<script>alert(1)</script>\x1b[31m[bold red]{0}:gear:\u202e"

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
app.command(help=COMPARE_HELP, no_args_is_help=True)(compare)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Call `oaml compare …` in a folder with two runs below `training_output`, on 80 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("OAML_RUNS_DIR", raising=False)

    def run(*arguments: str | Path) -> Result:
        return CliRunner().invoke(app, [*map(str, arguments)])

    return run


def test_it_prints_what_the_docs_show(run: Callable[..., Result], tmp_path: Path) -> None:
    write_example(tmp_path)
    text = DOCS.read_text(encoding="utf-8")
    found = re.search(r"```\n\$ oaml compare (.*)\n((?:.|\n)*?)```", text)
    assert found is not None
    result = run(*found.group(1).split())
    assert result.exit_code == 0
    shown = "\n".join(line.rstrip() for line in result.stdout.splitlines())
    assert shown.strip() == found.group(2).strip()


def test_every_line_fits_on_80_columns(run: Callable[..., Result], tmp_path: Path) -> None:
    write_pair(tmp_path / "training_output", name="a name that is much longer than any column could ever be")
    result = run("aaaa", "bbbb", "--groups", "--flips", "0")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "0.875  0.719 to 0.950" in result.stdout  # figures whole, the name cut
    assert re.search(r"kind: icon +8 +0.625 +1.000 +\+3 \N{MINUS SIGN}0", result.stdout)


def test_flips_are_shown_as_many_as_wanted(run: Callable[..., Result], tmp_path: Path) -> None:
    write_pair(tmp_path / "training_output")
    result = run("first", "second", "--flips", "2")
    assert "B alone has right:\n    screen-000: Click Save.\n" in result.stdout
    assert "A elsewhere, 0.470 off: CLICK(x=0.46, y=0.38)" in result.stdout
    assert "… and 8 more" in result.stdout
    assert "B unreadable: I see no such button." in result.stdout
    assert "alone has right:" not in run("first", "second", "--flips", "0").stdout


def test_json_is_all_that_stands_on_stdout(run: Callable[..., Result], tmp_path: Path) -> None:
    write_pair(tmp_path / "training_output")
    result = run("first", "second", "--json", "--html", "out.html")
    told = json.loads(result.stdout)
    assert len(told["pairs"][0]["gained"]) == 10
    assert "out.html" in result.stderr
    assert Path("out.html").is_file()


def test_a_difference_that_may_be_chance_is_no_failure(run: Callable[..., Result], tmp_path: Path) -> None:
    write_pair(tmp_path / "training_output")
    write(tmp_path / "training_output", "cccc3333", evaluated(32, wrong=range(11)), name="third")
    assert run("first", "third").exit_code == 0


def test_a_run_that_is_given_twice_is_compared_once(run: Callable[..., Result], tmp_path: Path) -> None:
    write_pair(tmp_path / "training_output")
    given = sorted((tmp_path / "training_output").iterdir())  # as the shell gives training_output/*
    assert [one.name for one in given] == ["aaaa1111", "bbbb2222", "current"]
    result = run(*given, "--json")
    told = json.loads(result.stdout)
    assert [side["id"] for side in told["runs"]] == ["aaaa1111", "bbbb2222"]
    assert told["pairs"][0]["corrected_p"] == told["pairs"][0]["p"]
    assert "current are the same run, which is compared once" in told["notes"][-1]
    alone = run("first", "aaaa")
    assert (alone.exit_code, alone.stderr) == (
        2,
        "error: first and aaaa are the same run; two runs or more can be compared.\n",
    )


def test_a_settings_secret_is_not_shown(run: Callable[..., Result], tmp_path: Path) -> None:
    runs = tmp_path / "training_output"
    write(runs, "aaaa1111", evaluated(4), api_key="hunter2hunter2")
    write(runs, "bbbb2222", evaluated(4), api_key="swordfish-swordfish")
    for folder in (runs / "aaaa1111", runs / "bbbb2222"):
        about = json.loads((folder / layout.RUN).read_text(encoding="utf-8"))
        about["facts"]["api_key"] = f"plain-{folder.name}-value"  # as something else than this package writes it
        (folder / layout.RUN).write_text(json.dumps(about), encoding="utf-8")
    result = run("aaaa", "bbbb", "--json", "--html", "out.html")
    assert "api_key" in json.loads(result.stdout)["settings"]
    assert "plain-" not in result.stdout + Path("out.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["first"], "two runs or more can be compared"),
        (["first", "nothing"], "there is no run nothing in training_output"),
        (["first", "second", "--at", "yesterday"], "yesterday names no evaluation"),
        (["first", "second", "--split", "web"], "no evaluation set web; it has eval"),
        (["first", "other"], "was evaluated on another set than A (aaaa1111)"),
        (["first", "second", "--html", "training_output"], "--html training_output is a folder; expected"),
        (["first", "second", "--html", "file/out.html"], "--html file/out.html: the folder file can't be made"),
    ],
)
def test_a_mistake_is_a_sentence_and_exit_code_2(
    run: Callable[..., Result], tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "file").touch()
    write_pair(tmp_path / "training_output")
    write(
        tmp_path / "training_output",
        "cccc3333",
        evaluated(24),
        name="other",
        sets={"eval": {**SET, "fingerprint": "e"}},
    )
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert not result.stdout


def test_common_samples_are_compared_when_asked_for(run: Callable[..., Result], tmp_path: Path) -> None:
    write_pair(tmp_path / "training_output")
    write(
        tmp_path / "training_output",
        "cccc3333",
        evaluated(24),
        name="other",
        sets={"eval": {**SET, "fingerprint": "e"}},
    )
    result = run("first", "other", "--common")
    assert result.exit_code == 0
    assert result.stdout.startswith("DIFFERENT EVALUATION SETS: all figures are over the 24 samples")


def test_text_of_others_stays_text(run: Callable[..., Result], tmp_path: Path) -> None:
    asked = lambda number: sample(number, instruction=HOSTILE)  # noqa: E731
    from ..graded import report

    wrong = report(answered(number, "wrong", make=asked, answer=HOSTILE) for number in range(4))
    right = report(answered(number, make=asked, answer=HOSTILE) for number in range(4))
    runs = tmp_path / "training_output"
    write(runs, "aaaa1111", wrong, name=HOSTILE, learning_rate=HOSTILE)
    write(runs, "bbbb2222", right, name="b", outcome=HOSTILE)
    result = run("aaaa", "bbbb", "--html", "out.html")
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout
    assert "[bold red]{0}:gear:" in result.stdout
    page = Path("out.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_help_says_what_the_exit_codes_are(run: Callable[..., Result]) -> None:
    told = " ".join(run("--help").stdout.split())
    assert "Exit codes: 0 compared, whatever came of it; 1 failed; 2 a mistake" in told
    assert "oaml compare lora-8 lora-32 lora-64 --groups" in told


def test_the_docs_lines_of_python_run(
    run: Callable[..., Result], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_example(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    exec(code, {})
    assert capsys.readouterr().out.startswith("B is better than A: of 128 samples")


def test_the_docs_commands_are_ones_that_there_are(run: Callable[..., Result], tmp_path: Path) -> None:
    write_example(tmp_path)
    commands = re.findall(r"oaml compare ([^|`\n]*\w)", DOCS.read_text(encoding="utf-8"))
    assert len(commands) >= 3
    for command in commands:
        if not command.startswith("RUN"):
            assert run(*command.split()).exit_code == 0, command
