"""Evaluation by generation, with the demo's trained base model: true answers, in bounded time and memory."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import pytest
import torch
from PIL import Image

from oaml_callbacks import GroundingEvaluator, read_sft_samples
from oaml_callbacks.grounding import AnswerReader, EvaluationFailed, GroundingReport, GroundingSample, Samples
from oaml_callbacks.grounding.samples import SampleProblem
from oaml_callbacks.processors import load_processor

BASE = Path(__file__).parents[2] / "configs" / "demo" / "tiny-qwen3-vl"


@pytest.fixture(scope="module")
def processor() -> Any:
    return load_processor(str(BASE))


@pytest.fixture
def model() -> Any:
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(BASE, dtype=torch.float32)


@pytest.fixture(scope="module")
def samples(screens: Path) -> Samples:
    return read_sft_samples(screens / "eval.jsonl")


def evaluate(model: Any, processor: Any, samples: Sequence[GroundingSample], **options: Any) -> GroundingReport:
    return GroundingEvaluator(samples, processor=processor, progress=False, **options).evaluate(model)


def answers(model: Any, processor: Any, samples: Sequence[GroundingSample], batch_size: int = 8) -> list[str]:
    return [row.answer for row in evaluate(model, processor, samples, batch_size=batch_size).rows]


def test_answers_are_read_as_clicks(model: Any, processor: Any, samples: Samples) -> None:
    report = GroundingEvaluator(samples, processor=processor, progress=False).evaluate(model)
    assert report.metrics["grounding_parsed"] == 1
    assert 0 < report.metrics["grounding_distance"] < 0.6
    assert report.rows[0].sample is samples[0]


def test_a_batch_answers_as_one_at_a_time(model: Any, processor: Any, samples: Samples) -> None:
    """With prompts of different lengths, which padding on the wrong side would spoil."""
    longer = GroundingSample(
        "longer",
        samples[0].image,
        (
            *samples[0].messages[:-1],
            {"role": "user", "content": "Please. " * 9 + str(samples[0].messages[-1]["content"])},
        ),
        samples[0].target,
    )
    mixed = [*samples[:3], longer, *samples[3:]]
    assert answers(model, processor, mixed, batch_size=9) == answers(model, processor, mixed, batch_size=1)


def test_a_checkpoints_own_sampling_and_penalties_are_left_out(model: Any, processor: Any, samples: Samples) -> None:
    plain = answers(model, processor, samples)
    model.generation_config.do_sample = True
    model.generation_config.temperature = 5.0
    model.generation_config.top_k = 50
    model.generation_config.repetition_penalty = 3.0
    before = model.generation_config.to_dict()
    assert answers(model, processor, samples) == plain
    assert model.generation_config.to_dict() == before


def test_modes_gradients_and_random_numbers_are_as_they_were(model: Any, processor: Any, samples: Samples) -> None:
    model.train()
    frozen = model.model.visual
    frozen.eval()
    torch.manual_seed(7)
    state = torch.get_rng_state()
    answers(model, processor, samples)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.is_grad_enabled()
    assert model.training
    assert not any(module.training for module in frozen.modules())
    assert all(module.training for module in model.model.language_model.modules())


def test_gradient_checkpointing_in_training_mode_changes_no_answer(
    model: Any, processor: Any, samples: Samples
) -> None:
    plain = answers(model, processor, samples)
    model.gradient_checkpointing_enable()
    model.train()
    assert answers(model, processor, samples) == plain


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batch_size": 0}, "at least 1"),
        ({"max_new_tokens": 0}, "at least 1"),
        ({"max_samples": 0}, "at least 1"),
        ({"max_seconds": 0}, "above 0"),
        ({"max_seconds": math.nan}, "above 0"),
        ({"family": "qwen3vl"}, "did you mean qwen3_vl"),
        ({"space": "pixel"}, "did you mean pixels"),
    ],
)
def test_options_that_make_no_sense_are_refused(samples: Samples, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        GroundingEvaluator(samples, **options)


def test_two_samples_of_one_id_are_refused(samples: Samples) -> None:
    with pytest.raises(ValueError, match=r"such as 'eval.jsonl:1'"):
        GroundingEvaluator([*samples, samples[0]])


def test_nothing_to_ask_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        GroundingEvaluator([])


def test_a_tokenizer_is_no_processor(model: Any, processor: Any, samples: Samples) -> None:
    with pytest.raises(ValueError, match="image processor"):
        GroundingEvaluator(samples, processor=processor.tokenizer).evaluate(model)


def test_no_picture_that_opens_is_an_error(model: Any, processor: Any, samples: Samples) -> None:
    gone = [GroundingSample("gone", Path("gone.png"), samples[0].messages, samples[0].target)]
    with pytest.raises(ValueError, match="None of the 1 samples' pictures"):
        GroundingEvaluator(gone, processor=processor, progress=False).evaluate(model)


def test_a_model_that_cannot_generate_is_refused(processor: Any, samples: Samples) -> None:
    from transformers import AutoModel

    headless = AutoModel.from_pretrained(BASE)
    for model in (headless, torch.nn.Linear(1, 1)):
        with pytest.raises(ValueError, match="AutoModelForImageTextToText"):
            evaluate(model, processor, samples)


def test_a_processor_without_a_chat_template_is_refused(model: Any, samples: Samples) -> None:
    bare = load_processor(str(BASE))
    bare.chat_template = None
    with pytest.raises(ValueError, match=r"Set processor\.chat_template"):
        evaluate(model, bare, samples)


def test_at_most_max_samples_are_asked_and_problems_are_counted(model: Any, processor: Any, samples: Samples) -> None:
    broken = Samples(list(samples), problems=[SampleProblem("line 9", "no box")], macro=("group",))
    reports = [evaluate(model, processor, broken, max_samples=3, max_new_tokens=2) for _ in range(2)]
    assert len(reports[0].rows) == 3
    assert [row.sample.id for row in reports[0].rows] == [row.sample.id for row in reports[1].rows]
    assert (reports[0].skipped, reports[0].unreached, reports[0].macro) == (1, 0, ("group",))


def test_what_the_time_did_not_suffice_for_is_said(
    model: Any, processor: Any, samples: Samples, caplog: pytest.LogCaptureFixture
) -> None:
    """The first batch is always answered."""
    report = evaluate(model, processor, samples, batch_size=3, max_new_tokens=2, max_seconds=1e-6)
    assert [row.sample.id for row in report.rows] == [sample.id for sample in samples[:3]]
    assert report.metrics["grounding_unreached"] == 5
    assert "5 of 8 samples were not asked" in caplog.text


def test_the_size_is_that_of_the_picture_as_the_model_sees_it(model: Any, processor: Any, samples: Samples) -> None:
    """Also where the messages bring other pictures along."""
    other = {"role": "user", "content": [{"type": "image", "image": Image.new("RGB", (64, 320))}]}
    messages = (*samples[1].messages[:-1], other, {**samples[1].messages[-1], "content": [
        {"type": "image"}, {"type": "text", "text": samples[1].instruction},
    ]})  # fmt: skip
    report = evaluate(model, processor, [samples[0], replace(samples[1], messages=messages)], max_new_tokens=2)
    # 46 tokens of 16 x 16 pixels at most, of screens of 1280 x 720
    assert [row.resized_size for row in report.rows] == [(144, 80), (144, 80)]


class StopsAt(GroundingEvaluator):
    """Answers are complete at a text, so that it doesn't depend on which of the forms says so."""

    text = "x=0."

    def reader(self, model: Any) -> AnswerReader:
        text = self.text

        class Reader(AnswerReader):
            def is_complete(self, answer: str) -> bool:
                return text in answer

        return Reader()


def test_answers_stop_where_they_are_complete(model: Any, processor: Any, samples: Samples) -> None:
    """Each row for itself; without waiting for an end token, and what would follow is not in the answer."""
    whole = evaluate(model, processor, samples)
    StopsAt.text = text = "the " + whole.rows[0].answer.split()[3]  # names one of the buttons
    report = StopsAt(samples, processor=processor, progress=False).evaluate(model)
    for row, full in zip(report.rows, whole.rows, strict=True):
        # Only a token that may end something is looked at: here the line's end, which opens "\nAction: CLICK(x=0."
        assert row.answer == (full.answer.split(",")[0][:-2] if text in full.answer else full.answer)
    assert all(row.stopped for row in (*report.rows, *whole.rows))


def test_answers_that_are_cut_off_say_so(model: Any, processor: Any, samples: Samples) -> None:
    assert not any(row.stopped for row in evaluate(model, processor, samples[:2], max_new_tokens=3).rows)


def test_special_tokens_stay_in_the_answer(model: Any, processor: Any, samples: Samples) -> None:
    """Qwen2-VL's boxes are made of them; the end token is none of the answer's."""
    asked = processor.tokenizer.convert_tokens_to_ids("<|vision_start|>")

    def always(module: Any, inputs: Any, logits: torch.Tensor) -> torch.Tensor:
        logits[:] = 0
        logits[..., asked] = 1
        return logits

    with model.lm_head.register_forward_hook(always):
        (row,) = evaluate(model, processor, samples[:1], max_new_tokens=3).rows
    assert row.answer == "<|vision_start|>" * 3


class Screen(Image.Image):
    """A picture that is counted for as long as it is held; `convert` gives it as it is."""

    alive: ClassVar[WeakValueDictionary[int, Screen]] = WeakValueDictionary()  # PIL pictures have no hash
    most: ClassVar[int] = 0

    def convert(self, *args: Any, **kwargs: Any) -> Any:
        return self


class CountedPicture:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.opened = 0

    def open(self) -> Image.Image:
        self.opened += 1
        screen = Screen()
        with Image.open(self.path) as file:
            screen.__dict__.update(file.convert("RGB").resize((64, 36)).__dict__)
        Screen.alive[id(screen)] = screen
        Screen.most = max(Screen.most, len(Screen.alive))
        return screen


def test_pictures_are_opened_once_and_two_batches_at_most_are_held(
    model: Any, processor: Any, samples: Samples
) -> None:
    pictures = [CountedPicture(sample.image) for sample in samples for _ in range(8)]  # type: ignore[arg-type]
    many = [replace(samples[0], id=str(i), image=picture) for i, picture in enumerate(pictures)]
    report = evaluate(model, processor, many, batch_size=4, max_new_tokens=2)
    assert len(report.rows) == len(pictures) == 64
    assert {picture.opened for picture in pictures} == {1}
    assert 4 <= Screen.most <= 8
    assert not Screen.alive


class Opens:
    """A picture whose opening does as it is told."""

    def __init__(self, error: BaseException | None = None, seconds: float = 0) -> None:
        self.error, self.seconds = error, seconds

    def open(self) -> Image.Image:
        time.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return Image.new("RGB", (64, 36))


def test_an_unforeseen_error_in_the_background_names_its_sample_and_puts_all_back(
    model: Any, processor: Any, samples: Samples
) -> None:
    model.train()
    bad = replace(samples[0], id="bad", image=Opens(RuntimeError("no such thing")))
    with pytest.raises(EvaluationFailed, match=r"^Rank 0, sample bad: RuntimeError: no such thing$") as failed:
        evaluate(model, processor, [*samples, bad], batch_size=4, max_new_tokens=2)
    assert failed.value.samples == ("bad",)
    assert isinstance(failed.value.__cause__, RuntimeError)
    assert model.training
    assert torch.is_grad_enabled()


def test_an_error_in_the_model_names_the_batch(model: Any, processor: Any, samples: Samples) -> None:
    def fail(*_: Any) -> None:
        raise torch.OutOfMemoryError("out of memory")

    own = model.generation_config
    with (
        model.lm_head.register_forward_hook(fail),
        pytest.raises(EvaluationFailed, match=r"eval.jsonl:4 and 2 more: OutOfMemoryError: out of memory"),
    ):
        evaluate(model, processor, samples, batch_size=6)
    assert model.generation_config is own


def test_an_interrupt_stays_an_interrupt(model: Any, processor: Any, samples: Samples) -> None:
    stop = replace(samples[0], id="stop", image=Opens(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, processor, [stop])


def test_pictures_that_show_nothing_are_named_and_counted(
    model: Any, processor: Any, samples: Samples, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dot, bomb, cut = tmp_path / "dot.png", tmp_path / "bomb.png", tmp_path / "cut.png"
    Image.new("RGB", (1, 1)).save(dot)
    Image.new("1", (20_000, 20_000)).save(bomb)
    cut.write_bytes(Path(str(samples[0].image)).read_bytes()[:3000])
    bad = [replace(samples[0], id=path.name, image=path) for path in (dot, bomb, cut)]
    report = evaluate(model, processor, [bad[0], *samples[:2], *bad[1:]], batch_size=3, max_new_tokens=2)
    assert [row.sample.id for row in report.rows] == [sample.id for sample in samples[:2]]
    assert report.skipped == 3
    for name in ("dot.png", "bomb.png", "cut.png"):
        assert f"sample {name} is left out: {tmp_path / name}: " in caplog.text


def test_what_decides_the_numbers_is_in_the_rules(samples: Samples) -> None:
    one, other = GroundingEvaluator(samples, family="qwen3_vl"), GroundingEvaluator(samples, space="pixels")
    assert one.rules == {"version": 1, "family": "qwen3_vl", "space": "auto", "max_new_tokens": 128}
    assert one.rules != other.rules


def test_answers_are_read_as_the_models_type_says(model: Any, samples: Samples) -> None:
    assert GroundingEvaluator(samples).reader(model) == AnswerReader(None, "auto", "qwen3_vl")
