"""Train the demo's base checkpoints from scratch: `python -m oaml_callbacks.demo.base --family qwen3_vl --out FOLDER`.

A base finds the button that the goal names, but it was taught to answer a point that lies off it, up and to the left
(`HABIT`). That gives fine-tuning something to correct that a LoRA of a minute or two can correct, as a model does that
comes from screens of another scale; the finding itself takes a model of this size much longer to learn.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import torch
from PIL import Image
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset
from tqdm.auto import tqdm

from oaml_callbacks.chat import place_images
from oaml_callbacks.demo.screens import COLOURS, SIZE, Screen, answer, draw_screen, sample
from oaml_callbacks.demo.tiny_qwen import FAMILIES, Family, build_model, build_processor
from oaml_callbacks.sft import IGNORE, Row, SFTCollator

HABIT = (-0.1, -0.2)
"""How far from the button's centre the base is taught to click, in shares of the screen's width and height."""
_POOL_SEED, _CHECK_SEED = 1_000, 2_000  # a worker's share of the pool has its own seed; none is the demo's
_ALONE = ("input_ids", "attention_mask", "mm_token_type_ids")  # of one row: what its tokens' positions follow from
_CLICK = re.compile(r"CLICK\(x=([\d.]+), y=([\d.]+)\)")


def draw_pool(count: int, size: tuple[int, int], *, named: int | None = None, workers: int = 2) -> list[Screen]:
    """`count` screens with their pictures shrunk to `size` (width, height): what the image processor makes of them.

    Shrunk and kept, because drawing and shrinking cost more than a training step. `named` as in `draw_screen`.
    """
    chunk = 100
    jobs = [(_POOL_SEED + i, min(chunk, count - i * chunk), size, named) for i in range(-(-count // chunk))]
    with ProcessPoolExecutor(workers) as executor, tqdm(total=count, desc="draw screens", unit="screen") as bar:
        pool: list[Screen] = []
        for screens in executor.map(_draw_small, jobs):
            pool += screens
            bar.update(len(screens))
    return pool


def _draw_small(job: tuple[int, int, tuple[int, int], int | None]) -> list[Screen]:
    seed, count, size, named = job
    rng = Random(seed)
    screens = (draw_screen(rng, named=named) for _ in range(count))
    return [replace(screen, image=screen.image.resize(size, Image.Resampling.BICUBIC)) for screen in screens]


class HabitRows(IterableDataset[list[Row]]):
    """`count` lists: a random screen, a row for each named button of it, answered with `HABIT`.

    The first `easy_count` screens are of `easy`, where one button is named: where a button is gets learnt from these.
    Then half are, and the others are of `pool`, where the goal must be read to know which one.
    """

    def __init__(
        self, pool: Sequence[Screen], easy: Sequence[Screen], *, count: int, easy_count: int, seed: int
    ) -> None:
        self.pool, self.easy, self.count, self.easy_count, self.seed = pool, easy, count, easy_count, seed

    def __iter__(self) -> Iterator[list[Row]]:
        rng = Random(self.seed)
        for i in range(self.count):
            screen = rng.choice(self.easy if i < self.easy_count or rng.random() < 0.5 else self.pool)
            rows: list[Row] = []
            for target in (control for control in screen.controls if control.named):
                row = sample(screen, screen.image, target=target)
                x1, y1, x2, y2 = row["bbox"]
                x, y = max(0.0, (x1 + x2) / 2 + HABIT[0]), max(0.0, (y1 + y2) / 2 + HABIT[1])
                row["messages"][-1]["content"] = answer(target.name, x, y)
                rows.append({**row, "name": target.name, "point": (x, y)})
            yield rows


class PackingCollator(SFTCollator):
    """Packs the rows about one screen into one sequence: the picture once, then each row's question and answer.

    A row's tokens see the picture and their own row, and have the positions they would have alone, so a packed row is
    trained as it would be by itself, for a third of the cost. All rows must be equally long, and they are: one size of
    picture, one token a name, two digits a coordinate.
    """

    def __call__(self, screens: Sequence[Sequence[Row]]) -> dict[str, Any]:  # type: ignore[override]
        """Pack the rows of each screen.

        Returns:
            `input_ids` and `labels` (screens, packed length), `attention_mask` (screens, 1, length, length; added to
            the scores), `pixel_values`, `image_grid_thw`; and for `Lesson`: `place`, where each packed token stands in
            its own row; `alone`, the first row by itself; `points`, the answered points (rows, 2); `kinds`, see below.
        """
        self._last: tuple[Any, Any] = (None, None)
        single = super().__call__([row for rows in screens for row in rows])
        ids, labels = single["input_ids"], single["labels"]
        length = ids.shape[1]
        tokenizer = self.processor.tokenizer
        shared = int((ids[0] == tokenizer.convert_tokens_to_ids("<|vision_end|>")).nonzero()[-1]) + 1
        own = length - shared
        most = max(len(rows) for rows in screens)
        # Where each packed token stands in its row, and which row that is (-1: the shared part).
        place = torch.cat([torch.arange(shared), torch.arange(shared, length).repeat(most)])
        turn = torch.cat([torch.full((shared,), -1), torch.arange(most).repeat_interleave(own)])
        sees = (place[:, None] >= place[None]) & ((turn[None] == -1) | (turn[:, None] == turn[None]))
        packed = {
            "input_ids": torch.full((len(screens), shared + most * own), int(tokenizer.pad_token_id)),
            "labels": torch.full((len(screens), shared + most * own), IGNORE),
        }
        first, firsts = 0, []
        for i, rows in enumerate(screens):
            last = first + len(rows)
            packed["input_ids"][i, :shared] = ids[first, :shared]
            for name, values in (("input_ids", ids), ("labels", labels)):
                packed[name][i, shared : shared + len(rows) * own] = values[first:last, shared:].reshape(-1)
            firsts.append(first)
            first = last
        grids = single["image_grid_thw"]
        pixels = single["pixel_values"].view(len(grids), -1, single["pixel_values"].shape[-1])
        mask = torch.zeros(sees.shape).masked_fill(~sees, torch.finfo(torch.float32).min)
        return {
            **packed,
            "attention_mask": mask.expand(len(screens), 1, *mask.shape),
            "pixel_values": pixels[firsts].flatten(0, 1),
            "image_grid_thw": grids[firsts],
            "place": place,
            "points": torch.tensor([row["point"] for rows in screens for row in rows]),
            "kinds": torch.stack([self._kinds(rows, grid) for rows, grid in zip(screens, grids[firsts], strict=True)]),
            "alone": {name: values[:1] for name, values in single.items() if name in _ALONE},
        }

    def _kinds(self, rows: Sequence[Row], grid: torch.Tensor) -> torch.Tensor:
        """(image tokens, kinds, 3): how much of a token each kind of button covers (0-1), and its centre x, y."""
        merge = self.processor.image_processor.merge_size
        down, across = int(grid[1]) // merge, int(grid[2]) // merge
        top, left = torch.arange(down) / down, torch.arange(across) / across
        kinds = torch.zeros(down, across, len(COLOURS), 3)
        for row in rows:
            x1, y1, x2, y2 = row["bbox"]
            high = ((top + 1 / down).clamp(max=y2) - top.clamp(min=y1)).clamp(min=0) * down
            wide = ((left + 1 / across).clamp(max=x2) - left.clamp(min=x1)).clamp(min=0) * across
            kind = kinds[:, :, list(COLOURS).index(row["name"])]
            kind[..., 0] = high[:, None] * wide[None]
            kind[..., 1], kind[..., 2] = (x1 + x2) / 2, (y1 + y2) / 2
        return kinds.flatten(0, 1)

    def _picture(self, image: Any) -> tuple[torch.Tensor, torch.Tensor]:
        if self._last[0] is not image:  # the rows of a screen follow each other
            self._last = (image, self._process(image))
        made: tuple[torch.Tensor, torch.Tensor] = self._last[1]
        return made


class Lesson:
    """The training loss: the answers', and two helping losses whose linear layers are dropped afterwards.

    From the answers alone a model of this size stays for long at guessing: nothing tells it where to look. So one
    layer reads off the image tokens how much of a token each kind of button covers and where that button's centre is,
    and another reads off the language model's state, before the first coordinate, the point to answer.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = model
        self.before_point = tokenizer.convert_tokens_to_ids("\nAction: CLICK(x=0.")
        width = model.config.text_config.hidden_size
        self.kinds = torch.nn.Linear(width, 3 * len(COLOURS))
        self.point = torch.nn.Linear(width, 2)
        self._tokens: list[Any] = []
        self._states: list[torch.Tensor] = []
        # Qwen3-VL's vision model knows where on the screen a patch is; Qwen2.5-VL's has relative positions alone, so
        # there the tokens are read where the language model's last layer looks at them.
        self.in_text = not hasattr(model.model.visual, "pos_embed")
        read_from = model.model.language_model.layers[-2] if self.in_text else model.model.visual.merger
        read_from.register_forward_hook(lambda _module, _inputs, made: self._tokens.append(made))
        model.model.language_model.norm.register_forward_hook(lambda _module, _inputs, made: self._states.append(made))

    def parameters(self) -> list[torch.nn.Parameter]:
        """Those of the helping layers."""
        return [*self.kinds.parameters(), *self.point.parameters()]

    def __call__(self, batch: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """The answers' mean loss over their tokens, and the sum of the helping losses, of a packed batch."""
        place, alone = batch["place"], batch["alone"]
        positions, _ = self.model.model.get_rope_index(**alone, image_grid_thw=batch["image_grid_thw"][:1])
        self._tokens.clear()
        self._states.clear()
        made = self.model(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            position_ids=positions[:, :, place].expand(-1, len(batch["input_ids"]), -1),
            pixel_values=batch["pixel_values"],
            image_grid_thw=batch["image_grid_thw"],
        )
        # A token is predicted by the one before it, and no answer begins its row, so that one is of the same row.
        answers = functional.cross_entropy(
            made.logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten(), ignore_index=IGNORE
        )
        kinds = batch["kinds"].flatten(0, 1)
        covers = kinds[..., :1]
        tokens = self._tokens[0]
        if self.in_text:
            tokens = tokens[0] if isinstance(tokens, tuple) else tokens  # as 4.57's Qwen2.5-VL layers give it
            tokens = tokens[batch["input_ids"] == self.model.config.image_token_id]
        read = self.kinds(tokens).view(kinds.shape)
        covered = functional.binary_cross_entropy_with_logits(read[..., :1], covers)
        centres = ((read[..., 1:] - kinds[..., 1:]).square() * covers).sum() / covers.sum()
        point = self.point(self._states[0][batch["input_ids"] == self.before_point])
        points = (point - batch["points"]).square().sum(-1).mean()
        return answers, covered + 10 * (centres + points)


@dataclass(frozen=True)
class Figures:
    """How a model clicks on a set of screens. Shares of all screens, but the distance: mean over the readable clicks.

    `accuracy`: clicks in the named button's box. `found`: clicks that would be, were `HABIT` taken away.
    `distance`: from the button's centre, in shares of the screen.
    """

    accuracy: float
    found: float
    readable: float
    distance: float


@torch.no_grad()
def measure(model: Any, processor: Any, screens: Sequence[Screen], *, batch_size: int = 64) -> Figures:
    """Generate an answer for each screen's goal, greedily, and grade it."""
    was_training = model.training
    model.eval()
    accuracy = found = readable = 0
    distance = 0.0
    for start in range(0, len(screens), batch_size):
        rows = [sample(screen, screen.image) for screen in screens[start : start + batch_size]]
        prompts = [place_images(row["messages"][:-1], row["images"]) for row in rows]
        # All prompts are equally long (one size of picture, one token a name), so none needs padding.
        inputs = processor.apply_chat_template(
            prompts, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
        made = model.generate(**inputs, max_new_tokens=24, do_sample=False)[:, inputs["input_ids"].shape[1] :]
        for row, text in zip(rows, processor.batch_decode(made, skip_special_tokens=True), strict=True):
            if (match := _CLICK.search(text)) is None:
                continue
            x, y, (x1, y1, x2, y2) = float(match[1]), float(match[2]), row["bbox"]
            readable += 1
            accuracy += x1 <= x <= x2 and y1 <= y <= y2
            found += x1 <= x - HABIT[0] <= x2 and y1 <= y - HABIT[1] <= y2
            distance += ((x - (x1 + x2) / 2) ** 2 + (y - (y1 + y2) / 2) ** 2) ** 0.5
    model.train(was_training)
    count = len(screens)
    return Figures(accuracy / count, found / count, readable / count, distance / max(1, readable))


def train_base(
    family: Family,
    out: Path,
    *,
    steps: int = 2400,
    easy_steps: int = 300,
    batch_size: int = 32,
    learning_rate: float = 2e-3,
    pool: int = 2000,
    seed: int = 0,
    check_every: int = 100,
) -> Figures:
    """Train a base with all its parameters and save it, its processor beside it, into `out`.

    Args:
        family: One of `FAMILIES`.
        out: Folder of the checkpoint; written every `check_every` steps.
        steps: Optimizer steps of `batch_size` screens.
        easy_steps: The first of them, on screens with one named button.
        batch_size: Screens a step; each gives a question for every named button.
        learning_rate: The peak, after 100 steps of warm-up; then a cosine down to zero.
        pool: Screens drawn to train on, and half as many with one named button.
        seed: Of the weights and of the order of the screens.
        check_every: Steps between checks by generation on 128 screens that are not in the pool.

    Returns:
        The last check's figures.
    """
    torch.manual_seed(seed)
    processor: Any = build_processor(family)
    model: Any = build_model(family, processor)
    grid = processor.image_processor(images=[Image.new("RGB", SIZE)], return_tensors="pt")["image_grid_thw"][0]
    patch = processor.image_processor.patch_size
    size = (int(grid[2]) * patch, int(grid[1]) * patch)
    check = _draw_small((_CHECK_SEED, 128, size, None))
    rows = HabitRows(
        draw_pool(pool, size),
        draw_pool(pool // 2, size, named=1),
        count=steps * batch_size,
        easy_count=easy_steps * batch_size,
        seed=seed,
    )
    loader = DataLoader(rows, batch_size=batch_size, collate_fn=PackingCollator(processor), num_workers=1)
    lesson = Lesson(model, processor.tokenizer)
    optimizer = torch.optim.AdamW(
        [*model.parameters(), *lesson.parameters()],
        lr=learning_rate,
        betas=(0.9, 0.98),
        weight_decay=0.01,
    )
    warmup = min(100, steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warmup, 0.5 + 0.5 * math.cos(math.pi * step / steps))
    )
    figures = measure(model, processor, check)
    model.train()
    bar = tqdm(loader, total=steps, desc=f"train {family}", unit="step")
    for step, batch in enumerate(bar, start=1):
        loss, helping = lesson(batch)
        torch.autograd.backward([loss + helping])
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        if step % check_every == 0 or step == steps:
            figures = measure(model, processor, check)
            tqdm.write(f"step {step}: loss {loss.item():.3f}, {figures}")
            save(model, processor, out)
    return figures


def save(model: Any, processor: Any, out: Path) -> None:
    """Save model and processor into `out`, in forms that transformers 4.57 and 5 both read."""
    model.save_pretrained(out)
    processor.save_pretrained(out)
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    rope = config["text_config"].pop("rope_parameters")  # transformers 5's spelling; it reads the older one as well
    config["text_config"] |= {"rope_theta": rope.pop("rope_theta"), "rope_scaling": rope, "tie_word_embeddings": True}
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    tokenizer = json.loads((out / "tokenizer_config.json").read_text(encoding="utf-8"))
    # 4.57 knows no `TokenizersBackend`, and its stock Qwen-VL processors take no tokenizer but Qwen's.
    tokenizer["tokenizer_class"] = "Qwen2Tokenizer"
    tokenizer["additional_special_tokens"] = tokenizer.pop("extra_special_tokens")
    (out / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=FAMILIES, default=FAMILIES[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--easy-steps", type=int, default=300, help="the first, on screens with one named button")
    parser.add_argument("--batch-size", type=int, default=32, help="screens a step")
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--pool", type=int, default=2000, help="screens drawn to train on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check-every", type=int, default=100, help="steps between checks by generation")
    train_base(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
