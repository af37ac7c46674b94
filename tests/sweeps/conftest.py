"""Fixtures of searches whose trials take no time."""

from __future__ import annotations

import os

import pytest

from oaml_callbacks.sweeps.search_result import SearchResult

from .searches import made, search


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variables of W&B's, files looked at often, and no picture."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("oaml_callbacks.sweeps.search.POLL_SECONDS", 0.05)
    # A second each; `found` has one, and `test_local_result` more.
    monkeypatch.setattr("oaml_callbacks.sweeps.pictures.draw_search", lambda *_, **options: None)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """A search of four trials."""
    folder = tmp_path_factory.mktemp("found")
    return search(folder, made(folder), 4)
