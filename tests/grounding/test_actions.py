"""openadapt-ml's answers, read."""

from __future__ import annotations

import random

import pytest

from oaml_callbacks.grounding import Action, parse_action


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
