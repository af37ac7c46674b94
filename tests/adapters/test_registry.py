"""The registry: what its collections are called, and linking in bounded time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from oaml_callbacks import OpenAdaptWandbCallback
from oaml_callbacks.adapters.options import AdapterOptions, adapter_options
from oaml_callbacks.adapters.registry import RegistryError, RegistryTarget, link, link_command

from ..loopback import Loopback

pytestmark = pytest.mark.newest_only  # both sides have the same wandb


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("acme/clickers", "acme/wandb-registry-model/clickers"),
        ("wandb-registry-vlm/clickers", "wandb-registry-vlm/clickers"),
        ("acme/wandb-registry-vlm/clickers", "acme/wandb-registry-vlm/clickers"),
        ("My Organisation/clickers".replace(" ", "-"), "My-Organisation/wandb-registry-model/clickers"),
    ],
)
def test_a_collection_is_named_in_three_ways(given: str, path: str) -> None:
    assert str(RegistryTarget.read(given)) == path


@pytest.mark.parametrize(
    "given",
    [
        "",
        "clickers",
        "/clickers",
        "acme/",
        "a/b/c",
        "a/wandb-registry-x/b/c",
        "wandb-registry-/c",
        "acme/c:v1",
        "a b/c",
    ],
)
def test_what_is_no_collection_is_told_when_the_callback_is_made(given: str) -> None:
    with pytest.raises(RegistryError, match="Expected"):
        OpenAdaptWandbCallback(log_adapter="best", registry=given)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"log_adapter": "always"}, "best"),
        ({"log_adapter": "best", "keep_last": 0}, "at least 1"),
        ({"registry": "acme/c"}, "log_adapter"),
        ({"log_adapter": "best", "registry_threshold": 0.5}, "registry"),
        ({"log_adapter": "best", "registry": "acme/c", "registry_threshold": 50}, "0-1"),
    ],
)
def test_options_that_cannot_be_are_told_when_the_callback_is_made(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        OpenAdaptWandbCallback(**given)


@pytest.mark.parametrize(
    ("value", "when"),
    [
        ("checkpoint", "checkpoint"), ("END", "end"), ("best", "best"), ("true", "end"), ("1", "end"),
        ("false", None), ("", None), ("0", None), ("nonsense", None),
    ],
)  # fmt: skip
def test_wandb_log_model_is_understood(
    value: str, when: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_LOG_MODEL", value)
    assert adapter_options().when == when
    assert adapter_options("best").when == "best"
    assert ("is not understood" in caplog.text) == (value == "nonsense")
    monkeypatch.delenv("WANDB_LOG_MODEL")
    assert adapter_options() == AdapterOptions()


@pytest.fixture
def logged(server: Loopback, tmp_path: Path) -> str:
    """An artifact of the type that adapters have."""
    import wandb

    with wandb.init() as run:
        artifact = wandb.Artifact("adapter-x", type="model")
        with artifact.new_file("a") as file:
            file.write("a")
        run.log_artifact(artifact, aliases=["best"]).wait()
    return "someone/clicks/adapter-x:best"


def test_a_version_is_linked(server: Loopback, logged: str) -> None:
    assert link(logged, "acme/clickers", timeout=20) == "acme-org/wandb-registry-model/clickers:v0"
    assert [version.name for version in server.registered["acme-org/wandb-registry-model/clickers"]] == ["adapter-x"]


def test_a_version_or_an_organisation_that_is_not_there_is_told(server: Loopback, logged: str) -> None:
    with pytest.raises(RegistryError, match="nothing:best is not linked"):
        link("someone/clicks/nothing:best", "acme/clickers", timeout=20)
    with pytest.raises(RegistryError, match="organization"):
        link(logged, "others/clickers", timeout=20)
    assert not server.registered


def test_a_server_that_does_not_answer_is_waited_for_as_long_as_was_said(server: Loopback, logged: str) -> None:
    server.fault("hang")
    begun = time.monotonic()
    with pytest.raises(RegistryError, match="is not linked"):
        link(logged, "acme/clickers", timeout=2)
    assert time.monotonic() - begun < 4
    server.mend()
    time.sleep(1)
    assert not server.registered  # whoever waits no longer has told how it is done by hand


def test_the_command_that_links_later_can_be_typed() -> None:
    assert link_command("me/p/adapter-1:best", "acme/c d").endswith("adapter link me/p/adapter-1:best 'acme/c d'")
