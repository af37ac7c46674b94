"""Link templates: what they may hold, and what becomes of them."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from oaml_callbacks.links import FIELDS, LinkError, LinkTemplates, check_url, markdown


@pytest.fixture(autouse=True)
def _no_templates_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OAML_VIEWER_URL", raising=False)
    monkeypatch.delenv("OAML_DASHBOARD_URL", raising=False)


def test_the_defaults_are_the_local_viewer() -> None:
    assert LinkTemplates.resolve().fill({"run_id": "abc"}) == {
        "viewer_url": "http://localhost:8080/viewer.html?run=abc",
        "dashboard_url": "http://localhost:8080/dashboard.html?run=abc",
    }


def test_an_option_wins_over_the_environment_which_wins_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAML_VIEWER_URL", "https://from.env/{run_id}")
    monkeypatch.setenv("OAML_DASHBOARD_URL", "https://from.env/d/{run_id}")
    links = LinkTemplates.resolve(viewer_url="https://from.option/{run_id}").fill({"run_id": "r"})
    assert links == {"viewer_url": "https://from.option/r", "dashboard_url": "https://from.env/d/r"}


def test_every_field_is_percent_encoded() -> None:
    template = "https://host/{project}?" + "&".join(f"{field}={{{field}}}" for field in FIELDS)
    hostile = "a/b?c=d&e #é\n../%"
    url = LinkTemplates.resolve(viewer_url=template).fill(dict.fromkeys(FIELDS, hostile))["viewer_url"]
    assert url.isprintable()
    assert " " not in url
    assert urlsplit(url).path.count("/") == 1
    assert parse_qs(urlsplit(url).query) == {field: [hostile] for field in FIELDS}


def test_a_value_that_is_not_known_is_left_empty() -> None:
    assert (
        LinkTemplates.resolve(viewer_url="https://h/{entity}/x").fill({"entity": None})["viewer_url"] == "https://h//x"
    )


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("http://host/{step}", r"unknown field \{step\}"),
        ("http://host/{run_id.__class__}", "unknown field"),
        ("http://host/{run_id!r}", "unknown field"),
        ("http://host/{run_id:>9}", "unknown field"),
        ("http://host/{}", "unknown field"),
        ("http://host/{run_id", "not a template"),
        ("localhost:8080/{run_id}", "no scheme or no host"),
        ("/viewer.html", "no scheme or no host"),
        ("http:///viewer.html", "no scheme or no host"),
        ("javascript:alert(1)", "no scheme or no host"),
        ("file:///etc/passwd", "no scheme or no host"),
        ("http://host:port/", "cannot be read"),
        ("http://[::1/", "cannot be read"),
        ("http://host/a b", "blanks or control characters"),
        ("http://host/\nx", "blanks or control characters"),
    ],
)
def test_a_template_that_cannot_become_a_link_is_refused(template: str, said: str) -> None:
    with pytest.raises(LinkError, match=f"viewer_url.*{said}"):
        LinkTemplates.resolve(viewer_url=template)


def test_credentials_are_refused_and_not_repeated() -> None:
    with pytest.raises(LinkError, match="dashboard_url has credentials") as error:
        LinkTemplates.resolve(dashboard_url="https://me:hunter2@host/{run_id}")
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("url", ["admin:hunter2@host/x", "http:/admin:hunter2@host/x", "http://:hunter2@host"])
def test_what_may_be_a_password_is_not_repeated_in_any_error(url: str) -> None:
    with pytest.raises(LinkError) as error:
        check_url("viewer_url", url)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    "query", ["api_key=SECRET", "token=SECRET", "X-Amz-Signature=SECRET", "run=1&Password=SECRET"]
)
def test_secrets_in_a_query_are_refused_and_not_repeated(query: str) -> None:
    with pytest.raises(LinkError, match="looks like a secret") as error:
        LinkTemplates.resolve(viewer_url=f"https://host/?{query}&id={{run_id}}")
    assert "SECRET" not in str(error.value)


def test_an_error_names_the_variable_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAML_DASHBOARD_URL", "nonsense")
    with pytest.raises(LinkError, match="OAML_DASHBOARD_URL"):
        LinkTemplates.resolve()


def test_a_plain_url_is_checked_the_same_way() -> None:
    assert check_url("viewer_url", "https://host/x") == "https://host/x"
    with pytest.raises(LinkError):
        check_url("viewer_url", "host/x")


def test_brackets_cannot_end_a_markdown_link_early() -> None:
    assert markdown({"viewer_url": "http://h/a(b)c"}) == "[Viewer](http://h/a%28b%29c)"
