"""`oaml adapter pull`, `check` and `link`, against a server with adapters that W&B's own SDK has logged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from oaml_callbacks.cli_adapter import app
from tests.loopback.artifact_links import ORGANISATION_ENTITY

from .adapter_folders import BASE, write_adapter
from .stored_adapters import NAME, PLACE, RUN, Stored, tree

BEST = f"{PLACE}/{NAME}:best"
DEFAULT = Path("adapters") / f"{NAME}-v1"


def oaml(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)


def pulled(*arguments: object) -> dict[str, Any]:
    result = oaml("pull", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    values: dict[str, Any] = json.loads(result.stdout)
    return values


def refused(*arguments: object, code: int = 2) -> str:
    """What the command says of why it failed: one sentence or two on stderr, and nothing left behind."""
    before = tree(Path())
    result = oaml(*arguments)
    assert result.exit_code == code, (result.exit_code, result.output)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert tree(Path()) == before
    assert not list(Path().rglob("*.part"))
    return result.stderr


# What is there ------------------------------------------------------------------------------------------------------


def test_an_adapter_is_pulled_with_what_was_logged(stored: Stored, tmp_path: Path) -> None:
    result = oaml("pull", BEST)
    assert result.exit_code == 0, result.stderr
    there = tree(DEFAULT)
    record = json.loads(there.pop(".oaml_pull.json"))
    assert there == tree(write_adapter(tmp_path / "expected", value=0.2))
    assert record["source"] == f"{PLACE}/{NAME}:v1"
    assert set(record["sha256"]) == set(there)


def test_a_pull_says_what_it_is_where_it_is_and_how_it_is_loaded(stored: Stored) -> None:
    result = oaml("pull", BEST)
    assert result.stdout == (
        f"{PLACE}/{NAME}:v1 (best, step-20): a LoRA adapter, r 2, alpha 4, 24 parameters in 2 tensors, for {BASE}\n"
        "accuracy 75.0% of 16 clicks (95 % interval 50.5% to 89.8%), base model 12.5%, step 20\n"
        f"the run: https://wandb.example/{PLACE}/runs/{RUN}\n"
        f"4 files, 0.6 KB, checked: {DEFAULT}\n"
        "\n"
        "To load it:\n"
        "\n"
        "    from peft import PeftModel\n"
        "    from transformers import AutoModelForImageTextToText\n"
        "\n"
        f"    model = AutoModelForImageTextToText.from_pretrained('{BASE}')\n"
        f"    model = PeftModel.from_pretrained(model, '{DEFAULT}')\n"
    )
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("name", "version"),
    [
        (f"{PLACE}/{NAME}", "v1"),
        (f"clicks/{NAME}:best", "v1"),
        (f"{NAME}:best", "v1"),  # WANDB_PROJECT is set
        (f"{PLACE}/{NAME}:v0", "v0"),
        (f"{PLACE}/{NAME}:latest", "v2"),
        (f"{PLACE}/{NAME}:step-10", "v0"),
        (f"{PLACE}/{RUN}", "v1"),
        (f"clicks/{RUN}:latest", "v2"),
        (f"https://wandb.ai/{PLACE}/runs/{RUN}?nw=x", "v1"),
        (f"https://wandb.ai/{PLACE}/runs/{RUN}/overview", "v1"),
        (f"https://wandb.ai/{PLACE}/artifacts/model/{NAME}/v2/files", "v2"),
        (f"https://wandb.ai/{PLACE}/artifacts/model/{NAME}", "v1"),
    ],
)
def test_an_adapter_has_many_names(stored: Stored, name: str, version: str) -> None:
    assert pulled(name)["source"] == f"{PLACE}/{NAME}:{version}"


def test_without_a_best_version_the_newest_is_pulled(stored: Stored) -> None:
    stored.version(1).aliases.remove("best")
    assert pulled(f"{PLACE}/{NAME}")["source"] == f"{PLACE}/{NAME}:v2"


def test_json_has_all_that_is_known(stored: Stored) -> None:
    stored.change_metadata(index=1, base_revision="0123abcd")
    values = pulled(BEST, "--to", "here")
    assert values["folder"] == "here"
    assert values["aliases"] == ["best", "step-20"]
    assert (values["base_model"], values["revision"]) == (BASE, "0123abcd")
    assert (values["grounding_accuracy"], values["step"], values["r"]) == (0.75, 20, 2)
    assert set(values["files"]) == {name for name in tree(Path("here")) if not name.startswith(".")}
    assert "revision='0123abcd'" in values["load"][0]


def test_a_version_in_a_registry_is_pulled_too(stored: Stored) -> None:
    linked = oaml("link", BEST, "acme/production", "--json")
    assert linked.exit_code == 0, linked.output
    name = json.loads(linked.stdout)["linked"]
    assert name.endswith("wandb-registry-model/production:v0")
    values = pulled("acme/wandb-registry-model/production", "--to", "here")
    assert values["source"] == f"{ORGANISATION_ENTITY}/wandb-registry-model/production:v0"
    assert (
        tree(Path("here"))["adapter_model.safetensors"]
        == tree(write_adapter(Path("x"), value=0.2))["adapter_model.safetensors"]
    )


def test_what_is_no_adapters_is_left_out_and_told(stored: Stored) -> None:
    stored.add("notes/reading.txt", index=1)
    stored.add("trainer_state.json", b"{}", index=1)
    stored.version(1).entries["tokenizer.json"] = {"digest": "x", "size": 21 * 2**20}
    result = oaml("pull", BEST)
    assert result.exit_code == 0
    assert "left out: notes/reading.txt: no file of an adapter's" in result.stderr
    assert "left out: tokenizer.json: 22,020,096 bytes" in result.stderr
    assert not {"notes/reading.txt", "trainer_state.json", "tokenizer.json"} & set(tree(DEFAULT))


def test_a_folder_of_further_chat_templates_comes_along(stored: Stored) -> None:
    stored.add("additional_chat_templates/tools.jinja", b"{{ messages }}", index=1)
    pulled(BEST)
    assert tree(DEFAULT)["additional_chat_templates/tools.jinja"] == b"{{ messages }}"


def test_what_was_logged_without_metadata_is_pulled_by_what_its_files_say(stored: Stored) -> None:
    stored.version(1).metadata = "{}"
    values = pulled(BEST)
    assert values["base_model"] == BASE
    assert values["grounding_accuracy"] is None


@pytest.mark.parametrize(
    "metadata",
    [
        {"grounding_accuracy": "high", "grounding_samples": -3, "step": [1], "run_url": "javascript:alert(1)"},
        {"grounding_accuracy": 7.5, "grounding_samples": True, "step": 1e300, "run_url": "https://user:key@host/"},
    ],
)
def test_figures_that_can_not_be_are_left_out(stored: Stored, metadata: dict[str, Any]) -> None:
    stored.change_metadata(index=1, **metadata)
    values = pulled(BEST)
    assert [values[key] for key in ("grounding_accuracy", "grounding_samples", "step", "run_url")] == [None] * 4


def test_texts_of_others_do_nothing_in_a_terminal(stored: Stored) -> None:
    name = "evil\x1b[2Jmodel\n"
    config = json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q"]})
    stored.replace(
        "adapter_config.json", json.dumps({**json.loads(config), "base_model_name_or_path": name}).encode(), index=1
    )
    stored.change_metadata(index=1, base_model=None)
    result = oaml("pull", BEST)
    assert result.exit_code == 0
    assert "\x1b" not in result.output
    assert "for evil\\x1b[2Jmodel\\n\n" in result.stdout


# What is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (f"{PLACE}/adapter-run2:best", "has no adapter"),
        (f"{PLACE}/run2", "has no adapter"),
        ("somebody/else/adapter-run1:best", "may not see it"),
        (f"{PLACE}/{NAME}:v7", f"there is no version v7. The newest is v2"),
        (f"{PLACE}/{RUN}:nope", "step-30"),
    ],
)
def test_an_adapter_that_is_not_there_is_told(stored: Stored, name: str, reason: str) -> None:
    assert reason in refused("pull", name)


@pytest.mark.parametrize(
    "name",
    ["", " ", "a/b/c/d", "a//b", f"{PLACE}/{NAME}:", f"{PLACE}/x:y:z", "../adapter-x", f"{PLACE}/..", "a\\b", "x" * 2000,
     "https://wandb.ai/", "https://wandb.ai/a/b/c/d", f"https://wandb.ai/{PLACE}/artifacts/model", "https://[/a/b/runs/c",
     "clicks/ad\x1bapter"],
)  # fmt: skip
def test_a_name_that_can_not_be_one_is_refused_without_asking(stored: Stored, name: str) -> None:
    before = len(stored.server.requests)
    assert "Expected ENTITY/PROJECT/adapter-RUN:best" in refused("pull", "--", name)
    assert len(stored.server.requests) == before


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
    ["../../.bashrc", "/etc/passwd", "x/../../y.json", "C:/x.json", "a\\b.json", "adapter_config.json:stream", "./x.json",
     "x//y.json", "\x1b.json", "x" * 300],
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
    assert "W&B" in refused("pull", BEST, "--timeout", "1", code=1)


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


# The folder ---------------------------------------------------------------------------------------------------------


def test_a_folder_that_is_not_empty_is_left_alone(stored: Stored) -> None:
    Path("mine").mkdir()
    (Path("mine") / "notes.txt").write_text("keep")
    asked = len(stored.server.requests)
    assert "mine is not empty" in refused("pull", BEST, "--to", "mine")
    assert "holds files that were not pulled" in refused("pull", BEST, "--to", "mine", "--overwrite")
    assert len(stored.server.requests) == asked


def test_an_empty_folder_is_filled(stored: Stored) -> None:
    Path("empty").mkdir()
    pulled(BEST, "--to", "empty")
    assert "adapter_config.json" in tree(Path("empty"))


def test_a_file_in_place_of_the_folder_is_left_alone(stored: Stored) -> None:
    Path("file").write_text("keep")
    assert "file is no folder" in refused("pull", BEST, "--to", "file", "--overwrite")


def test_overwrite_replaces_what_was_pulled_and_nothing_else(stored: Stored, tmp_path: Path) -> None:
    stored.add("merges.txt", b"a b", index=0)
    pulled(f"{PLACE}/{NAME}:v0", "--to", "here")
    (Path("here") / "notes.txt").write_text("keep")
    (Path("here") / "mine").mkdir()
    (Path("here") / "mine" / "more.txt").write_text("keep too")
    pulled(BEST, "--to", "here", "--overwrite")
    there = tree(Path("here"))
    assert (there.pop("notes.txt"), there.pop("mine/more.txt")) == (b"keep", b"keep too")
    assert json.loads(there.pop(".oaml_pull.json"))["source"].endswith(":v1")
    assert there == tree(write_adapter(tmp_path / "expected", value=0.2))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_overwrite_leaves_a_pulled_file_alone_that_was_changed(stored: Stored) -> None:
    pulled(BEST, "--to", "here")
    (Path("here") / "README.md").write_text("my notes")
    assert "README.md was changed since it was pulled" in refused("pull", BEST, "--to", "here", "--overwrite")


def test_overwrite_leaves_a_file_of_the_same_name_alone(stored: Stored) -> None:
    pulled(BEST, "--to", "here")
    stored.add("merges.txt", b"a b", index=2)
    (Path("here") / "merges.txt").write_text("mine")
    error = refused("pull", f"{PLACE}/{NAME}:latest", "--to", "here", "--overwrite")
    assert "merges.txt was not pulled, and would be replaced" in error


def test_a_failed_pull_leaves_the_earlier_one_as_it_was(stored: Stored) -> None:
    pulled(BEST, "--to", "here")
    stored.give_out("adapter_model.safetensors", b"x" * 10_000, index=2)
    refused("pull", f"{PLACE}/{NAME}:latest", "--to", "here", "--overwrite")
    assert oaml("check", "here").exit_code == 0


def test_what_a_killed_pull_has_left_is_deleted_after_a_day(stored: Stored) -> None:
    for name, age in ((".here.0123.part", 25), (".here.4567.part", 1), (".other.0123.part", 25)):
        Path(name).mkdir()
        (Path(name) / "adapter_config.json").write_text("{")
        at = Path(name).stat().st_mtime - age * 3600
        os.utime(name, (at, at))
    pulled(BEST, "--to", "here")
    assert sorted(path.name for path in Path().iterdir() if path.name.startswith(".")) == [
        ".here.4567.part",
        ".other.0123.part",
    ]


def test_an_interrupted_pull_leaves_nothing(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("oaml_callbacks.adapters.pull.download", interrupted)
    result = oaml("pull", BEST)
    assert result.exit_code == 130
    assert tree(Path()) == {}


# Check --------------------------------------------------------------------------------------------------------------


def test_check_says_what_a_folder_holds(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "checkpoint-20")
    (folder / "optimizer.pt").write_bytes(b"\x80\x04.")
    (folder / "global_step20").mkdir()
    result = oaml("check", folder)
    assert result.stdout == (
        f"{folder}: a LoRA adapter, r 2, alpha 4, 24 parameters in 2 tensors, for {BASE}\n"
        "4 files, 0.6 KB: adapter_model.safetensors, adapter_config.json, README.md, tokenizer_config.json\n"
        "beside it, and no part of it: global_step20/, optimizer.pt\n"
    )


def test_check_tells_a_program(tmp_path: Path) -> None:
    values = json.loads(oaml("check", write_adapter(tmp_path / "a"), "--json").stdout)
    assert (values["r"], values["tensors"], values["source"], values["beside"]) == (2, 2, None, [])
    assert len(values["digest"]) == 64
    assert set(values["files"]) == set(tree(tmp_path / "a"))


def test_check_of_a_pulled_folder_tells_what_was_changed(stored: Stored) -> None:
    pulled(BEST, "--to", "here")
    assert f"as it was pulled from {PLACE}/{NAME}:v1" in oaml("check", "here").stdout
    (Path("here") / "README.md").unlink()
    assert "README.md is gone since it was pulled" in refused("check", "here")
    (Path("here") / "README.md").write_text("another")
    assert "README.md was changed since it was pulled" in refused("check", "here")


def test_check_refuses_what_is_no_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    assert "there is no folder nowhere" in refused("check", "nowhere")
    assert "empty holds no adapter: adapter_config.json is missing" in refused("check", "empty")


# Link ---------------------------------------------------------------------------------------------------------------


def test_a_version_is_linked_to_a_registry(stored: Stored) -> None:
    result = oaml("link", f"{PLACE}/{RUN}:step-10", "acme/wandb-registry-clicks/production")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{PLACE}/{NAME}:v0 is linked as ")
    assert result.stdout.endswith("/wandb-registry-clicks/production:v0\n")


def test_a_link_of_what_is_not_there_is_told(stored: Stored) -> None:
    assert "there is no version v7" in refused("link", f"{PLACE}/{NAME}:v7", "acme/production")


def test_a_link_to_what_can_not_be_is_refused_without_asking(stored: Stored) -> None:
    asked = len(stored.server.requests)
    assert "is no collection of a registry" in refused("link", BEST, "production")
    assert len(stored.server.requests) == asked


def test_a_server_that_does_not_link_is_told_in_bounded_time(stored: Stored) -> None:
    stored.server.fault("hang", where="LinkArtifact")
    assert "is not linked to acme/" in refused("link", BEST, "acme/production", "--timeout", "2", code=1)


def test_the_limits_in_the_help_are_those_of_the_package() -> None:
    from oaml_callbacks import cli_adapter
    from oaml_callbacks.adapters import pull, registry

    assert cli_adapter.PULL_SECONDS == pull.PULL_SECONDS
    assert cli_adapter.LINK_SECONDS == registry.LINK_SECONDS
