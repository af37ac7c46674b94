"""Answers read: openadapt-ml's form, and what decides what numbers are."""

# ruff: noqa: RUF001 - full-width signs are what is tested
from __future__ import annotations

import logging
import random
from typing import Any

import pytest

from oaml_callbacks.grounding import Action, AnswerReader, actions, parse_action

ARGUMENTS = '{"action": "left_click", "coordinate": [500, 250]}'
CALL = f'<tool_call>\n{{"name": "computer_use", "arguments": {ARGUMENTS}}}\n</tool_call>'
JSON = '[{"point_2d": [500, 250], "label": "x"}]'
POINTS = '<points x1="500" y1="250" alt="x">x</points>'


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("Thought: The button.\nAction: CLICK(x=0.47, y=0.51)", (0.47, 0.51)),
        ("CLICK(x=0.47, y=0.51)", (0.47, 0.51)),
        ("action: click( x = .5 ,y=1 )", (0.5, 1.0)),
        ("Action: CLICK(x=0.1, y=0.2) and then CLICK(x=0.3, y=0.4)", (0.1, 0.2)),
        ("Thought: not CLICK(x=0.9, y=0.9).\nAction: CLICK(x=0.1, y=0.2)", (0.1, 0.2)),
        ("Action: CLICK(x=420, y=-3)", (420.0, -3.0)),
        ("Action: CLICK(x=0.00, y=0.00)", (0.0, 0.0)),
    ],
)
def test_a_click_is_read_where_it_is_and_never_clamped(text: str, point: tuple[float, float]) -> None:
    assert parse_action(text) == Action(kind="click", point=point)


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ('Action: TYPE(text="hello (world)")', Action(kind="type", text="hello (world)")),
        (r'Action: TYPE(text="say \"hi\"")', Action(kind="type", text='say "hi"')),
        ("Action: WAIT()", Action(kind="wait")),
        ("Thought: All set.\nAction: done()", Action(kind="done")),
    ],
)
def test_actions_without_a_place(text: str, action: Action) -> None:
    assert parse_action(text) == action


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I would click the button.",
        "Action: CLICK(x=0.4",
        "Action: CLICK(x=0.4, y=)",
        "Action: CLICK(0.4, 0.5)",
        "DOUBLE_CLICK(x=0.4, y=0.5)",
        "Thought: CLICK(x=0.4, y=0.5)\nAction: hm",
    ],
)
def test_what_cannot_be_read_is_unreadable_and_has_no_point(text: str) -> None:
    action = parse_action(text)
    assert action.status == "unreadable"
    assert action.point is None


def test_no_string_breaks_it() -> None:
    rng = random.Random(0)
    pieces = [
        "CLICK(",
        "x=",
        "0.5",
        ", ",
        "y=",
        ")",
        "Action:",
        "TYPE(text=",
        '"',
        "\\",
        "\n",
        "é",
        "9" * 400,
        "\ud800",
    ]
    for _ in range(20_000):
        action = parse_action("".join(rng.choices(pieces, k=rng.randrange(12))))
        assert (action.point is None) == (action.kind != "click")


@pytest.mark.parametrize("text", [CALL, JSON, POINTS, "(500, 250)", '{"x": 500, "y": 250}'])
@pytest.mark.parametrize(
    ("model_type", "point"),
    [
        ("qwen2_5_vl", (0.25, 0.5)),
        ("qwen3_vl", (0.5, 0.25)),
        ("qwen3_vl_moe", (0.5, 0.25)),
        ("qwen2_vl", None),
        (None, None),
    ],
)
def test_where_families_share_a_form_the_model_type_says_what_its_numbers_are(
    text: str, model_type: str | None, point: tuple[float, float] | None
) -> None:
    action = AnswerReader(model_type=model_type).read(text, resized_size=(2000, 500))
    assert (action.point, action.status) == (point, "ok" if point else "unreadable")


@pytest.mark.parametrize(
    ("space", "point"), [("normalized", (500.0, 250.0)), ("relative1000", (0.5, 0.25)), ("pixels", (0.25, 0.5))]
)
def test_a_space_that_is_named_goes_before_everything(space: Any, point: tuple[float, float]) -> None:
    for family, text in ((None, CALL), ("qwen3_vl", JSON), ("openadapt", "CLICK(x=500, y=250)"), (None, "(500, 250)")):
        assert parse_action(text, family=family, space=space, resized_size=(2000, 500)).point == point


def test_the_size_of_the_numbers_decides_nothing() -> None:
    assert parse_action("[0.5, 0.25]", family="uground").point == (0.0005, 0.00025)
    assert parse_action("(500, 250)", family="seeclick").point == (500.0, 250.0)


@pytest.mark.parametrize(
    ("family", "says"), [(None, 'space="normalized"'), ("qwen2_5_vl", "resized_size=(width, height)")]
)
def test_an_answer_whose_space_is_not_known_is_unreadable_and_said_once(
    family: str | None, says: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "_warned", set())
    with caplog.at_level(logging.WARNING):
        assert [parse_action(CALL, family=family).status for _ in range(3)] == ["unreadable"] * 3
    assert len(caplog.messages) == 1
    assert says in caplog.text


def test_what_has_no_place_needs_no_space() -> None:
    assert parse_action(CALL.replace('left_click", "coordinate": [500, 250]', 'wait"')) == Action("wait")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"family": "qwen_3vl"}, "did you mean qwen3_vl"),
        ({"space": "pixel"}, "did you mean pixels"),
        ({"space": "pixels"}, "needs resized_size"),
        ({"resized_size": (0, 5)}, "positive"),
    ],
)
def test_options_that_cannot_be_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_action("x", **options)


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("Thought: CLICK(x=0.9, y=0.9)？\nAction：CLICK（x＝０.５，y＝０．２５）", Action("click", (0.5, 0.25))),
        ('Action：TYPE（text="你好，（世界）"）', Action("type", text="你好,(世界)")),
        ('Action: TYPE(text="你好，（世界）")', Action("type", text="你好，（世界）")),
    ],
)
def test_full_width_signs_count_as_plain_ones_and_typed_text_stays_where_it_can(text: str, action: Action) -> None:
    assert parse_action(text) == action


@pytest.mark.parametrize(
    ("family", "text", "complete"),
    [
        ("qwen3_vl", CALL, True),
        (None, CALL, True),
        ("qwen3_vl", CALL.removesuffix("</tool_call>"), False),
        ("qwen3_vl", JSON, False),  # a tool call would still go before it
        ("openadapt", "Action: CLICK(x=0.5, y=0.2)", False),  # another Action: would still go before it
        ("ui_tars", "Action: click(start_box='(5,2)')", False),
        ("gta1", "(500, 250)", True),
        ("gta1", "(500, 2", False),
        ("ui_venus", "[500,250]", False),  # a second pair would make it a box
        ("aguvis", "pyautogui.click(x=0.5, y=0.2", False),
        ("aguvis", "pyautogui.click(x=0.5, y=0.2)\n", True),
        ("uground", "(500, 250)", False),
    ],
)
def test_an_answer_is_complete_only_where_nothing_more_can_change_it(
    family: str | None, text: str, complete: bool
) -> None:
    reader = AnswerReader(family=family, model_type="qwen3_vl")
    assert reader.is_complete(text) is complete
    if complete:
        size = (1000, 1000)
        for more in ("\n", CALL, JSON, "(1, 2)", "Action: CLICK(x=0.1, y=0.1)", "pyautogui.click(x=1, y=1)", "）"):
            assert reader.read(text + more, resized_size=size) == reader.read(text, resized_size=size)


def test_prose_with_numbers_is_no_answer_without_a_family() -> None:
    for text in ("It is at (500, 250).", "[500, 250] is it", "1. Open (2, 3)", '{"x": 5, "y": 2} or so', "5, 2, 3"):
        assert AnswerReader(model_type="qwen3_vl").read(text).status == "unreadable"
