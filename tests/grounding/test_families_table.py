"""docs/grounding.md beside the data it describes."""

from __future__ import annotations

import re
from pathlib import Path

from oaml_callbacks.grounding import other_spaces
from oaml_callbacks.grounding.families import FAMILIES
from oaml_callbacks.grounding.families_table import markdown_table

DOCS = (Path(__file__).parents[2] / "docs" / "grounding.md").read_text(encoding="utf-8")


def test_docs_have_the_table_of_families_as_it_is() -> None:
    assert markdown_table() in DOCS


def test_every_family_is_a_row_of_as_many_cells() -> None:
    rows = markdown_table().splitlines()
    assert len(rows) == 2 + len(FAMILIES)
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}


def test_docs_state_the_rule_by_which_a_space_explains_misses() -> None:
    assert f"at least {other_spaces.MIN_GAINED} misses, and more than half of all misses" in DOCS
    assert other_spaces.MOST == 0.5
    assert other_spaces.NEARLY_ALL == 0.9
    assert f"less than once in {1 / other_spaces.MAX_CHANCE:,.0f} times" in DOCS
