"""`oaml adapter pull`, `check` and `link`, against a server with adapters that W&B's own SDK has logged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.loopback.artifact_links import ORGANISATION_ENTITY

from .adapter_command import BEST, DEFAULT, oaml, pulled, refused
from .adapter_folders import BASE, write_adapter
from .stored_adapters import NAME, PLACE, RUN, Stored, tree

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


def test_no_more_chat_templates_are_taken_than_an_adapter_has(stored: Stored) -> None:
    for index in range(22):
        stored.add(f"additional_chat_templates/t{index:02}.jinja", b"{{ messages }}", index=1)
    values = pulled(BEST)
    assert len([name for name in values["files"] if name.endswith(".jinja")]) == 20
    assert [reason.partition(":")[0] for reason in values["left_out"]] == [
        "additional_chat_templates/t20.jinja",
        "additional_chat_templates/t21.jinja",
    ]
    assert json.loads(oaml("check", DEFAULT, "--json").stdout)["digest"] == values["digest"]


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


def test_check_tells_a_program_of_names_that_can_not_be_written(tmp_path: Path) -> None:
    name = "half\ud800\x9b2J\u202e"
    result = oaml("check", write_adapter(tmp_path / "a", base_model_name_or_path=name), "--json")
    assert result.exit_code == 0
    assert result.stdout.isascii()
    assert json.loads(result.stdout)["base_model"] == name


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
