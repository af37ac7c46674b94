"""What `oaml adapter pull` refuses, by a sentence and with nothing left: adapters that were tampered with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from oaml_callbacks.adapters.adapter_files import AdapterError
from oaml_callbacks.adapters.stored import version_path

from .adapter_command import BEST, pulled, refused
from .adapter_folders import BASE, write_adapter
from .stored_adapters import NAME, PLACE, RUN, Stored

# What is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (f"{PLACE}/adapter-run2:best", "has no adapter"),
        (f"{PLACE}/run2", "has no adapter"),
        ("somebody/else/adapter-run1:best", "may not see it"),
        (f"{PLACE}/{NAME}:v7", "there is no version v7. The newest is v2"),
        (f"{PLACE}/{RUN}:nope", "step-30"),
    ],
)
def test_an_adapter_that_is_not_there_is_told(stored: Stored, name: str, reason: str) -> None:
    assert reason in refused("pull", name)


@pytest.mark.parametrize(
    "name",
    ["", " ", "a/b/c/d", "a//b", f"{PLACE}/{NAME}:", f"{PLACE}/x:y:z", "../adapter-x", f"{PLACE}/..", "a\\b",
     "x" * 2000, "https://wandb.ai/", "https://wandb.ai/a/b/c/d", f"https://wandb.ai/{PLACE}/artifacts/model",
     "https://[/a/b/runs/c", "clicks/ad\x1bapter"],
)  # fmt: skip
def test_a_name_that_can_not_be_one_is_refused_without_asking(stored: Stored, name: str) -> None:
    before = len(stored.server.requests)
    assert "Expected ENTITY/PROJECT/adapter-RUN:best" in refused("pull", "--", name)
    assert len(stored.server.requests) == before


@pytest.mark.parametrize("part", ["entity", "project", "name", "version"])
def test_an_answer_with_what_no_name_has_is_refused(part: str) -> None:
    answer = SimpleNamespace(**{"entity": "acme", "project": "clicks", "name": "a:v1", "version": "v1"})
    assert version_path(answer) == "acme/clicks/a:v1"
    setattr(answer, part, "evil\x1b[2J")
    with pytest.raises(AdapterError, match=r"evil\\x1b\[2J.*, which is no adapter's name"):
        version_path(answer)


def test_a_bare_name_needs_its_project(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_PROJECT")
    assert "lacks its project" in refused("pull", f"{NAME}:best")


def test_a_name_that_is_both_a_run_and_an_artifact_is_ambiguous(stored: Stored) -> None:
    stored.version(2).name = RUN
    error = refused("pull", f"{PLACE}/{RUN}")
    assert "is ambiguous" in error
    assert f"{PLACE}/{RUN}:v2" in error
    assert f"{PLACE}/{NAME}:v1" in error


def test_another_type_of_artifact_is_refused(stored: Stored) -> None:
    stored.version(1).type = "dataset"
    assert "of the type dataset" in refused("pull", BEST)


@pytest.mark.parametrize("status", ["401", "403"])
def test_an_adapter_that_may_not_be_read_is_told(stored: Stored, status: str) -> None:
    stored.server.fault(status, where="ArtifactMembershipByName")  # type: ignore[arg-type]
    assert f"W&B refuses (status {status})" in refused("pull", BEST)


@pytest.mark.parametrize("status", ["401", "404"])
def test_a_key_that_the_server_does_not_take_is_told(
    stored: Stored, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "b" * 40)  # W&B's client remembers which ones were right
    stored.server.fault(status)  # type: ignore[arg-type]
    error = refused("pull", BEST)
    assert "W&B does not take the API key: " in error
    assert f"(status {status}). `wandb login` stores another" in error


def test_without_a_key_nobody_is_asked(stored: Stored, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = f"from oaml_callbacks.cli_adapter import app; app(['pull', {BEST!r}])"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    asked = len(stored.server.requests)
    result = subprocess.run(
        [sys.executable, "-c", script],
        env={
            **environment,
            "WANDB_BASE_URL": stored.server.url,
            "HOME": str(tmp_path),
            "NETRC": str(tmp_path / "none"),
        },
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 2
    assert "there is no API key. `wandb login` stores one" in result.stderr
    assert "Traceback" not in result.stderr
    assert len(stored.server.requests) == asked


def test_offline_nobody_is_asked(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert "W&B is offline. Unset WANDB_MODE" in refused("pull", BEST)


@pytest.mark.parametrize(
    "path",
    ["../../.bashrc", "/etc/passwd", "x/../../y.json", "C:/x.json", "a\\b.json", "adapter_config.json:stream",
     "./x.json", "x//y.json", "\x1b.json", "x" * 300],
)  # fmt: skip
def test_a_path_outside_the_folder_is_refused(stored: Stored, path: str) -> None:
    stored.add(path, index=1)
    asked = stored.server.operations.count("ArtifactMembershipFiles")
    assert "would lie outside its folder" in refused("pull", BEST)
    assert stored.server.operations.count("ArtifactMembershipFiles") == asked


@pytest.mark.parametrize("ref", ["s3://bucket/adapter_config.json", "file:///etc/passwd", "http://127.0.0.1:1/x"])
def test_a_reference_to_elsewhere_is_refused(stored: Stored, ref: str) -> None:
    stored.add("adapter_config.json", index=1, ref=ref)
    error = refused("pull", BEST)
    assert "adapter_config.json is a reference" in error
    assert "Nothing is fetched from there" in error


@pytest.mark.parametrize("name", ["adapter_model.bin", "optimizer.pt", "x/data.PKL", "training_args.bin"])
def test_a_pickle_is_refused(stored: Stored, name: str) -> None:
    stored.add(name, b"\x80\x04.", index=1)
    assert f"has a pickle, {name}" in refused("pull", BEST)


def test_a_pickle_under_the_weights_name_is_refused(stored: Stored) -> None:
    stored.replace("adapter_model.safetensors", b"PK\x03\x04" + bytes(100), index=1)
    error = refused("pull", BEST)
    assert f"{PLACE}/{NAME}:v1: adapter_model.safetensors is no safetensors file: it is a zip file" in error


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_an_artifact_without_an_adapter_is_refused(stored: Stored, name: str) -> None:
    del stored.version(1).entries[name]
    assert f"holds no LoRA adapter: {name} is missing" in refused("pull", BEST)


def test_weights_that_are_too_large_are_refused(stored: Stored) -> None:
    stored.version(1).entries["adapter_model.safetensors"]["size"] = 17 * 2**30
    assert "more than the 17,179,869,184 taken" in refused("pull", BEST)


def test_an_artifact_of_too_many_files_is_refused(stored: Stored) -> None:
    for index in range(200):
        stored.add(f"{index}.txt", index=1)
    assert "has 204 files. An adapter has at most 200" in refused("pull", BEST)


def test_other_bytes_than_those_that_were_logged_are_refused(stored: Stored) -> None:
    content = bytearray(stored.server.content(stored.version(1), "adapter_model.safetensors"))
    content[-1] ^= 1
    stored.give_out("adapter_model.safetensors", bytes(content), index=1)
    assert "its digest isn't the manifest's" in refused("pull", BEST)


def test_more_bytes_than_the_manifest_says_are_refused(stored: Stored) -> None:
    content = stored.server.content(stored.version(1), "adapter_model.safetensors")
    stored.give_out("adapter_model.safetensors", content + b"x", index=1)
    assert "has more than the" in refused("pull", BEST)


def test_fewer_bytes_are_told_after_further_tries(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oaml_callbacks.adapters.download.PAUSE_SECONDS", 0.01)
    stored.give_out("README.md", b"#", index=1)
    assert "came in part, 1 of 13 bytes" in refused("pull", BEST, code=1)


def test_files_that_fit_the_manifest_but_not_what_was_logged_are_refused(stored: Stored) -> None:
    """Who can change the artifact's files can change their digests in its manifest, and not those in the metadata."""
    stored.add("README.md", b"# Another\n", index=1)
    assert "its SHA-256 isn't the one in the metadata" in refused("pull", BEST)


def test_a_file_that_was_logged_and_is_gone_is_told(stored: Stored) -> None:
    del stored.version(1).entries["tokenizer_config.json"]
    assert "lacks tokenizer_config.json" in refused("pull", BEST)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"peft_type": "PROMPT_TUNING"}, "peft_type is 'PROMPT_TUNING'"),
        ({"auto_mapping": {"parent_library": "evil"}}, "auto_mapping"),
        ({"base_model_name_or_path": "other/base"}, f"metadata says that it is for {BASE}"),
    ],
)
def test_a_config_that_is_not_safe_or_contradicts_is_refused(
    stored: Stored, tmp_path: Path, config: dict[str, Any], reason: str
) -> None:
    adapter = write_adapter(tmp_path / "changed", **config)
    stored.replace("adapter_config.json", (adapter / "adapter_config.json").read_bytes(), index=1)
    assert reason in refused("pull", BEST)


def test_a_processor_with_code_of_its_own_is_refused(stored: Stored) -> None:
    stored.replace("tokenizer_config.json", b'{"auto_map": {"AutoTokenizer": "x.Y"}}', index=1)
    assert "names code of its own" in refused("pull", BEST)


def test_another_base_model_than_the_expected_one_is_refused(stored: Stored) -> None:
    assert pulled(BEST, "--base", BASE, "--to", "right")["base_model"] == BASE
    error = refused("pull", BEST, "--base", "Qwen/Qwen3-VL-8B-Instruct")
    assert f"is an adapter for {BASE}, and not for Qwen/Qwen3-VL-8B-Instruct, which --base expects" in error


def test_the_base_model_is_held_against_the_adapters_own_config(stored: Stored) -> None:
    stored.change_metadata(index=1, base_model=None)
    assert f"is an adapter for {BASE}" in refused("pull", BEST, "--base", "Qwen/Qwen3-VL-8B-Instruct")


# The server away ----------------------------------------------------------------------------------------------------


def test_a_server_that_does_not_answer_is_told_in_bounded_time(stored: Stored) -> None:
    stored.server.fault("hang", where="ArtifactMembershipByName")
    assert f"W&B gave no answer about {BEST} in 1 s" in refused("pull", BEST, "--timeout", "1", code=1)


def test_a_storage_that_does_not_answer_is_told_in_bounded_time(stored: Stored) -> None:
    stored.server.fault("hang", where="storage", after=1)  # the manifest comes
    assert "did not come in time: 0 of" in refused("pull", BEST, "--timeout", "2", code=1)


def test_a_broken_connection_is_tried_again(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oaml_callbacks.adapters.download.PAUSE_SECONDS", 0.01)
    stored.server.fault("drop", where="storage", after=2, count=1)
    stored.server.fault("500", where="storage", after=3, count=1)
    pulled(BEST)


def test_a_storage_that_refuses_is_told(stored: Stored) -> None:
    stored.server.fault("403", where="storage", after=1)
    assert "the server answered 403" in refused("pull", BEST, code=1)
