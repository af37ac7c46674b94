"""Pages with their modules in them: all that they need, nothing that data could end, no script that isn't theirs."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from oaml_callbacks.viewer.bundle import bundled
from oaml_callbacks.viewer.export import PAGES
from oaml_callbacks.viewer.pages import FOLDER

pytestmark = pytest.mark.newest_only

SOURCES = ("files", "page")
HOSTILE = "</script><script>alert(1)</script><!-- <style> &lt; ]]> \u2028 \ud800 __proto__"

# Whatever could load another module: the bundle knows one form of it, and must leave none of the others.
LOADS = re.compile(r"""(?:\bfrom|\bimport)\s*\(?\s*["'`]([^"'`]*)["'`]""")


class Page(HTMLParser):
    """A page's elements, with what stands in scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.held: list[str] = []
        self._open = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.held.append("")
        self._open = True

    def handle_endtag(self, tag: str) -> None:
        self._open = False

    def handle_data(self, data: str) -> None:
        if self._open:
            self.held[-1] += data

    def all(self, tag: str, **wanted: str) -> list[tuple[dict[str, str | None], str]]:
        """The elements of that tag with such attributes, and what they hold."""
        found = [(attrs, held) for (name, attrs), held in zip(self.elements, self.held, strict=True) if name == tag]
        return [(attrs, held) for attrs, held in found if wanted.items() <= attrs.items()]

    def modules(self) -> dict[str, str]:
        """The modules of the import map, as their text."""
        ((_, held),) = self.all("script", type="importmap")
        imports: dict[str, str] = json.loads(held)["imports"]
        head = "data:text/javascript;base64,"
        assert all(address.startswith(head) for address in imports.values())
        return {name: base64.b64decode(address.removeprefix(head)).decode() for name, address in imports.items()}

    def policy(self) -> dict[str, str]:
        """The page's Content-Security-Policy."""
        metas = [attrs for attrs, _ in self.all("meta") if attrs.get("http-equiv") == "Content-Security-Policy"]
        (meta,) = metas
        return dict(rule.strip().split(" ", 1) for rule in (meta["content"] or "").split(";"))


def page(name: str, source: str = "files", **options: Any) -> Page:
    options = {"inline_styles": source == "page", "pieces": {"start": {}} if source == "page" else None, **options}
    return Page(bundled(name, source=source, **options))


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", PAGES)
class TestEveryPage:
    def test_every_module_that_it_needs_is_in_its_import_map(self, name: str, source: str) -> None:
        found = page(name, source)
        modules = found.modules()
        assert len(modules) > 3
        for text in (*modules.values(), found.all("script", type="module")[0][1]):
            assert set(LOADS.findall(text)) <= modules.keys()

    def test_every_module_is_the_served_one_but_for_its_imports(self, name: str, source: str) -> None:
        for module, text in page(name, source).modules().items():
            served = (FOLDER / module.removeprefix("oaml/")).read_text("utf-8")
            assert re.sub(r'"oaml/', '"./', text) == served

    def test_it_starts_what_the_served_page_starts(self, name: str, source: str) -> None:
        served = Page((FOLDER / name).read_text("utf-8"))
        ((attrs, _),) = served.all("script", type="module")
        ((started, held),) = page(name, source).all("script", type="module")
        assert "src" not in started
        assert held == f'import "oaml/{attrs["src"]}";'

    def test_its_policy_allows_its_own_scripts_by_their_digests_and_no_others(self, name: str, source: str) -> None:
        found = page(name, source)
        run = [held for attrs, held in found.all("script") if attrs.get("type") != "application/json"]
        digests = {f"'sha256-{base64.b64encode(hashlib.sha256(held.encode()).digest()).decode()}'" for held in run}
        allowed = set(found.policy()["script-src"].split())
        assert {one for one in allowed if one.startswith("'sha256-")} == digests
        assert not {"'unsafe-inline'", "'unsafe-eval'", "*", "http:", "https:"} & allowed

    def test_its_policy_lets_nothing_come_from_or_go_elsewhere(self, name: str, source: str) -> None:
        policy = page(name, source).policy()
        assert [policy[rule] for rule in ("default-src", "base-uri", "form-action")] == ["'none'"] * 3
        assert not re.search(r"https?:|\*", " ".join(policy.values()))

    def test_its_policy_stands_before_all_that_it_is_for(self, name: str, source: str) -> None:
        tags = [
            "policy" if attrs.get("http-equiv") else tag for tag, attrs in page(name, source).elements if tag != "html"
        ]
        assert tags[:2] == ["head", "policy"]

    def test_it_says_where_its_data_are(self, name: str, source: str) -> None:
        ((attrs, _),) = page(name, source).all("html")
        assert attrs["data-source"] == source

    def test_it_has_no_script_in_an_attribute(self, name: str, source: str) -> None:
        for tag, attrs in page(name, source).elements:
            assert not [attribute for attribute in attrs if attribute.startswith("on")], tag
            assert not [value for value in attrs.values() if (value or "").strip().lower().startswith("javascript:")]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_that_holds_all_it_needs_loads_no_file(name: str) -> None:
    found = page(name, "page")
    assert [attrs for _, attrs in found.elements if "src" in attrs] == []
    assert [attrs for attrs, _ in found.all("link") if not (attrs["href"] or "").startswith("data:")] == []
    styles = "".join(held for _, held in found.all("style"))
    assert (FOLDER / "base.css").read_text("utf-8") in styles
    assert not re.search(r"@import|url\(\s*[\"']?(?!data:)", styles)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_a_copy_has_its_styles_beside_it(name: str) -> None:
    found = page(name, "files")
    assert found.all("style") == []
    assert {"rel": "stylesheet", "href": "base.css"} in [attrs for attrs, _ in found.all("link")]
    assert found.all("script", type="application/json") == []


def test_pieces_are_in_the_page_as_they_are() -> None:
    pieces = {"start": {"run": "abc"}, "run/abc": {"name": "a & b < c > d", "step": 5, "none": None}}
    ((attrs, held),) = page("viewer.html", "page", pieces=pieces).all("script", type="application/json")
    assert attrs["id"] == "pieces"
    assert json.loads(held) == pieces


def test_no_text_among_the_data_can_end_the_element_that_holds_them() -> None:
    pieces = {HOSTILE: [HOSTILE, {"a": HOSTILE}]}
    hostile, plain = page("viewer.html", "page", pieces=pieces), page("viewer.html", "page", pieces={})
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in plain.elements]
    ((_, held),) = hostile.all("script", type="application/json")
    assert json.loads(held) == pieces
    assert not set("<>&") & set(held)


def test_the_data_change_nothing_of_the_policy() -> None:
    hostile = page("viewer.html", "page", pieces={HOSTILE: HOSTILE})
    assert hostile.policy() == page("viewer.html", "page", pieces={}).policy()


def test_numbers_that_json_does_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        bundled("viewer.html", source="page", inline_styles=True, pieces={"a": float("nan")})


def test_every_module_of_the_pages_imports_in_the_one_form_that_is_known() -> None:
    """Another form (`import()`, a single quote, a folder) would be missing from a copy."""
    for path in FOLDER.glob("*.js"):
        text = path.read_text("utf-8")
        for name in LOADS.findall(text):
            assert re.search(rf'\b(from|import)\s+"{re.escape(name)}"', text), (path.name, name)
            assert re.fullmatch(r"\./[\w-]+\.js", name), (path.name, name)
            assert (FOLDER / name).is_file(), (path.name, name)
