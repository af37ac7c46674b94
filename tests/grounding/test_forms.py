"""Each family's answers, read by its own evaluator's rules."""

from __future__ import annotations

import pytest

from oaml_callbacks.grounding.actions import UNREADABLE, Action, parse_action
from oaml_callbacks.grounding.families import FAMILIES

SIZE = (1000, 500)
BOX = "<|box_start|>({},{}),({},{})<|box_end|>"


def call(arguments: str) -> str:
    return f'<tool_call>\n{{"name": "computer_use", "arguments": {{{arguments}}}}}\n</tool_call>'


def click(coordinate: str) -> str:
    return call(f'"action": "left_click", "coordinate": {coordinate}')


def read(family: str, text: str) -> Action:
    return parse_action(text, family=family, resized_size=SIZE)


@pytest.mark.parametrize(
    ("family", "text"),
    [
        ("openadapt", "Thought: The button.\nAction: CLICK(x=0.50, y=0.25)"),
        ("qwen2_vl", BOX.format(400, 200, 600, 300)),
        ("qwen2_vl", "(400,200),(600,300)"),
        ("qwen2_5_vl", click("[500, 125]")),
        ("qwen2_5_vl", '[{"point_2d": [500, 125], "label": "x"}]'),
        ("qwen2_5_vl", '```json\n[\n\t{"bbox_2d": [400, 100, 600, 150], "label": "an \\"x\\" in {}"}\n]\n```'),
        ("qwen2_5_vl", '<points x1="500" y1="125" alt="a">a</points>'),
        ("qwen3_vl", click("[500, 250]")),
        ("qwen3_vl", click("[500, 250]").replace("computer_use", "mobile_use").replace("left_click", "click")),
        ("qwen3_vl", '[{"point_2d": [500, 250], "label": "x"}]'),
        ("qwen3_vl", '{"bbox_2d": [400, 200, 600, 300], "label": "x"}'),
        ("qwen3_vl", '<points x1="500" y1="250" x2="1" y2="2" alt="a">a</points>'),
        ("ui_tars", "Thought: It is there.\nAction: click(start_box='(500,250)')"),
        ("ui_tars", "Action: click(start_box='<|box_start|>(500,250)<|box_end|>')"),
        ("ui_tars", "(500,250)"),
        ("ui_tars_1_5", "Thought: It is there.\nAction: click(point='<point>500 125</point>')"),
        ("ui_tars_1_5", "Action: click(start_box='(500,125)')"),
        ("showui", "[0.5, 0.25]"),
        ("seeclick", "(0.50,0.25)"),
        ("seeclick", "The element is at (0.40,0.20,0.60,0.30)."),
        ("seeclick", "<box>(400,200),(600,300)</box>"),
        ("os_atlas_4b", "[[500,250]]"),
        ("os_atlas_7b", BOX.format(400, 200, 600, 300)),
        ("os_atlas_7b", "<|box_start|>[[400, 200, 600, 300]]<|box_end|>".replace(", 600", "], [600")),
        ("os_atlas_7b", "the search bar(400,200),(600,300)"),
        ("uground", "(500, 250)"),
        ("gta1", "(500, 125)"),
        ("gta1", "<think>I see it.</think><answer>(500, 125)</answer>"),
        ("ui_venus", "[500,250]"),
        ("ui_venus", "[400,200,600,300]"),
        ("ui_venus", "[400,200], [600,300]"),
        ("ui_venus", "The point is [500,250]."),
        ("ui_venus_1", "[400, 100, 600, 150]"),
        ("holo", '{"x": 500, "y": 250}'),
        ("holo", '<think>There.</think>\n```json\n{"x": 500, "y": 250}\n```'),
        ("holo_1_5", '{"action": "click_absolute", "x": 500, "y": 125}'),
        ("holo_1_5", "Click(500, 125)"),
        ("aguvis", "Action: Click the button.\npyautogui.click(x=0.5, y=0.25)"),
        ("opencua", "pyautogui.click(x=0.5, y=0.25)"),
        ("opencua", "# Step 1:\nClick it.\n```python\npyautogui.click(x=500, y=125)\n```"),
        ("opencua", "I do `pyautogui.click(x=500, y=125)`"),
    ],
)
def test_a_familys_answer_is_a_click_at_the_same_place_of_the_screen(family: str, text: str) -> None:
    action = read(family, text)
    assert (action.kind, action.point, action.status) == ("click", (0.5, 0.25), "ok")


@pytest.mark.parametrize(
    ("family", "text"),
    [
        ("qwen2_vl", BOX.format(600, 300, 400, 200)),
        ("qwen3_vl", '[{"bbox_2d": [400, 200, 600, 300]}]'),
        ("qwen3_vl", click("[400, 200, 600, 300]")),
        ("ui_venus", "[400,300,600,200]"),
        ("ui_tars", "Action: click(start_box='(400,200,600,300)')"),
    ],
)
def test_a_box_is_kept_with_its_corners_in_order(family: str, text: str) -> None:
    assert read(family, text) == Action("click", (0.5, 0.25), box=(0.4, 0.2, 0.6, 0.3))


@pytest.mark.parametrize(
    ("family", "text", "point"),
    [
        ("openadapt", "Thought: CLICK(x=0.9, y=0.9)?\nAction: CLICK(x=0.1, y=0.2), CLICK(x=0.3, y=0.4)", (0.1, 0.2)),
        ("openadapt", "Action: CLICK(x=0.9, y=0.9)\nAction: CLICK(x=0.1, y=0.2)", (0.1, 0.2)),
        ("openadapt", "Action: CLICK(x=0.1, y=0.2)\nACTION : CLICK(x=0.3, y=0.4)\nAction:", (0.3, 0.4)),
        ("qwen3_vl", click("[100, 200]") + click("[300, 400]"), (0.1, 0.2)),
        ("qwen3_vl", '[{"point_2d": [1, 2]}]' + click("[100, 200]"), (0.1, 0.2)),
        ("qwen3_vl", '[{"point_2d": [100, 200], "label": "a"}, {"point_2d": [3, 4]}]', (0.1, 0.2)),
        ("qwen3_vl", 'Not {"point_2d": [3, 4]}:\n```json\n[{"point_2d": [100, 200]}]\n```', (0.1, 0.2)),
        ("qwen2_vl", BOX.format(1, 1, 9, 9) + BOX.format(100, 200, 100, 200), (0.1, 0.2)),
        ("os_atlas_7b", BOX.format(100, 200, 100, 200) + BOX.format(1, 1, 9, 9), (0.1, 0.2)),
        ("os_atlas_4b", "[[1,2]] or [[100,200]]", (0.1, 0.2)),
        ("ui_tars", "Action: click(start_box='(1,2)')\nAction: click(start_box='(100,200)')\n\nwait()", (0.1, 0.2)),
        ("gta1", "(100, 100) (300, 400)", (0.1, 0.2)),
        ("ui_venus", "[100,200] [3,4]", (0.1, 0.2)),
        ("aguvis", "pyautogui.moveTo(x=0.1, y=0.2)\npyautogui.click(x=0.3, y=0.4)", (0.1, 0.2)),
        ("opencua", "not pyautogui.click(x=3, y=4)\npyautogui.click(x=100, y=100)", (0.1, 0.2)),
    ],
)
def test_of_several_actions_the_one_that_the_official_evaluator_takes_counts(
    family: str, text: str, point: tuple[float, float]
) -> None:
    assert read(family, text).point == point


@pytest.mark.parametrize(
    ("family", "text", "point"),
    [
        ("qwen3_vl", click("[100, 200]").removesuffix("</tool_call>"), (0.1, 0.2)),
        ("qwen3_vl", click("[100, 200]").removesuffix("}\n</tool_call>"), None),
        ("qwen3_vl", '[{"point_2d": [100, 200], "label": "a"}, {"point_2d": [3', (0.1, 0.2)),
        ("qwen3_vl", '[{"point_2d": [100, 200], "lab', None),
        ("qwen3_vl", '<points x1="100" y1="200" alt="a">a', None),
        ("ui_tars", "Action: click(start_box='(100,200)'", (0.1, 0.2)),
        ("ui_tars", "Action: click(start_box='(100,200", None),
        ("aguvis", "pyautogui.click(x=0.1, y=0.2", (0.1, 0.2)),
        ("opencua", "pyautogui.click(x=100, y=100", (0.1, 0.2)),
        ("openadapt", "Action: CLICK(x=0.1, y=0.2", None),
        ("qwen2_vl", "<|box_start|>(100,200),(100,200)", None),
        ("uground", "(100, 200", None),
        ("gta1", "(100, 200", None),
        ("ui_venus", "[100,200", None),
        ("holo", '{"x": 100, "y": 200', None),
    ],
)
def test_an_answer_that_is_cut_off_is_read_only_where_the_official_evaluator_reads_it(
    family: str, text: str, point: tuple[float, float] | None
) -> None:
    action = read(family, text)
    assert (action.point, action.status) == (point, "ok" if point else "unreadable")


@pytest.mark.parametrize(
    ("family", "text", "expected"),
    [
        ("openadapt", "Action: TYPE(text=\"a\\n'b'\nc\")", Action("type", text="an'b'\nc")),
        ("openadapt", 'Action: TYPE([3], "hi")', Action("type", text="hi", mark=3)),
        ("openadapt", "Action: TYPE('hi')", Action("type", text="hi")),
        ("openadapt", "Action: click( [12] )", Action("click", mark=12)),
        ("openadapt", "Action: ACTION(type=double_click)", Action("double_click")),
        ("openadapt", "Action: ACTION(type=launch_app)", Action("other")),
        ("openadapt", "Action: KEY(ctrl+c)", Action("key", text="ctrl+c")),
        ("openadapt", "Action: SCROLL(down)", Action("scroll", text="down")),
        ("openadapt", "Action: DRAG(0.1, 0.2, 0.3, 0.4)", Action("drag", (0.1, 0.2))),
        ("qwen3_vl", call('"action": "type", "text": "hi"'), Action("type", text="hi")),
        ("qwen3_vl", call('"action": "double_click", "coordinate": [1e2, 200]'), Action("double_click", (0.1, 0.2))),
        ("qwen3_vl", call('"action": "key", "keys": ["ctrl", "c"]'), Action("key", text="ctrl+c")),
        ("qwen3_vl", call('"action": "terminate", "status": "success"'), Action("done", text="success")),
        ("qwen3_vl", call('"action": "type", "text": "hi"')[12:-13], Action("type", text="hi")),
        ("ui_tars", "Action: type(content='it\\'s')", Action("type", text="it\\'s")),
        ("ui_tars", "Action: hotkey(key='ctrl c')", Action("key", text="ctrl c")),
        ("ui_tars", "Action: scroll(start_box='(100,200)', direction='up')", Action("scroll", (0.1, 0.2), text="up")),
        ("ui_tars", "Action: drag(start_box='(100,200)', end_box='(1,2)')", Action("drag", (0.1, 0.2))),
        ("ui_tars", "Action: finished()", Action("done")),
        ("aguvis", "pyautogui.write(message='hi')", Action("type", text="hi")),
        ("opencua", "pyautogui.hotkey(['ctrl', 'c'])", Action("key", text="ctrl+c")),
        ("opencua", "computer.terminate(status='success')", Action("done", text="success")),
        ("opencua", "computer.triple_click(x=100, y=100)", Action("double_click", (0.1, 0.2))),
    ],
)  # fmt: skip
def test_kinds_words_and_marks(family: str, text: str, expected: Action) -> None:
    assert read(family, text) == expected


@pytest.mark.parametrize(
    ("family", "text"),
    [
        ("ui_venus", "[-1,-1]"),
        ("qwen3_vl", click("[-1, -1]")),
        ("uground", "(-1, -1)"),
        ("qwen3_vl", '[{"bbox_2d": [-1, -1, -1, -1]}]'),
        ("qwen2_vl", "Target does not exist."),
        ("os_atlas_7b", "The target does not exist"),
    ],
)
def test_a_refusal_is_neither_a_click_nor_unreadable(family: str, text: str) -> None:
    action = read(family, text)
    assert (action.kind, action.status, action.point) == ("refusal", "refusal", None)


@pytest.mark.parametrize(
    ("family", "text"),
    [
        ("seeclick", "I see 3 tabs and 12 icons."),
        ("seeclick", "(0.1, 0.2) or (0.3, 0.4) or (0.5, 0.6)"),
        ("qwen2_vl", "point_2d and bbox_2d"),
        ("seeclick", "(0.5, 1e9)"),
        ("aguvis", "pyautogui.click(x=0.5, y=2e1)"),
        ("uground", "It is at (500, 250)."),
        ("showui", "[0.5, 0.25, 0.1]"),
        ("gta1", "(500.5, 125.0)"),
        ("qwen3_vl", click('["500", "250"]')),
        ("qwen3_vl", click("[true, false]")),
        ("qwen3_vl", click("[500]")),
        ("qwen3_vl", click("[500, 250]").replace("}}\n", "}}}\n")),
        ("qwen3_vl", click("[NaN, Infinity]")),
        ("qwen3_vl", "<tool_call>\n" + '{"arguments": ' * 5000),
        ("ui_tars", "Action: click(start_box='(500,250)') is what I do"),
        ("ui_tars", "Action: click()"),
        ("opencua", "See computer.settings and pyautogui.click()"),
        ("holo", '{"x": 500}'),
    ],
)
def test_no_point_is_made_up(family: str, text: str) -> None:
    assert read(family, text) == UNREADABLE


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("digits", ["9" * 400, "9" * 5000, "0." + "3" * 5000])
def test_numbers_of_any_length_are_no_crash(family: str, digits: str) -> None:
    for shape in ("Action: CLICK(x=N, y=N)", click("[N, N]"), "(N, N)", "[N,N]", '{"x": N, "y": N}'):
        action = read(family, shape.replace("N", digits))
        assert action.point is None or max(action.point) < 1


def test_every_family_says_which_action_counts_and_who_reads_it_so() -> None:
    for name, family in FAMILIES.items():
        assert family.name == name
        assert family.rule.endswith(".")
        assert family.source
