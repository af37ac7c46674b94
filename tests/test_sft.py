from __future__ import annotations

import copy
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText

from oaml_callbacks.demo.base import HabitRows, Lesson, PackingCollator, draw_pool, measure
from oaml_callbacks.demo.screens import draw_screen, write_samples
from oaml_callbacks.demo.tiny_qwen import FAMILIES, Family, build_model, build_processor
from oaml_callbacks.processors import load_processor
from oaml_callbacks.sft import IGNORE, Row, SFTCollator, SFTDataset


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """Four samples on disk, with their image paths resolved."""
    folder = tmp_path_factory.mktemp("samples")
    lines = write_samples(folder, name="train", count=4, seed=0).read_text(encoding="utf-8").splitlines()
    read = [json.loads(line) for line in lines]
    return [{**row, "images": [str(folder / image) for image in row["images"]]} for row in read]


def trained_text(processor: Any, batch: dict[str, torch.Tensor], i: int) -> str:
    return str(processor.tokenizer.decode(batch["labels"][i][batch["labels"][i] != IGNORE]))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_is_what_the_processor_makes(family: Family, rows: list[Row]) -> None:
    """Text, picture and shapes are those of the processor's own call; the labels are the answer and its end."""
    processor: Any = build_processor(family)
    batch = SFTCollator(processor)(rows[:1])
    with Image.open(rows[0]["images"][0]) as image:
        messages = [dict(message) for message in rows[0]["messages"]]
        messages[1]["content"] = [{"type": "image"}, {"type": "text", "text": messages[1]["content"]}]
        text = processor.apply_chat_template(messages, tokenize=False)
        expected = processor(text=[text], images=[image], return_tensors="pt")
    for key in set(expected) & set(batch):
        assert batch[key].equal(expected[key]), key
    assert {"input_ids", "attention_mask", "labels", "pixel_values", "image_grid_thw"} <= set(batch)
    assert ("mm_token_type_ids" in batch) == ("mm_token_type_ids" in processor.model_input_names)
    assert trained_text(processor, batch, 0) == rows[0]["messages"][-1]["content"] + "<|im_end|>"


def test_rows_of_unequal_length_are_padded_on_the_right(rows: list[Row]) -> None:
    long = copy.deepcopy(dict(rows[1]))
    long["messages"][1]["content"] += " Then stop, and say nothing else."
    processor: Any = build_processor()
    batch = SFTCollator(processor)([rows[0], long])
    padding = batch["attention_mask"][0] == 0
    assert padding.any()
    assert not padding[: int((~padding).sum())].any()
    assert (batch["labels"][0][padding] == IGNORE).all()
    assert [trained_text(processor, batch, i) for i in range(2)] == [
        row["messages"][-1]["content"] + "<|im_end|>" for row in (rows[0], long)
    ]


def test_only_the_last_answer_of_several_turns_is_trained(rows: list[Row]) -> None:
    turns = [*rows[0]["messages"], {"role": "user", "content": "And now?"}, {"role": "assistant", "content": "DONE()"}]
    processor: Any = build_processor()
    batch = SFTCollator(processor)([{"images": rows[0]["images"], "messages": turns}])
    assert trained_text(processor, batch, 0) == "DONE()<|im_end|>"


def test_rows_are_not_changed_and_pil_images_do(rows: list[Row]) -> None:
    with Image.open(rows[0]["images"][0]) as image:
        image.load()
    row = {**rows[0], "images": [image]}
    before = copy.deepcopy({key: value for key, value in row.items() if key != "images"})
    collator = SFTCollator(build_processor())
    assert collator([row])["pixel_values"].equal(collator([rows[0]])["pixel_values"])
    assert {key: value for key, value in row.items() if key != "images"} == before
    assert row["images"] == [image]


def test_several_pictures_fill_their_places(rows: list[Row]) -> None:
    """Pictures of unequal size, one row with two: each gets as many tokens as its own grid has."""
    processor: Any = build_processor()
    small = Image.new("RGB", (64, 96))
    two = {"images": [rows[0]["images"][0], small], "messages": rows[0]["messages"]}
    batch = SFTCollator(processor)([two, rows[1]])
    per_picture = batch["image_grid_thw"].prod(1) // processor.image_processor.merge_size**2
    per_row = (batch["input_ids"] == processor.image_token_id).sum(1)
    assert per_row.tolist() == [int(per_picture[:2].sum()), int(per_picture[2])]
    assert len(batch["pixel_values"]) == int(batch["image_grid_thw"].prod(1).sum())


def test_the_cache_spares_reading_and_stays_bounded(rows: list[Row], tmp_path: Path) -> None:
    paths = []
    for i in range(4):
        paths.append(tmp_path / f"{i}.png")
        Image.new("RGB", (1280, 720), (60 * i, 0, 0)).save(paths[-1])
    made = [{"images": [path], "messages": rows[0]["messages"]} for path in paths]
    one = SFTCollator(build_processor())(made[:1])["pixel_values"]
    collator = SFTCollator(build_processor(), cache_bytes=2 * one.nbytes)
    expected = collator(made)["pixel_values"]
    for path in paths:
        path.unlink()
    assert collator(made[2:])["pixel_values"].equal(expected[2 * len(one) :])
    with pytest.raises(FileNotFoundError):
        collator(made[:1])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_learns_from_the_batch(family: Family, rows: list[Row]) -> None:
    """The real model takes the batch as it is, and the loss falls."""
    torch.manual_seed(0)
    processor = build_processor(family)
    model: Any = build_model(family, processor, layers=2)
    batch = SFTCollator(processor)(rows)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(8):
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_the_dataset_gives_the_rows_themselves(rows: list[Row]) -> None:
    dataset = SFTDataset(rows)
    assert len(dataset) == 4
    assert dataset[2] is rows[2]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"messages": []}, "Row 0 has no images; it has messages"),
        ({"images": [], "messages": [{"role": "user", "content": "Hi"}]}, "Row 0: the last message must be"),
    ],
)
def test_a_row_that_cannot_be_trained_is_named(row: Row, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SFTDataset([row])


def test_a_template_whose_prompt_is_no_beginning_of_the_answer_is_an_error(rows: list[Row]) -> None:
    """As with a template that opens a thought in its generation prompt."""
    processor: Any = build_processor()
    processor.chat_template += "{% if add_generation_prompt %}<think>{% endif %}"
    with pytest.raises(ValueError, match=r"generation prompt.*<think>"):
        SFTCollator(processor)(rows[:1])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_base_trains_packed_rows_as_it_would_single_ones(family: Family) -> None:
    """One picture and its questions in one sequence: the same loss as row by row, so the base's training is sound."""
    torch.manual_seed(0)
    processor = build_processor(family)
    model: Any = build_model(family, processor)
    pool = draw_pool(6, (144, 80), workers=1)
    screens = list(HabitRows(pool, pool, count=3, easy_count=0, seed=0))
    with torch.no_grad():
        packed, helping = Lesson(model, processor.tokenizer)(PackingCollator(processor)(screens))
        single = model(**SFTCollator(processor)([row for rows in screens for row in rows])).loss
    torch.testing.assert_close(packed, single)
    assert helping > 0


@pytest.mark.parametrize("folder", sorted((Path(__file__).parents[1] / "configs" / "demo").glob("tiny-*/")))
def test_a_shipped_base_finds_the_button_and_clicks_beside_it(folder: Path) -> None:
    """What the demo needs of its checkpoints: the habit to unlearn, and the rest learnt."""
    model: Any = AutoModelForImageTextToText.from_pretrained(folder)
    rng = Random(9)
    figures = measure(model, load_processor(str(folder)), [draw_screen(rng) for _ in range(32)])
    assert model.dtype == torch.float32
    assert figures.readable == 1
    assert figures.found > 0.8
    assert figures.accuracy < 0.1
    assert figures.distance > 0.15
