"""Load a Qwen-VL processor, with or without torchvision.

transformers' Qwen-VL processors also prepare videos, and the video part needs torchvision; without it they cannot be
constructed, although nothing that clicks on screenshots uses it. A CPU machine without torchvision is common, so the
processor is built here from the same files, for images alone.
"""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from transformers.processing_utils import ProcessorMixin

PROCESSORS = {
    "qwen2_vl": "Qwen2VLProcessor",
    "qwen2_5_vl": "Qwen2_5_VLProcessor",
    "qwen3_vl": "Qwen3VLProcessor",
    "qwen3_vl_moe": "Qwen3VLProcessor",
}
"""transformers' processor class by `model_type`: the families that can be built for images alone."""


def load_processor(
    name_or_path: str, *, min_pixels: int | None = None, max_pixels: int | None = None, **kwargs: Any
) -> ProcessorMixin:
    """The processor of a checkpoint: transformers' own where torchvision is there, else the same for images alone.

    Args:
        name_or_path: A folder, or a repository on the Hugging Face Hub.
        min_pixels: Pictures are enlarged to at least this many pixels, width times height. None: the checkpoint's.
            A limit of the checkpoint's that would contradict the one given moves along with it.
        max_pixels: Pictures are shrunk to at most this many pixels. None: the checkpoint's.
        **kwargs: For `from_pretrained` (`revision`, `token`, `cache_dir`, `local_files_only`, ...).

    Raises:
        ValueError: Pixel limits that are not positive or contradict each other, or, without torchvision, a processor
            that is not of a Qwen-VL family in `PROCESSORS`.
        RuntimeError: torchvision is installed but cannot be imported: transformers then fails to import, too.
        OSError: The files are not there (from transformers).
    """
    for name, value in (("min_pixels", min_pixels), ("max_pixels", max_pixels)):
        if value is not None and value < 1:
            raise ValueError(f"{name}={value}: expected a positive number of pixels (width times height).")
    if min_pixels is not None and max_pixels is not None and min_pixels > max_pixels:
        raise ValueError(f"min_pixels={min_pixels} is more than max_pixels={max_pixels}.")
    if has_torchvision():
        from transformers import AutoProcessor

        processor: ProcessorMixin = AutoProcessor.from_pretrained(name_or_path, **kwargs)  # type: ignore[no-untyped-call]
    else:
        processor = _load_image_only(name_or_path, **kwargs)
    _limit_pixels(processor.image_processor, min_pixels, max_pixels)
    return processor


@cache
def has_torchvision() -> bool:
    """Whether torchvision can be imported.

    Raises:
        RuntimeError: It is installed, but its import fails. transformers asks only whether it is installed, so its
            Qwen-VL classes would fail next, with a message that doesn't name the cause.
    """
    if importlib.util.find_spec("torchvision") is None:
        return False
    try:
        importlib.import_module("torchvision")
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        raise RuntimeError(
            f"torchvision is installed but cannot be imported ({error}): usually it was built for another torch. "
            "Install the torchvision that goes with your torch, or uninstall it (`pip uninstall torchvision`): "
            "screenshots need none."
        ) from error
    return True


def image_processor_class() -> type[Any]:
    """transformers' Qwen-VL image processor that works on PIL and NumPy alone: its name depends on the version."""
    import transformers

    # 5.x: `Qwen2VLImageProcessor` is the torchvision one. 4.57: it is the PIL one, and `...Fast` the other.
    found: type[Any] | None = getattr(transformers, "Qwen2VLImageProcessorPil", None)
    return found if found is not None else transformers.Qwen2VLImageProcessor


def image_only_processor(
    class_name: str, *, image_processor: Any, tokenizer: PreTrainedTokenizerBase, chat_template: str | None
) -> ProcessorMixin:
    """A processor of transformers' class `class_name` (a value of `PROCESSORS`) without its video part."""
    processor: ProcessorMixin = _image_only_class(class_name)(image_processor, tokenizer, chat_template=chat_template)
    return processor


def _load_image_only(name_or_path: str, **kwargs: Any) -> ProcessorMixin:
    from transformers import AutoTokenizer
    from transformers.processing_utils import ProcessorMixin

    settings, _ = ProcessorMixin.get_processor_dict(name_or_path, **kwargs)
    image_class = image_processor_class()
    image_settings, _ = image_class.get_image_processor_dict(name_or_path, **kwargs)
    class_name = settings.get("processor_class") or image_settings.get("processor_class")
    if class_name is None:
        from transformers import AutoConfig

        model_type = AutoConfig.from_pretrained(name_or_path, **kwargs).model_type
        class_name = PROCESSORS.get(model_type, f"processor of {model_type!r}")
    if class_name not in PROCESSORS.values():
        raise ValueError(
            f"{name_or_path}: a {class_name} cannot be built without torchvision; only "
            f"{', '.join(sorted(set(PROCESSORS.values())))} can. Install the torchvision that goes with your torch."
        )
    tokenizer = AutoTokenizer.from_pretrained(name_or_path, **kwargs)
    image_processor = image_class.from_pretrained(name_or_path, **kwargs)
    # 4.57's PIL class reads `min_pixels` and `max_pixels` (Qwen2.5-VL) and passes over `size` (Qwen3-VL).
    size = image_settings.get("size") or {}
    _limit_pixels(
        image_processor,
        image_settings.get("min_pixels") or size.get("shortest_edge"),
        image_settings.get("max_pixels") or size.get("longest_edge"),
    )
    return image_only_processor(
        class_name,
        image_processor=image_processor,
        tokenizer=tokenizer,
        chat_template=settings.get("chat_template") or tokenizer.chat_template,
    )


@cache
def _image_only_class(class_name: str) -> type[Any]:
    import transformers
    from transformers.processing_utils import ProcessorMixin

    stock: type[Any] = getattr(transformers, class_name)

    class ImageOnly(stock):  # type: ignore[misc]
        # For 4.57, which otherwise reads the stock class's parts, and insists on Qwen's own tokenizer classes.
        attributes = ("image_processor", "tokenizer")
        tokenizer_class = "PreTrainedTokenizerBase"

        def __init__(
            self, image_processor: Any = None, tokenizer: Any = None, chat_template: str | None = None, **_: Any
        ) -> None:
            # What the stock __init__ sets, without the video processor that it insists on.
            for name, token in (
                ("image", "<|image_pad|>"),
                ("video", "<|video_pad|>"),
                ("vision_start", "<|vision_start|>"),
                ("vision_end", "<|vision_end|>"),
            ):
                own = getattr(tokenizer, f"{name}_token", None) or token
                setattr(self, f"{name}_token", own)
                setattr(self, f"{name}_token_id", tokenizer.convert_tokens_to_ids(own))
            ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)  # type: ignore[no-untyped-call]

        def save_pretrained(self, save_directory: str, **kwargs: Any) -> Any:
            written = super().save_pretrained(save_directory, **kwargs)
            # transformers 5 writes processor_config.json alone; the stock classes find a video processor's settings
            # in this file, as in the Hub's Qwen2.5-VL, so that the folder loads where torchvision is installed.
            self.image_processor.save_pretrained(save_directory)
            return written

    # The stock name is what save_pretrained writes as `processor_class`; with __getattr__ below, it also pickles.
    ImageOnly.__name__ = ImageOnly.__qualname__ = class_name
    return ImageOnly


def __getattr__(name: str) -> Any:
    """Image-only classes by name, for pickle: a DataLoader with workers sends its collator, processor and all."""
    if name in PROCESSORS.values():
        return _image_only_class(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _limit_pixels(image_processor: Any, min_pixels: int | None, max_pixels: int | None) -> None:
    if min_pixels is None and max_pixels is None:
        return
    size = dict(image_processor.size)
    if min_pixels is not None:
        size["shortest_edge"] = min_pixels
        size["longest_edge"] = max(min_pixels, size["longest_edge"]) if max_pixels is None else max_pixels
    elif max_pixels is not None:
        size["longest_edge"] = max_pixels
        size["shortest_edge"] = min(max_pixels, size["shortest_edge"])
    image_processor.size = size
    for name, edge in (("min_pixels", "shortest_edge"), ("max_pixels", "longest_edge")):
        if getattr(image_processor, name, None) is not None:  # 4.57 keeps both spellings
            setattr(image_processor, name, size[edge])
