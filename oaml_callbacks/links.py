"""The links from a W&B run to the viewer: templates, checked once and filled in for each run."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from urllib.parse import parse_qsl, quote, urlsplit

from .errors import UserError
from .keys import DASHBOARD_URL, VIEWER_URL
from .secrets import redacted_text

DEFAULT_VIEWER_URL = "http://localhost:8080/viewer.html?run={run_id}"
DEFAULT_DASHBOARD_URL = "http://localhost:8080/dashboard.html?run={run_id}"

FIELDS = ("run_id", "run_name", "project", "entity", "output_dir")
"""What a template may ask for. Values are percent-encoded, `/` included."""

MAX_VALUE = 1000
"""Characters of one value; paths may have hundreds."""

_SECRET = re.compile(r"token|api_?key|secret|passw|signature|credential|auth", re.IGNORECASE)


class LinkError(UserError):
    """A link template that cannot become a link: an unknown field, no scheme or host, or credentials in it."""


@dataclass(frozen=True)
class LinkTemplates:
    """The two templates of a run's links.

    Args:
        viewer_url: Template of the page that shows the run step by step.
        dashboard_url: Template of the page that shows the run's curves.

    Raises:
        LinkError: From [`LinkTemplates.resolve`], which checks them.
    """

    viewer_url: str = DEFAULT_VIEWER_URL
    dashboard_url: str = DEFAULT_DASHBOARD_URL

    @classmethod
    def resolve(cls, viewer_url: str | None = None, dashboard_url: str | None = None) -> LinkTemplates:
        """The templates given, else those of `OAML_VIEWER_URL` and `OAML_DASHBOARD_URL`, else the defaults.

        Raises:
            LinkError: Says which of them is wrong, how, and what is allowed.
        """
        return cls(
            viewer_url=_choose(VIEWER_URL, viewer_url, DEFAULT_VIEWER_URL),
            dashboard_url=_choose(DASHBOARD_URL, dashboard_url, DEFAULT_DASHBOARD_URL),
        )

    def fill(self, values: Mapping[str, str | None]) -> dict[str, str]:
        """The run's two links, as `{"viewer_url": ..., "dashboard_url": ...}`.

        Args:
            values: A value for each of [`FIELDS`]; missing ones and `None` become empty. A home directory is
                written as `~`.
        """
        encoded = {field: quote(redacted_text(values.get(field) or "")[:MAX_VALUE], safe="") for field in FIELDS}
        return {
            VIEWER_URL: self.viewer_url.format(**encoded),
            DASHBOARD_URL: self.dashboard_url.format(**encoded),
        }


def markdown(links: Mapping[str, str]) -> str:
    """The links as one line of Markdown, which W&B renders in a run's notes."""
    names = {VIEWER_URL: "Viewer", DASHBOARD_URL: "Dashboard"}
    return " · ".join(f"[{names[key]}]({_escape(url)})" for key, url in links.items())


def check_url(name: str, url: str) -> str:
    """Return `url` if it is one that can be clicked in a browser.

    Raises:
        LinkError: No http(s) scheme, no host, a bad port, blanks in it, or credentials in it.
    """
    # The URL itself is left out of messages wherever it may hold a password.
    if any(c.isspace() or not c.isprintable() for c in url):
        raise LinkError(f"{name} has blanks or control characters in it; percent-encode them (%20).")
    try:
        parts = urlsplit(url)
        port_is_number = parts.port is None or parts.port >= 0
    except ValueError:
        port_is_number = False
    if not port_is_number:
        raise LinkError(f"{name} is not a URL: its host or port cannot be read. Expected http(s)://host[:port]/path.")
    if "@" in parts.netloc:
        raise LinkError(
            f"{name} has credentials in it (user:password@host). Everyone who may see the run would see them: "
            "take them out."
        )
    if named := [field for field, _ in parse_qsl(parts.query, keep_blank_values=True) if _SECRET.search(field)]:
        raise LinkError(
            f"{name} has what looks like a secret in its query ({named[0]}=…). Everyone who may see the run would see "
            "it: take it out."
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        shown = "a URL" if "@" in url else repr(url)  # what stands before an @ may be a password
        raise LinkError(
            f"{name} is {shown}, which has no scheme or no host. Expected http:// or https://, a host and a path, "
            f"for example {DEFAULT_VIEWER_URL!r}."
        )
    return url


def _choose(name: str, given: str | None, default: str) -> str:
    variable = f"OAML_{name.upper()}"
    if given is not None:
        return _check_template(name, given)
    if from_environment := os.environ.get(variable):
        return _check_template(f"{name} (from {variable})", from_environment)
    return default


def _check_template(name: str, template: str) -> str:
    allowed = ", ".join(f"{{{field}}}" for field in FIELDS)
    try:
        fields = [(field, spec, conversion) for _, field, spec, conversion in Formatter().parse(template)]
    except ValueError as error:
        raise LinkError(
            f"{name} is not a template: {error}. A brace that is meant as such is written twice ({{{{); "
            f"fields are {allowed}."
        ) from None
    for field, spec, conversion in fields:
        if field is not None and (field not in FIELDS or spec or conversion):
            raise LinkError(f"{name} has the unknown field {{{field}}}. Allowed are {allowed}, without formatting.")
    check_url(name, template.format(**dict.fromkeys(FIELDS, "x")))
    return template


def _escape(url: str) -> str:
    # A closing bracket would end a Markdown link early.
    return url.replace("(", "%28").replace(")", "%29")
