"""Folders with small adapters, written by hand: torch takes seconds to import."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

BASE = "Qwen/Qwen3-VL-2B-Instruct"
LAYER = "base_model.model.model.language_model.layers.0.self_attn.q_proj"


def write_adapter(folder: Path, *, value: float = 0.5, **config: Any) -> Path:
    """An adapter of rank 2 on one module, as PEFT writes it, with a tokenizer and a card."""
    folder.mkdir(parents=True, exist_ok=True)
    said = {
        "peft_type": "LORA",
        "base_model_name_or_path": BASE,
        "revision": None,
        "r": 2,
        "lora_alpha": 4,
        "lora_dropout": 0.0,
        "target_modules": ["q_proj"],
        "bias": "none",
        "task_type": "CAUSAL_LM",
        "auto_mapping": None,
        **config,
    }
    (folder / "adapter_config.json").write_text(json.dumps(said))
    write_weights(folder, {f"{LAYER}.lora_A.weight": (2, 8), f"{LAYER}.lora_B.weight": (4, 2)}, value=value)
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 4096}')
    (folder / "README.md").write_text("# An adapter\n")
    return folder


def write_weights(folder: Path, shapes: dict[str, tuple[int, ...]], *, value: float = 0.5) -> None:
    """A safetensors file of float32, all of one value."""
    header, data = {}, b""
    for name, shape in shapes.items():
        count = 1
        for size in shape:
            count *= size
        made = struct.pack("<f", value) * count
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [len(data), len(data) + len(made)]}
        data += made
    (folder / "adapter_model.safetensors").write_bytes(safetensors(header, data))


def safetensors(header: Any, data: bytes) -> bytes:
    """The bytes of a safetensors file with this header, right or wrong."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data
