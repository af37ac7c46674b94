"""What all commands have in common: how errors end them, and what a program reads."""

from __future__ import annotations

import json
import logging
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from oaml_callbacks.cli import app
from oaml_callbacks.cli_common import log_to_stderr, print_json, told_errors
from oaml_callbacks.errors import UserError

pytestmark = pytest.mark.newest_only


def end(error: BaseException | None, **options: Any) -> tuple[int, str]:
    """How a command ends in which `error` is raised: its exit code, and what it says."""
    made = typer.Typer()

    @made.command()
    def command(debug: bool = False) -> None:
        with told_errors(debug, **options):
            if error is not None:
                raise error

    done = CliRunner().invoke(made, [])
    return done.exit_code, done.stderr


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (None, 0, ""),
        (UserError("the rank is 0; expected 1 or more"), 2, "error: the rank is 0; expected 1 or more\n"),
        (KeyError("x"), 1, "error: KeyError: 'x' (--debug shows the traceback)\n"),
        (KeyboardInterrupt(), 130, "\ninterrupted\n"),
        (typer.Exit(3), 3, ""),
    ],
)
def test_an_error_is_a_sentence_and_an_exit_code(error: BaseException | None, code: int, said: str) -> None:
    assert end(error) == (code, said)


def test_a_file_that_cannot_be_opened_is_named() -> None:
    assert end(FileNotFoundError(2, "No such file", "rows.jsonl"), mistakes=(OSError,)) == (
        2,
        "error: rows.jsonl: No such file\n",
    )


def test_what_wandb_refuses_is_told_in_its_words() -> None:
    from wandb.errors import UsageError

    assert end(UsageError("no key")) == (2, "error: no key\n")


def test_debug_shows_what_was_raised() -> None:
    with pytest.raises(UserError), told_errors(True):
        raise UserError("wrong")


def test_logging_is_as_before_when_the_command_has_ended() -> None:
    logger = logging.getLogger("oaml_callbacks")
    before = (logger.level, logger.propagate, list(logger.handlers))
    with told_errors(False):
        log_to_stderr()
        log_to_stderr()
        assert len(logger.handlers) == len(before[2]) + 1
    assert (logger.level, logger.propagate, logger.handlers) == before


def test_json_has_no_infinity(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"distance": math.inf, "rows": [(math.nan, 1.5)], "name": "ü"})
    assert json.loads(capsys.readouterr().out) == {"distance": None, "rows": [[None, 1.5]], "name": "ü"}


def test_json_holds_nothing_that_acts_in_a_terminal_or_can_not_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    text = "ü\x1b\x9b2J\u202e\ud800\\u0041"
    print_json({"name": text})
    out = capsys.readouterr().out
    assert out.replace("\n", "").isprintable()
    assert json.loads(out) == {"name": text}


def commands() -> list[tuple[str, ...]]:
    """Every command that does something, such as `("sweep", "make")`."""
    found = []

    def look(command: Any, path: tuple[str, ...]) -> None:
        if not hasattr(command, "commands"):
            found.append(path)
            return
        for name, one in command.commands.items():
            look(one, (*path, name))

    look(typer.main.get_command(app), ())
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_help_says_what_for_with_examples_and_exit_codes(command: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, [*command, "--help"], terminal_width=100)
    assert done.exit_code == 0
    for part in (f"  oaml {' '.join(command)}", "Exit codes:", "--debug"):
        assert part in done.stdout


@pytest.mark.parametrize("group", sorted({command[:-1] for command in commands()}), ids=" ".join)
def test_a_terminal_shows_whole_what_each_command_does(group: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, [*group, "--help"], terminal_width=80)
    listed = done.stdout.split("Commands:")[1]
    assert listed.count(".\n") == len(listed.strip().splitlines())
    assert "..." not in listed


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_an_unknown_option_is_a_sentence(command: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, [*command, "--no-such-option"])
    assert done.exit_code == 2
    assert "Traceback" not in done.stderr
    assert re.search("--no-such-option|Missing|are required", done.stderr)


def test_readme_lists_every_command() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    table = readme.split("## Commands")[1].split("\n\n")[1]
    listed = [re.match(r"\| `oaml ([a-z -]+?)(?: [A-Z].*)?` \|", row) for row in table.splitlines()[2:]]
    assert {found[1] for found in listed if found} == {" ".join(command) for command in commands()}


@pytest.mark.parametrize(("typed", "offered"), [("oaml gro", "grounding"), ("oaml train --res", "--resume")])
def test_shells_complete_what_is_typed(typed: str, offered: str) -> None:
    asked = {"_OAML_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    env = {**os.environ, **asked}
    code = "from oaml_callbacks.cli import app; app(prog_name='oaml')"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [offered]


def test_the_command_starts_without_anything_heavy() -> None:
    code = (
        "import sys; from oaml_callbacks import cli; "
        "print([name for name in ('torch', 'transformers', 'wandb', 'optuna', 'matplotlib', 'numpy', 'plotly') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
