"""`oaml adapter …` as the tests run it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from oaml_callbacks.cli_adapter import app

from .stored_adapters import NAME, PLACE, tree

BEST = f"{PLACE}/{NAME}:best"
DEFAULT = Path("adapters") / f"{NAME}-v1"


def oaml(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)


def pulled(*arguments: object) -> dict[str, Any]:
    result = oaml("pull", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    values: dict[str, Any] = json.loads(result.stdout)
    return values


def refused(*arguments: object, code: int = 2) -> str:
    """What the command says of why it failed: one sentence or two on stderr, and nothing left behind."""
    before = tree(Path())
    result = oaml(*arguments)
    assert result.exit_code == code, (result.exit_code, result.output)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert tree(Path()) == before
    assert not list(Path().rglob("*.part"))
    return result.stderr
