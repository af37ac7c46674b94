"""Markdown in which text of others stays text."""

from __future__ import annotations

import re

import pytest

from oaml_callbacks.reports import markdown


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("lora r=8", "lora r=8"),
        ("a | b", "a \\| b"),
        ("a\nb", "a\\\\nb"),
        ("[x](javascript:alert(1))", "\\[x\\]\\(javascript:alert\\(1\\)\\)"),
        ("<img src=x>", "&lt;img src=x&gt;"),
        ("![x](http://a.b)", "\\!\\[x\\]\\(http&#58;//a\\.b\\)"),
        ("**b** `c` ~~d~~ $e$", "\\*\\*b\\*\\* \\`c\\` \\~\\~d\\~\\~ \\$e\\$"),
    ],
)
def test_markup_in_a_text_is_written_so_that_it_is_read_as_it_stands(text: str, written: str) -> None:
    assert markdown.plain(text) == written


def test_a_link_leads_where_it_should_and_nowhere_else() -> None:
    assert markdown.link("a]b", "https://a.b/(c) d".replace(" ", "%20")) == "[a\\]b](https://a.b/%28c%29%20d)"
    assert markdown.link("a", "javascript:alert(1)") == "a"


def test_a_table_has_as_many_cells_in_every_row() -> None:
    lines = markdown.table(["a", "b"], [[markdown.plain("x|y"), markdown.code("z|`w")]]).splitlines()
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in lines] == [3, 3, 3]
