"""docs/adapters.md: its code runs, its commands do what it says, its tables are complete."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oaml_callbacks import OpenAdaptWandbCallback
from oaml_callbacks.adapters.adapter_files import MAX_SMALL_FILE
from oaml_callbacks.cli import app
from oaml_callbacks.cli_adapter import LINK_SECONDS, PULL_SECONDS

from .adapter_folders import write_adapter
from .stored_adapters import PLACE, RUN, Stored

PAGE = (Path(__file__).parents[2] / "docs" / "adapters.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def command(holding: str) -> list[str]:
    """A command of the page, for the project and the run of the test."""
    (line,) = [line for block in blocks("console") for line in block.splitlines() if holding in line]
    program, *arguments = shlex.split(line.removeprefix("$ "))
    assert program == "oaml"
    return [here(argument) for argument in arguments]


def here(text: str) -> str:
    return text.replace("woyr43ov", RUN).replace("acme/clicks", PLACE)


def names() -> list[str]:
    """The first column of the table of what can be asked for."""
    return re.findall(r"^\| `([^`]+)` \|", PAGE.partition("| NAME |")[2].partition("\n\n")[0], flags=re.MULTILINE)


def test_the_callback_takes_what_the_page_gives_it() -> None:
    (code,) = blocks("python")
    space = {"OpenAdaptWandbCallback": OpenAdaptWandbCallback}
    exec(code, space)
    assert isinstance(space["callback"], OpenAdaptWandbCallback)


def test_the_options_table_has_all_options_of_adapters() -> None:
    options = re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE)
    parameters = inspect.signature(OpenAdaptWandbCallback).parameters
    assert options == [name for name in parameters if name in ("log_adapter", "keep_last") or "registry" in name]
    assert f"stay on W&B's server, {parameters['keep_last'].default}." in PAGE


@pytest.mark.newest_only
def test_a_pull_prints_what_the_page_shows(stored: Stored) -> None:
    result = CliRunner().invoke(app, command("adapter pull"), catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == here(blocks("text")[0])


@pytest.mark.newest_only
def test_the_other_commands_run(stored: Stored, tmp_path: Path) -> None:
    write_adapter(tmp_path / "training_output" / "demo" / "checkpoint-300")
    for holding in ("adapter check", "adapter link"):
        result = CliRunner().invoke(app, command(holding), catch_exceptions=False)
        assert result.exit_code == 0, result.output


@pytest.mark.newest_only
def test_every_name_in_the_table_is_found(stored: Stored) -> None:
    linked = CliRunner().invoke(app, command("adapter link"))
    assert linked.exit_code == 0, linked.output
    found = names()
    assert len(found) == 5
    for index, name in enumerate(found):
        result = CliRunner().invoke(app, ["adapter", "pull", here(name), "--to", str(index)])
        assert result.exit_code == 0, (name, result.stderr)


def test_the_limits_are_those_of_the_package() -> None:
    assert f"may take ({PULL_SECONDS:.0f})" in PAGE
    assert f"waits for it {LINK_SECONDS:.0f} s" in PAGE
    assert f"each file up to {MAX_SMALL_FILE >> 20} MB" in PAGE
