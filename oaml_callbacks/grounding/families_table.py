"""`python -m oaml_callbacks.grounding.families_table` prints the table of families in docs/grounding.md."""

from __future__ import annotations

import re
import sys

from .families import FAMILIES, Family
from .forms.base import Form
from .forms.no_target import NO_TARGET

_SPACES = {
    "normalized": "0-1",
    "relative1000": "0-1000",
    "pixels": "pixels of the resized picture",
}


def markdown_table() -> str:
    """Each family: its forms in the order that they are tried, what its numbers are, what counts, and who says so."""
    lines = ["| family | forms | numbers | what counts | source |", "| --- | --- | --- | --- | --- |"]
    for family in FAMILIES.values():
        forms = ", ".join(_shown(form, family) for form in family.forms)
        cells = (f"`{family.name}`", forms, _SPACES[family.space], _cell(family.rule), _linked(family.source))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _shown(form: Form, family: Family) -> str:
    name = _cell(f"`{form.name}`")
    differs = form.space not in (None, family.space) and form is not NO_TARGET
    return f"{name} ({_SPACES[form.space]})" if differs and form.space is not None else name


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _linked(source: str) -> str:
    """`owner/name, …` with the repository linked; a model card is no repository's."""
    return re.sub(r"(?<![\w/.-])([\w.-]+/[\w.-]+)(?=, (?!model card))", r"[\1](https://github.com/\1)", _cell(source))


if __name__ == "__main__":
    sys.stdout.write(markdown_table() + "\n")
