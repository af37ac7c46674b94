"""What holds for any string and any coordinates."""

# ruff: noqa: RUF001 - full-width signs are what is tested
from __future__ import annotations

import os
import random
import re
import string
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oaml_callbacks.grounding.actions import Action, AnswerReader
from oaml_callbacks.grounding.families import FAMILIES

SIZE = (1316, 728)
CALL = (
    '<tool_call>\n{"name": "computer_use", "arguments": {"action": "left_click", "coordinate": [X, Y]}}\n</tool_call>'
)
POINT = '```json\n[{"point_2d": [X, Y], "label": "a"}]\n```'
TAG = '<points x1="X" y1="Y" alt="a">a</points>'
BOX = "<|box_start|>(X,Y),(X,Y)<|box_end|>"
PYAUTOGUI = "pyautogui.click(x=X, y=Y)"
TARS = "Thought: a\nAction: click(start_box='(X,Y)')"
FORMS: dict[str, list[str]] = {
    "openadapt": ["Thought: a.\nAction: CLICK(x=X, y=Y)", "click( x = X ,y=Y )", "Action: DRAG(X, Y, 0.1, 0.2)"],
    "qwen2_vl": [BOX, "(X,Y),(X,Y)"],
    "qwen2_5_vl": [CALL, POINT, TAG],
    "qwen3_vl": [CALL, POINT, TAG],
    "ui_tars": [TARS, "(X,Y)"],
    "ui_tars_1_5": [TARS, "Action: click(point='<point>X Y</point>')"],
    "showui": ["[X, Y]"],
    "seeclick": ["(X,Y)"],
    "os_atlas_4b": ["[[X,Y]]"],
    "os_atlas_7b": [BOX],
    "uground": ["(X, Y)"],
    "gta1": ["(X, Y)"],
    "ui_venus": ["[X,Y]"],
    "ui_venus_1": ["[X, Y, X, Y]"],
    "holo": ['{"x": X, "y": Y}'],
    "holo_1_5": ['{"action": "click_absolute", "x": X, "y": Y}', "Click(X, Y)"],
    "aguvis": [PYAUTOGUI],
    "opencua": [PYAUTOGUI],
}
READERS = {family: AnswerReader(family=family) for family in FAMILIES}
ANY_READERS = [AnswerReader(), AnswerReader(model_type="qwen2_5_vl"), AnswerReader(space="normalized")]
ALL_READERS = [*READERS.values(), *ANY_READERS]
SCALES = {"normalized": (1.0, 1.0), "relative1000": (1000.0, 1000.0), "pixels": SIZE}


def answer(form: str, x: object, y: object) -> str:
    return re.sub("[XY]", lambda letter: str(x if letter[0] == "X" else y), form)


def test_every_family_is_tried_here() -> None:
    assert FORMS.keys() == FAMILIES.keys()


@pytest.mark.parametrize("family", sorted(FAMILIES))
@settings(max_examples=40, deadline=None)
@given(x=st.integers(0, 9999), y=st.integers(0, 9999))
def test_a_well_formed_answer_reads_back_exactly(family: str, x: int, y: int) -> None:
    space = FAMILIES[family].space
    shown = (f"0.{x:04}", f"0.{y:04}") if space == "normalized" else (str(x), str(y))
    width, height = SCALES[space]
    for form in FORMS[family]:
        read = READERS[family].read(answer(form, *shown), resized_size=SIZE)
        assert read.point == (float(shown[0]) / width, float(shown[1]) / height)


NUMBER = re.compile(r"\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+")


def check(reader: AnswerReader, text: str) -> Action:
    """Read `text`; a point is there only where an action is, and its numbers are in the text."""
    action = reader.read(text, resized_size=SIZE)
    if action.status != "ok":
        assert action.point is None
        assert action.box is None
    if action.status == "unreadable":
        assert action.kind is None
    if action.point is not None and action.box is None:
        numbers = [float(number) for number in NUMBER.findall(text.replace("．", "."))]
        for share, scales in zip(action.point, zip(*SCALES.values(), strict=True), strict=True):
            assert any(number / scale == abs(share) for number in numbers for scale in scales)
    return action


@settings(max_examples=300, deadline=None)
@given(st.text() | st.text(alphabet="()[]{}<>|,.:=\"'\\-+0123456789xyCLIKACTION \n（，０"))
def test_any_string_is_read_without_a_point_that_is_not_in_it(text: str) -> None:
    for reader in ALL_READERS:
        check(reader, text)


PIECES = [
    "CLICK(", "x=", "0.5", "1e9", ", ", "y=", ")", "Action:", "TYPE(text=", '"', "\\", "\n", "é", "，", "（", "９",
    "<tool_call>", '"arguments": {', '"coordinate": [', "]", "}", "{", '"point_2d": ', "<points ", 'x1="',
    "</points>", "<|box_start|>", "<|box_end|>", "start_box='", "pyautogui.click(", "[[", "]]", "-1", "9" * 400,
    "NaN", "\ud800",
]  # fmt: skip


def mutate(rng: random.Random, text: str) -> str:
    """A string near a real answer: characters gone, doubled, replaced; cut off; joined with another."""
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(text) + 1)
        how = rng.randrange(5)
        if how == 0:
            text = text[:at] + text[at + 1 :]
        elif how == 1:
            text = text[:at] + text[at - 1 : at] + text[at:]
        elif how == 2:
            text = text[:at] + rng.choice(string.printable) + text[at + 1 :]
        elif how == 3:
            text = text[:at] + rng.choice(PIECES) + text[at:]
        else:
            text = text[:at]
    return text


def strings(count: int) -> Iterator[str]:
    rng = random.Random(0)
    forms = [form for family in FORMS.values() for form in family]
    for i in range(count):
        if i % 5 == 0:
            yield "".join(rng.choices(PIECES, k=rng.randrange(14)))
            continue
        text = answer(rng.choice(forms), rng.choice([rng.randrange(1000), 0.25]), rng.randrange(1000))
        yield mutate(rng, text + rng.choice(forms) if rng.random() < 0.1 else text)


def test_thousands_of_mutated_answers_are_read_without_a_crash_or_a_made_up_point() -> None:
    for text in strings(1000):
        for reader in ALL_READERS:
            check(reader, text)


MANY = int(os.environ.get("TEST_STRINGS", "100_000"))  # a million, before a release, takes ten times as long


@pytest.mark.newest_only
def test_very_many_random_and_mutated_strings_are_read_without_a_crash_or_a_made_up_point() -> None:
    read = 0
    for i, text in enumerate(strings(MANY)):
        for reader in (ALL_READERS[i % len(ALL_READERS)], ANY_READERS[i % len(ANY_READERS)]):
            read += check(reader, text).status == "ok"
    assert read > MANY // 10  # they are near enough to real answers


MEGABYTE = 1_000_000
AWKWARD = [
    "<tool_call>" + "[" * MEGABYTE,
    "pyautogui.write(" + '"\\' * (MEGABYTE // 2),
    'Action: TYPE(text="' + "\\" * MEGABYTE,
    "Action: click(start_box='" + " " * MEGABYTE,
    '"point_2d": [1, 2]' + '"a' * (MEGABYTE // 2),
    "x" * MEGABYTE + "\nAction: CLICK(x=0.5, y=0.5)",
    "（" * MEGABYTE,
]
REPEATED = [*PIECES, " ", "(", "1", "1,", "(1,", "a", "Action: ", "(1, 2", "[[1,", '\\"', "'\\'", "TYPE('", "1.", "- "]


def check_time(reader: AnswerReader, text: str, *, seconds: float = 1) -> None:
    start = time.process_time()
    reader.read(text, resized_size=SIZE)
    reader.is_complete(text)
    assert time.process_time() - start < seconds, (reader, text[:30])


@pytest.mark.parametrize("text", AWKWARD, ids=range(len(AWKWARD)))
def test_an_answer_of_a_megabyte_takes_well_under_a_second(text: str) -> None:
    for reader in ANY_READERS:
        check_time(reader, text)


@pytest.mark.newest_only
@pytest.mark.parametrize("reader", ALL_READERS, ids=str)
def test_the_time_that_every_reader_takes_does_not_grow_faster_than_the_answer(reader: AnswerReader) -> None:
    """A quarter of a megabyte in a quarter of that second: time that grew with the square would be many times it."""
    size = MEGABYTE // 4
    for text in [*(text[:size] for text in AWKWARD), *(piece * (size // len(piece)) for piece in REPEATED)]:
        check_time(reader, text, seconds=0.25)


PLACELESS = {
    "openadapt": ['Action: TYPE(text="a")', "Action: TYPE([1], 'a')", "Action : KEY(a)", "Action: ACTION(type=a)"],
    "ui_tars": ["Action: scroll(start_box='(1,2)', direction='up')", 'Action: type(content="a\\n")'],
    "qwen3_vl": ['{"name": "computer_use", "arguments": {"action": "key", "keys": ["a"]}}'],
    "opencua": ["pyautogui.write(message='a')", "pyautogui.hotkey(['a', \"b\"])", "computer.terminate(status='a')"],
}
FILLERS = [" ", *(pytest.param(filler, marks=pytest.mark.newest_only) for filler in ("1", "(", '"', "\\", "x", "\n"))]


@pytest.mark.parametrize("filler", FILLERS)
def test_no_answer_that_breaks_off_into_a_run_of_one_character_takes_long(filler: str) -> None:
    for family, forms in FORMS.items():
        for text in (*(answer(form, 1, 2) for form in forms), *PLACELESS.get(family, ())):
            for cut in range(len(text) + 1):
                for reader in (READERS[family], ANY_READERS[0]):
                    start = time.process_time()
                    reader.read(text[:cut] + filler * 20_000 + "~", resized_size=SIZE)
                    assert time.process_time() - start < 0.2, (reader, text[:cut])
