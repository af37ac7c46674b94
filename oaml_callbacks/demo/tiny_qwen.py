"""Tiny Qwen-VL models with random weights, and their processors: the real classes, 0.6 million parameters.

They learn the demo's screens on a CPU. What makes that possible: pictures shrunk to 45 image tokens, whole-word
tokens for the demo's fixed words (an answer is about a dozen tokens), and a small `rope_theta`, since positions here
differ by tens and not by thousands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from oaml_callbacks.demo.screens import COLOURS, SYSTEM
from oaml_callbacks.processors import PROCESSORS, image_only_processor, image_processor_class

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast
    from transformers.processing_utils import ProcessorMixin

Family = Literal["qwen3_vl", "qwen2_5_vl"]
FAMILIES: tuple[Family, ...] = ("qwen3_vl", "qwen2_5_vl")
"""The model types that can be built; the first is the demo's default."""

_SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
_WORDS = (
    "system\n", "user\n", "assistant\n", SYSTEM, "Goal: ", "Click the ", " button.", *COLOURS,
    "Thought: ", "\nAction: CLICK(x=0.", ", y=0.",
)  # fmt: skip
_LAYERS = {"qwen3_vl": 3, "qwen2_5_vl": 4}
# ChatML, as Qwen's own template writes it for text and images.
_CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

_PATCH = 8  # pixels; released models have 16 (Qwen3-VL) and 14 (Qwen2.5-VL), too coarse for a screen of 144 x 80


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of 256 bytes, Qwen's special tokens, and whole tokens for the demo's fixed words and phrases."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {symbol: i for i, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens(list(_WORDS))
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(_SPECIAL),
        clean_up_tokenization_spaces=False,
        model_max_length=4096,
    )


def build_processor(family: Family = "qwen3_vl", *, max_tokens: int = 46) -> ProcessorMixin:
    """The family's processor, for images alone, with `build_tokenizer`'s tokenizer.

    Args:
        family: One of `FAMILIES`.
        max_tokens: Pictures are shrunk to at most this many image tokens of 16 x 16 pixels: 46 makes a 16:9 screen
            144 x 80 pixels, 45 tokens.

    Raises:
        ValueError: Another family.
    """
    _check_family(family)
    token_pixels = (2 * _PATCH) ** 2
    return image_only_processor(
        PROCESSORS[family],
        image_processor=image_processor_class()(
            patch_size=_PATCH,
            temporal_patch_size=2,
            merge_size=2,
            min_pixels=4 * token_pixels,
            max_pixels=max_tokens * token_pixels,
            image_mean=[0.5] * 3,
            image_std=[0.5] * 3,
        ),
        tokenizer=build_tokenizer(),
        chat_template=_CHAT_TEMPLATE,
    )


def build_model(
    family: Family,
    processor: ProcessorMixin,
    *,
    hidden_size: int = 96,
    layers: int | None = None,
    heads: int = 4,
    vision_hidden_size: int = 64,
    vision_layers: int = 2,
    rope_theta: float = 20.0,
) -> PreTrainedModel:
    """A model of the family with random weights (from torch's global generator), in float32, for `processor`.

    Args:
        family: One of `FAMILIES`.
        processor: From `build_processor` of the same family: gives the vocabulary and the special tokens.
        hidden_size: Width of the language model; a multiple of `4 * heads`.
        layers: Layers of the language model. None: 3 for Qwen3-VL, 4 for Qwen2.5-VL, whose vision model has relative
            positions alone, so that the language model has to make out where on the screen a token is.
        heads: Attention heads, twice the key/value heads.
        vision_hidden_size: Width of the vision model; a multiple of 16.
        vision_layers: Layers of the vision model.
        rope_theta: Base of the rotary position embedding's wavelengths.

    Raises:
        ValueError: Another family.
    """
    import torch
    import transformers

    _check_family(family)
    tokenizer: Any = processor.tokenizer
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in _SPECIAL}
    half = hidden_size // heads // 2
    text: dict[str, Any] = {
        "vocab_size": -(-len(tokenizer) // 8) * 8,
        "hidden_size": hidden_size,
        "intermediate_size": 3 * hidden_size,
        "num_hidden_layers": layers or _LAYERS[family],
        "num_attention_heads": heads,
        "num_key_value_heads": heads // 2,
        "max_position_embeddings": 4096,
        "initializer_range": 0.05,
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
    }
    vision: dict[str, Any] = {
        "depth": vision_layers,
        "hidden_size": vision_hidden_size,
        "intermediate_size": 2 * vision_hidden_size,
        "num_heads": 4,
        "patch_size": _PATCH,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "in_channels": 3,
        "out_hidden_size": hidden_size,
        "initializer_range": 0.05,
    }
    # The released models split a head's frequencies among time, height and width 16:24:24 (Qwen2.5-VL) and
    # 24:20:20 (Qwen3-VL).
    if family == "qwen2_5_vl":
        time = half // 4
        section = [time, (half - time) // 2, half - time - (half - time) // 2]
        vision |= {"window_size": 112, "fullatt_block_indexes": [vision_layers - 1], "tokens_per_second": 2}
    else:
        section = [half - 2 * (half // 3), half // 3, half // 3]
        text["head_dim"] = hidden_size // heads
        vision |= {"num_position_embeddings": 64, "deepstack_visual_indexes": [0]}
    rope: dict[str, Any] = {"rope_type": "default", "mrope_section": section}
    if family == "qwen3_vl":
        rope["mrope_interleaved"] = True
    # Each version reads its own spelling and leaves the other alone.
    if hasattr(transformers, "Qwen2VLImageProcessorPil"):
        text["rope_parameters"] = {**rope, "rope_theta": rope_theta}
    else:
        text |= {"rope_scaling": rope, "rope_theta": rope_theta}
    config_name, model_name = {
        "qwen3_vl": ("Qwen3VLConfig", "Qwen3VLForConditionalGeneration"),
        "qwen2_5_vl": ("Qwen2_5_VLConfig", "Qwen2_5_VLForConditionalGeneration"),
    }[family]
    config = getattr(transformers, config_name)(
        text_config=text,
        vision_config=vision,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    model: PreTrainedModel = getattr(transformers, model_name)(config)
    if family == "qwen3_vl":
        # As large as what a patch's pixels give; at `initializer_range` where a patch is would be drowned by them.
        torch.nn.init.normal_(model.model.visual.pos_embed.weight, std=0.5)
    generation: Any = model.generation_config
    generation.eos_token_id = ids["<|im_end|>"]
    generation.pad_token_id = ids["<|endoftext|>"]
    generation.bos_token_id = ids["<|endoftext|>"]
    return model


def _check_family(family: str) -> None:
    if family not in FAMILIES:
        raise ValueError(f"No tiny model of the family {family!r}: expected one of {', '.join(FAMILIES)}.")
