"""The commands of docs/reports.md."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ..compared.examples import write_example
from .conftest import Oaml

DOCS = (Path(__file__).parents[2] / "docs" / "reports.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", DOCS, flags=re.S)
COMMANDS = [line for _, block in BLOCKS for line in block.splitlines() if line.startswith("oaml ")]


@pytest.mark.parametrize("command", [line for line in COMMANDS if "--html" in line or "--dry-run" in line])
def test_its_commands_that_need_no_account_run(
    oaml: Oaml, offline: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    write_example(offline)
    monkeypatch.chdir(offline)
    ran = oaml(*shlex.split(command)[1:])
    assert ran.code == 0, ran.err


def test_its_frame_is_the_line_that_is_printed(oaml: Oaml, offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_example(offline)
    monkeypatch.chdir(offline)
    (frame,) = (block for kind, block in BLOCKS if kind == "html")
    assert oaml(*shlex.split(COMMANDS[0])[1:]).out.endswith(frame)


@pytest.mark.parametrize("command", [line for line in COMMANDS if "acme" in line])
def test_its_commands_that_need_an_account_are_understood(oaml: Oaml, offline: Path, command: str) -> None:
    ran = oaml(*shlex.split(command)[1:])
    assert (ran.code, "W&B is offline" in ran.err) == (2, True)
