"""docs/sweeps.md: what it shows is what is printed, and its commands are ones that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from oaml_callbacks.cli import app
from oaml_callbacks.cli_adapter import app as adapter

pytestmark = pytest.mark.newest_only
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^( *)```(\w*)\n(.*?)^ *```", PAGE, flags=re.S | re.M)


def blocks(language: str, holding: str) -> str:
    found: str
    (found,) = [text for _, kind, text in BLOCKS if kind == language and holding in text]
    return found


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    return tmp_path


def test_what_make_prints_and_writes_is_what_the_page_shows() -> None:
    command, _, printed = blocks("", "$ oaml sweep make").partition("\n")
    result = CliRunner().invoke(app, shlex.split(command)[2:])
    assert result.stdout == printed
    assert blocks("yaml", "# The first thing to get right") in Path("sweep.yaml").read_text()


def test_what_check_finds_is_what_the_page_shows() -> None:
    Path("wrong.yaml").write_text(blocks("yaml", "method: grid"))
    command, _, printed = blocks("", "$ oaml sweep check").partition("\n")
    result = CliRunner().invoke(app, shlex.split(command)[2:])
    assert (result.exit_code, result.stdout) == (1, printed)


def made() -> list[list[str]]:
    lines = [line for _, _, text in BLOCKS for line in text.splitlines() if "oaml sweep make run.yaml" in line]
    return [shlex.split(line.partition("  ")[0])[1:] for line in lines]


@pytest.mark.parametrize("arguments", made(), ids=" ".join)
def test_every_make_of_the_page_writes_a_file(arguments: list[str]) -> None:
    text = (ROOT / "configs" / "qwen3-vl-2b-lora.yaml").read_text()
    Path("run.yaml").write_text(text + "\ndata: {train: train.jsonl, eval: eval.jsonl}\n")
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output


def test_every_command_and_option_of_the_page_is_there() -> None:
    commands = re.findall(r"\boaml ([a-z-]+)(?: ([a-z-]+)\b)?([^`\n\"]*)", PAGE)
    root = {**vars(typer.main.get_command(app))["commands"], "adapter": typer.main.get_command(adapter)}
    assert len(commands) > 20
    for name, sub, rest in commands:
        command = root[name]
        if sub and (below := vars(command).get("commands")):
            command = below[sub]
        known = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}
        for option in re.findall(r"(?<!\S)--[a-z-]+", rest):
            assert option in known | {"--help"}, (name, sub, option)
