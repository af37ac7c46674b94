"""Pages in a browser: each must end without a script's error, a message of the console's, or a request elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from ..browser import Watched
from ..run_folders import fall_silent
from .serving import serving
from .shown_runs import write_hostile, write_states

Open = Callable[..., Page]

# A machine that runs other tests beside may take long to read the charts' library.
expect.set_options(timeout=20_000)


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """Opens a page: `opened(url, width=1280, height=800, scheme="light")`; `allowed` is in troubles that are meant."""
    contexts, watched, expected = [], [], []

    def open_page(
        url: str,
        *,
        width: int = 1280,
        height: int = 800,
        scheme: str = "light",
        allowed: str | None = None,
        **options: object,
    ) -> Page:
        expected.extend([allowed] if allowed else [])
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,  # type: ignore[arg-type]
            reduced_motion="reduce",
            **options,  # type: ignore[arg-type]
        )
        page = context.new_page()
        page.set_default_timeout(20_000)
        contexts.append(context)
        watched.append(Watched(page))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    troubles = [trouble for one in watched for trouble in one.troubles]
    assert [trouble for trouble in troubles if not any(text in trouble for text in expected)] == []


@pytest.fixture(scope="session")
def states(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the runs in every state; it is not to be changed."""
    return write_states(tmp_path_factory.mktemp("states"))


@pytest.fixture(scope="session")
def states_site(states: Path) -> Iterator[str]:
    with serving(states) as address:
        yield address


@pytest.fixture
def site(states: Path, states_site: str) -> str:
    """Its address; the runs that train have just given a sign of life."""
    for name in ("training", "young"):
        fall_silent(states / name, 0)
    return states_site


@pytest.fixture(scope="session")
def hostile_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a folder of hostile runs."""
    with serving(write_hostile(tmp_path_factory.mktemp("hostile"))) as address:
        yield address
