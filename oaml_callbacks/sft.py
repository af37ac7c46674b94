"""Supervised fine-tuning rows for a Qwen-VL model: a dataset of raw rows, and the collator that makes batches of them.

A row is openadapt-ml's and TRL's form: `{"images": [path or PIL image, ...], "messages": [{"role", "content"}, ...]}`;
further keys (`bbox`, `group`, ...) are left alone, so that an evaluation can read them from the same dataset. Use
`remove_unused_columns=False`, or the Trainer drops them all.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch.utils.data import Dataset

from oaml_callbacks.chat import place_images

if TYPE_CHECKING:
    from transformers.processing_utils import ProcessorMixin

Row = Mapping[str, Any]
IGNORE = -100
"""The label that torch's cross entropy leaves out."""


class SFTDataset(Dataset[Row]):
    """Rows as they are: `dataset[i]` is the i-th mapping given, untouched."""

    def __init__(self, rows: Sequence[Row]) -> None:
        """Check the rows' form.

        Raises:
            ValueError: A row without `images` and `messages`, or whose last turn is not the assistant's.
        """
        for i, row in enumerate(rows):
            missing = {"images", "messages"} - set(row)
            if missing:
                raise ValueError(f"Row {i} has no {' and no '.join(sorted(missing))}; it has {', '.join(row)}.")
            _check_answer(row["messages"], f"Row {i}")
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        return self.rows[index]


class SFTCollator:
    """Makes a training batch from raw rows, for Qwen2-VL, Qwen2.5-VL and Qwen3-VL.

    Labels are -100 everywhere except on the **last** assistant turn, its end token included: earlier assistant turns
    of a row are context and are not trained. Padding is on the right. Rows are not changed.
    """

    def __init__(self, processor: ProcessorMixin, *, cache_bytes: int = 512 * 2**20) -> None:
        """Keep the processor, and nothing else yet.

        Args:
            processor: A Qwen-VL processor: its chat template, its tokenizer (with a pad token) and its image processor
                are used.
            cache_bytes: Processed pictures that came as paths are kept, the least recently used go first, until they
                take this many bytes of memory (per DataLoader worker). 0 keeps none.
        """
        self.processor: Any = processor  # Any: the image token is the Qwen-VL classes' own
        self.cache_bytes = cache_bytes
        self._cache: OrderedDict[str, tuple[torch.Tensor, torch.Tensor]] = OrderedDict()
        self._cached = 0

    def __call__(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """The batch of these rows.

        Returns:
            `input_ids`, `attention_mask`, `labels` of shape (rows, longest row), and `mm_token_type_ids` of that shape
            (1 on image tokens) where the processor's class has it; for the pictures of all rows, in order,
            `pixel_values` (patches, values per patch) and `image_grid_thw` (pictures, 3).

        Raises:
            ValueError: A row whose last turn is not the assistant's, whose pictures and image places don't agree, or
                whose answer the chat template doesn't write as a continuation of its generation prompt.
            OSError: A picture that can't be read (from Pillow).
        """
        pictures: list[tuple[torch.Tensor, torch.Tensor]] = []
        texts, answers = [], []
        for row in rows:
            own = [self._picture(image) for image in row["images"]]
            text, answer = self._texts(row, [int(grid.prod()) for _, grid in own])
            pictures += own
            texts.append(text)
            answers.append(answer)
        tokenizer: Any = self.processor.tokenizer
        batch: dict[str, torch.Tensor] = dict(
            tokenizer(texts, padding=True, padding_side="right", return_tensors="pt", add_special_tokens=False)
        )
        batch.pop("token_type_ids", None)
        batch["labels"] = self._labels(batch["input_ids"], batch["attention_mask"], answers)
        if "mm_token_type_ids" in self.processor.model_input_names:
            batch["mm_token_type_ids"] = (batch["input_ids"] == self.processor.image_token_id).long()
        if pictures:
            batch["pixel_values"] = torch.cat([pixels for pixels, _ in pictures])
            batch["image_grid_thw"] = torch.cat([grid for _, grid in pictures])
        return batch

    def _texts(self, row: Row, patches: list[int]) -> tuple[str, str]:
        """A row's whole text with its image tokens written out, and the part of it that is trained."""
        _check_answer(row["messages"], "A row")
        messages = place_images(row["messages"], row["images"])
        render = self.processor.apply_chat_template
        text = str(render(messages, tokenize=False))
        prompt = str(render(messages[:-1], tokenize=False, add_generation_prompt=True))
        if not text.startswith(prompt):
            raise ValueError(
                "The processor's chat template writes an answer differently from what its generation prompt begins, "
                f"so the answer's tokens can't be told from the prompt's. The prompt ends {prompt[-40:]!r}."
            )
        token = self.processor.image_token
        pieces = text.split(token)
        if len(pieces) != len(patches) + 1:
            raise ValueError(f"A row has {len(patches)} images, but {len(pieces) - 1} image tokens in its text.")
        merge = self.processor.image_processor.merge_size**2
        whole = pieces[0] + "".join(token * (n // merge) + piece for n, piece in zip(patches, pieces[1:], strict=True))
        return whole, text[len(prompt) :]

    def _labels(self, ids: torch.Tensor, mask: torch.Tensor, answers: list[str]) -> torch.Tensor:
        tokenizer: Any = self.processor.tokenizer
        labels = torch.full_like(ids, IGNORE)
        for i, answer in enumerate(answers):
            tail = tokenizer(answer, add_special_tokens=False)["input_ids"]
            end = int(mask[i].sum())
            start = end - len(tail)
            if ids[i, start:end].tolist() != tail:
                raise ValueError(f"The tokenizer joins the prompt's end and the answer's beginning: {answer[:40]!r}.")
            # Templates write a line break after the end token; a model that stops there never makes it.
            stops = [k for k, token in enumerate(tail) if token == tokenizer.eos_token_id]
            stop = start + stops[-1] + 1 if stops else end
            labels[i, start:stop] = ids[i, start:stop]
        return labels

    def _picture(self, image: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """`(pixel_values, image_grid_thw)` of one picture, from the cache if it came as a path."""
        if not isinstance(image, (str, os.PathLike)):
            return self._process(image)
        key = os.fspath(image)
        found = self._cache.get(key)
        if found is not None:
            self._cache.move_to_end(key)
            return found
        with Image.open(key) as opened:
            processed = self._process(opened.convert("RGB"))
        self._cache[key] = processed
        self._cached += processed[0].nbytes
        while self._cached > self.cache_bytes:
            _, (pixels, _) = self._cache.popitem(last=False)
            self._cached -= pixels.nbytes
        return processed

    def _process(self, image: Any) -> tuple[torch.Tensor, torch.Tensor]:
        made = self.processor.image_processor(images=[image], return_tensors="pt")
        return made["pixel_values"], made["image_grid_thw"]


def _check_answer(messages: Sequence[Mapping[str, Any]], what: str) -> None:
    if not messages or messages[-1].get("role") != "assistant":
        raise ValueError(f"{what}: the last message must be the assistant's answer, for it is what is trained.")
