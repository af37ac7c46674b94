"""What an adapter's files are, and which are refused."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from oaml_callbacks.adapters.adapter_files import (
    CONFIG,
    MAX_SMALL_FILE,
    WEIGHTS,
    AdapterError,
    adapter_digest,
    adapter_files,
    check_adapter,
    check_no_code,
    is_adapter_file,
)

from .adapter_folders import BASE, LAYER, safetensors, write_adapter, write_weights

pytestmark = pytest.mark.newest_only

A = f"{LAYER}.lora_A.weight"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "adapter")


def header(**changed: Any) -> dict[str, Any]:
    return {A: {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16], **changed}}


def test_an_adapters_facts_are_read_from_its_files(folder: Path) -> None:
    facts = check_adapter(folder)
    assert (facts.base_model, facts.revision, facts.r, facts.lora_alpha) == (BASE, None, 2, 4)
    assert (facts.target_modules, facts.peft_type, facts.tensors, facts.parameters) == (("q_proj",), "LORA", 2, 24)
    assert facts.bytes == (folder / WEIGHTS).stat().st_size


def test_what_a_checkpoint_has_beside_an_adapter_is_none_of_its_files(folder: Path) -> None:
    for name in ("optimizer.pt", "rng_state.pth", "scheduler.pt", "training_args.bin", "trainer_state.json"):
        (folder / name).write_bytes(b"\x80\x04.")
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "tools.jinja").write_text("{{ messages }}")
    (folder / "additional_chat_templates" / "run.py").write_text("")
    assert set(adapter_files(folder)) == {
        WEIGHTS,
        CONFIG,
        "README.md",
        "tokenizer_config.json",
        "additional_chat_templates/tools.jinja",
    }


def test_a_processors_file_that_is_too_large_is_left_out(folder: Path) -> None:
    with (folder / "tokenizer.json").open("wb") as file:
        file.truncate(MAX_SMALL_FILE + 1)
    assert "tokenizer.json" not in adapter_files(folder)
    with (folder / "tokenizer.json").open("wb") as file:
        file.truncate(MAX_SMALL_FILE)
    assert "tokenizer.json" in adapter_files(folder)


def test_links_are_left_out(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("key")
    (folder / "vocab.json").symlink_to(tmp_path / "secret")
    assert "vocab.json" not in adapter_files(folder)


def test_weights_that_are_a_link_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / WEIGHTS).rename(tmp_path / "elsewhere")
    (folder / WEIGHTS).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AdapterError, match="is a link"):
        check_adapter(folder)


@pytest.mark.parametrize(
    "name", ["../adapter_config.json", "additional_chat_templates/../x.jinja", "additional_chat_templates/a/b.jinja"]
)
def test_a_name_with_folders_in_it_is_no_adapters(name: str) -> None:
    assert not is_adapter_file(name)


def test_the_digest_is_of_names_and_contents(folder: Path, tmp_path: Path) -> None:
    files = adapter_files(folder)
    same = adapter_files(write_adapter(tmp_path / "same"))
    assert adapter_digest(files) == adapter_digest(dict(reversed(same.items())))
    assert adapter_digest(files) != adapter_digest(adapter_files(write_adapter(tmp_path / "other", value=0.25)))
    swapped = {**files, "README.md": files[CONFIG], CONFIG: files["README.md"]}
    assert adapter_digest(files) != adapter_digest(swapped)


# Weights -----------------------------------------------------------------------------------------------------------


def test_a_pickle_in_place_of_the_weights_is_refused(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "adapter_model.bin")
    with pytest.raises(AdapterError, match=r"adapter_model\.bin is a pickle"):
        check_adapter(folder)


def test_a_pickle_under_the_weights_name_is_refused(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(pickle.dumps({"weights": [0.5] * 100}))
    with pytest.raises(AdapterError, match="it is a pickle"):
        check_adapter(folder)


def test_torchs_zip_file_under_the_weights_name_is_refused(folder: Path) -> None:
    with zipfile.ZipFile(folder / WEIGHTS, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps([1, 2]))
    with pytest.raises(AdapterError, match=r"a zip file, as torch\.save writes"):
        check_adapter(folder)


def test_weights_whose_header_begins_with_a_pickles_bytes_are_fine(folder: Path) -> None:
    """The header's length comes first, and 0x0280 is one like any other."""
    text = json.dumps(header()).encode().ljust(0x0280)
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + bytes(16))
    assert (folder / WEIGHTS).read_bytes()[:2] == b"\x80\x02"
    assert check_adapter(folder).tensors == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "longer than the file"),
        (b"\x00\x01", "longer than the file"),
        (struct.pack("<Q", 2**62) + b"{}", "longer than the file"),
        (struct.pack("<Q", 3) + b"{,}", "no JSON"),
        (struct.pack("<Q", 2) + b"[]", "no JSON object"),
        (struct.pack("<Q", 100_000) + b"[" * 100_000, "no JSON"),
        (safetensors(header(), bytes(15)), "damaged"),
        (safetensors(header(), bytes(17)), "damaged"),
        (safetensors(header(shape=[2, 3]), bytes(16)), "damaged"),
        (safetensors(header(shape=[-2, -2]), bytes(16)), "damaged"),
        (safetensors(header(shape=[True, 4]), bytes(16)), "damaged"),
        (safetensors(header(shape=[1] * 64 + [4]), bytes(16)), "damaged"),
        (safetensors(header(shape=[2**62] * 2_000_000), bytes(16)), "damaged"),  # whose product would take hours
        (safetensors(header(dtype="PICKLE"), bytes(16)), "damaged"),
        (safetensors(header(dtype=["F32"]), bytes(16)), "damaged"),
        (safetensors(header(data_offsets=[16, 0]), bytes(16)), "damaged"),
        (safetensors(header(data_offsets=[0]), bytes(16)), "damaged"),
        (safetensors({**header(), "lora_x": header()[A]}, bytes(32)), "overlap"),
        (safetensors(header(data_offsets=[16, 32]), bytes(32)), "gap"),
        (safetensors({A: None}, b""), "damaged"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
    ],
)
def test_damaged_weights_are_refused(folder: Path, content: bytes, reason: str) -> None:
    (folder / WEIGHTS).write_bytes(content)
    with pytest.raises(AdapterError, match=reason):
        check_adapter(folder)


def test_a_name_that_stands_twice_in_the_header_is_refused(folder: Path) -> None:
    one = json.dumps(header())[1:-1]
    text = f"{{{one},{one}}}".encode()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + bytes(16))
    with pytest.raises(AdapterError, match="twice"):
        check_adapter(folder)


def test_a_whole_models_weights_are_refused(folder: Path) -> None:
    write_weights(folder, {A: (2, 8), "model.layers.0.self_attn.q_proj.weight": (4, 4), "model.norm.weight": (4,)})
    with pytest.raises(AdapterError, match=r"weights that are no adapter's: .*q_proj\.weight and 1 more"):
        check_adapter(folder)


def test_weights_without_an_adapter_are_refused(folder: Path) -> None:
    write_weights(folder, {"model.norm.weight": (4,)})
    with pytest.raises(AdapterError, match="no LoRA weights"):
        check_adapter(folder)


def test_a_matrix_that_was_saved_in_parts_is_refused(folder: Path) -> None:
    write_weights(folder, {A: (0,)})
    with pytest.raises(AdapterError, match="saved in parts"):
        check_adapter(folder)


def test_a_matrix_may_have_a_bias(folder: Path) -> None:
    """PEFT's `lora_bias`."""
    write_weights(folder, {A: (2, 8), A.replace("lora_A.weight", "lora_B.bias"): (8,)})
    assert check_adapter(folder).tensors == 2


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("base_model.model.model.merger.mlp.weight", {"modules_to_save": ["merger"]}),
        ("base_model.model.model.layers.0.q_proj.bias", {"bias": "all"}),
        ("base_model.model.model.embed_tokens.weight", {}),
        ("base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta", {"trainable_token_indices": [1]}),
    ],
)
def test_what_is_trained_beside_the_adapter_belongs_to_it(folder: Path, name: str, config: dict[str, Any]) -> None:
    write_adapter(folder, **config)
    write_weights(folder, {A: (2, 8), name: (4, 4)})
    assert check_adapter(folder).tensors == 2


# The config ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"peft_type": "PREFIX_TUNING"}, "peft_type is 'PREFIX_TUNING'"),
        ({"peft_type": None}, "Expected a LoRA adapter"),
        ({"peft_type": ["LORA"]}, "peft_type"),
        ({"r": 0}, "r is 0. Expected a rank"),
        ({"r": True}, "Expected a rank"),
        ({"r": 10**9}, "Expected a rank"),
        ({"lora_alpha": "16"}, "lora_alpha is '16'. Expected a number"),
        ({"lora_alpha": float("nan")}, "Expected a number"),
        ({"lora_alpha": 10**400}, "Expected a number"),
        ({"base_model_name_or_path": ["x"]}, "base_model_name_or_path"),
        ({"revision": 3}, "revision is 3"),
        ({"target_modules": {"q": 1}}, "target_modules"),
        ({"target_modules": None}, "adapts nothing"),
        ({"modules_to_save": [1]}, "modules_to_save"),
        ({"auto_mapping": {"base_model_class": "Model", "parent_library": "evil"}}, "auto_mapping"),
        ({"auto_mapping": {"base_model_class": "Model", "parent_library": "transformers_evil.x"}}, "auto_mapping"),
        ({"auto_mapping": "evil"}, "auto_mapping"),
        ({"megatron_core": "evil"}, "megatron_core"),
    ],
)
def test_a_config_that_is_no_lora_adapters_is_refused(folder: Path, config: dict[str, Any], reason: str) -> None:
    write_adapter(folder, **config)
    with pytest.raises(AdapterError, match=reason):
        check_adapter(folder)


def test_what_peft_writes_for_a_model_without_a_task_is_fine(folder: Path) -> None:
    library = "transformers.models.qwen3_vl.modeling_qwen3_vl"
    write_adapter(folder, task_type=None, auto_mapping={"base_model_class": "Qwen3VLModel", "parent_library": library})
    assert check_adapter(folder).r == 2


@pytest.mark.parametrize("content", [b"", b"[]", b"{", "{}".encode("utf-16"), b"[" * 100_000, b" " * (2**20 + 1)])
def test_a_config_that_is_no_json_object_is_refused(folder: Path, content: bytes) -> None:
    (folder / CONFIG).write_bytes(content)
    with pytest.raises(AdapterError, match=CONFIG):
        check_adapter(folder)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_folder_without_an_adapter_says_what_is_missing(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(AdapterError, match=f"{name} is missing"):
        check_adapter(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("processor_config.json", '{"auto_map": {"AutoProcessor": "evil--processing.Evil"}}'),
        ("processor_config.json", '{"image_processor": {"auto_map": {"AutoImageProcessor": "evil--x.Evil"}}}'),
        ("processor_config.json", '{"parts": [{"auto_map": "x.Evil"}]}'),
        ("video_preprocessor_config.json", '{"auto_map": {"AutoVideoProcessor": "evil--x.Evil"}}'),
        ("preprocessor_config.json", '{"auto_map": {"AutoImageProcessor": "x.Evil"}}'),
        ("tokenizer_config.json", '{"auto_map": {"AutoTokenizer": ["x.Evil", null]}}'),
    ],
)
def test_a_processor_that_names_code_of_its_own_is_refused(folder: Path, name: str, content: str) -> None:
    check_no_code(adapter_files(folder))
    (folder / name).write_text(content)
    with pytest.raises(AdapterError, match="names code of its own"):
        check_no_code(adapter_files(folder))
