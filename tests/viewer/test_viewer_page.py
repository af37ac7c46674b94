"""viewer.html in headless Chromium."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from oaml_callbacks.run_folder.writer import RunFolder
from oaml_callbacks.viewer.runs import Runs

from ..graded import INSIDE, OUTSIDE, evaluation, graded, report
from ..run_folders import FACTS, metrics_of, trainer_state, write_run
from .conftest import Open
from .serving import serving
from .shown_runs import SAMPLES, evaluations, upright

pytestmark = pytest.mark.newest_only

LAST = evaluations()[-1]
BEFORE = evaluations()[-2]


def screen(page: Page) -> str:
    """What a screen reader says of the screenshot, once it is there."""
    picture = page.locator("svg.screen").first
    expect(picture).to_have_attribute("aria-label", re.compile("."))
    return picture.get_attribute("aria-label") or ""


def listed(page: Page) -> Locator:
    """The list's rows."""
    return page.locator("#list [role=option]")


def filter_button(page: Page, name: str) -> int:
    """How many samples a filter's button says it has."""
    button = page.get_by_role("button", name=re.compile(f"^{name}", re.IGNORECASE)).first
    expect(button).to_have_text(re.compile(r"\d"))
    return int(re.findall(r"\d+", button.inner_text())[-1])


def test_the_newest_evaluation_and_its_first_sample_are_shown(site: str, opened: Open) -> None:
    page = opened(f"{site}viewer.html?run=ended")
    page.wait_for_selector("svg.screen image")
    assert "Target" in screen(page)
    expect(page.locator("body")).to_contain_text("Click 0.")
    assert (
        page.evaluate(
            "new Promise((done) => { const one = new Image(); one.onload = () => done(one.naturalWidth);"
            " one.src = document.querySelector('svg.screen image').getAttribute('href'); })"
        )
        == 640
    )


def test_target_and_click_are_drawn_where_they_are(site: str, opened: Open) -> None:
    page = opened(f"{site}viewer.html?run=ended&eval=eval@base")
    page.wait_for_selector("svg.screen .target")
    target, size = page.evaluate(
        """() => {
          const box = document.querySelector("svg.screen rect.target:not(.casing)");
          const names = ["x", "y", "width", "height"];
          const width = document.querySelector("svg.screen").viewBox.baseVal.width;
          return [names.map((name) => Number(box.getAttribute(name))), width];
        }"""
    )
    assert size == 640
    assert [round(value, 3) for value in target] == [256, 144, 128, 36]  # 0.4-0.6 of 640, 0.4-0.5 of 360


def test_filters_count_what_the_evaluations_say(site: str, opened: Open) -> None:
    page = opened(f"{site}viewer.html?run=ended")
    fixed, broken = LAST.changes(BEFORE)
    right = sum(row.correct for row in LAST.rows)
    assert (fixed, broken, right) != ([], [], 0)
    assert filter_button(page, "All") == SAMPLES
    assert filter_button(page, "Right") == right
    assert filter_button(page, "Wrong") == SAMPLES - right
    assert filter_button(page, "Unreadable") == 1
    assert filter_button(page, "Fixed") == len(fixed)
    assert filter_button(page, "Broken") == len(broken) == 1


def test_what_is_broken_is_shown_and_has_an_address_of_its_own(site: str, opened: Open) -> None:
    page = opened(f"{site}viewer.html?run=ended")
    page.get_by_role("button", name=re.compile("^Broken")).click()
    expect(listed(page)).to_have_count(1)
    expect(listed(page)).to_contain_text("Click 1.")
    again = opened(page.url)
    expect(listed(again)).to_have_count(1)
    expect(listed(again)).to_contain_text("Click 1.")
    page.go_back()
    expect(listed(page).nth(1)).to_be_visible()


def test_a_samples_evaluations_are_stepped_through_by_keyboard(site: str, opened: Open) -> None:
    page = opened(f"{site}viewer.html?run=ended&sample=2")
    expect(page.locator("body")).to_contain_text("Click 2.")
    assert screen(page).endswith(": correct.")
    while "eval=eval@base" not in page.url:
        page.keyboard.press("ArrowLeft")
        page.wait_for_timeout(50)
    expect(page.locator("svg.screen").first).to_have_attribute("aria-label", re.compile("click at 80 %.*: elsewhere"))
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile(r"eval=eval@10"))
    assert "sample=2" in page.url


def test_samples_are_stepped_through_by_keyboard(site: str, opened: Open) -> None:
    page = opened(f"{site}viewer.html?run=ended")
    expect(listed(page)).to_have_count(SAMPLES)
    page.keyboard.press("j")
    expect(page).to_have_url(re.compile(r"sample=1"))
    page.keyboard.press("End")
    expect(page).to_have_url(re.compile(rf"sample={SAMPLES - 1}"))
    expect(page.locator("body")).to_contain_text("I don't see it.")
    page.keyboard.press("k")
    expect(page).to_have_url(re.compile(rf"sample={SAMPLES - 2}"))
    expect(page.locator("#live")).to_contain_text(f"Sample {SAMPLES - 1} of {SAMPLES}")


def test_text_is_searched_and_the_distance_sorted_by(site: str, opened: Open) -> None:
    page = opened(f"{site}viewer.html?run=ended&eval=eval@base")
    expect(listed(page)).to_have_count(SAMPLES)
    page.keyboard.press("/")
    page.keyboard.type("click 7.")
    expect(listed(page)).to_have_count(1)
    expect(listed(page)).to_contain_text("Click 7.")


def test_two_runs_stand_side_by_side_on_the_same_sample(site: str, opened: Open) -> None:
    page = opened(f"{site}viewer.html?run=ended&with=other&sample=1")
    expect(page.locator("svg.screen").nth(1)).to_have_attribute("aria-label", re.compile("."))
    screen(page)
    labels = [one.get_attribute("aria-label") for one in page.locator("svg.screen").all()]
    assert labels[0] != labels[1]  # sample 1 is broken in the one, and right in the other
    page.get_by_role("button", name=re.compile("differ", re.IGNORECASE)).click()
    expect(listed(page)).to_have_count(2)  # samples 1 and 2


def test_the_help_lists_the_keys(site: str, opened: Open) -> None:
    page = opened(f"{site}viewer.html?run=ended")
    page.wait_for_selector("svg.screen")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Next sample")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_a_new_evaluation_is_offered_while_the_run_trains(states: Path, site: str, opened: Open) -> None:
    page = opened(f"{site}viewer.html?run=training")
    expect(page.locator("svg.screen").first).to_be_visible()
    evaluation = states / "training" / "oaml" / "evaluations.jsonl"
    before = evaluation.read_text()
    new = before.splitlines()[-1].replace("eval@20", "eval@77").replace('"step":20', '"step":77')
    try:
        with open(evaluation, "a") as file:
            file.write(f"{new}\n")
        expect(page.locator("body")).to_contain_text(re.compile("step 77"))
        assert "eval@77" not in page.url
        page.close()
    finally:
        evaluation.write_text(before)


def test_runs_without_evaluations_and_runs_that_are_not_there_say_so(site: str, opened: Open) -> None:
    expect(opened(f"{site}viewer.html?run=young").locator("body")).to_contain_text("no evaluations yet")
    expect(opened(f"{site}viewer.html?run=theirs").locator("svg.screen").first).to_be_visible()


def test_an_evaluation_that_is_not_there_is_told(site: str, opened: Open) -> None:
    page = opened(f"{site}viewer.html?run=ended&eval=eval@999")
    expect(page.locator("#notices")).to_contain_text("no evaluation of the address's name")
    expect(page.locator("svg.screen").first).to_be_visible()


def test_what_the_page_shows_is_what_the_run_says(states: Path, site: str, opened: Open) -> None:
    row = Runs(states).run("ended").answers("eval@40", 0)[3]
    assert row is not None
    page = opened(f"{site}viewer.html?run=ended&eval=eval@40&sample=3")
    expect(page.locator("body")).to_contain_text(row["answer"])
    expect(page.locator("body")).to_contain_text("sample-3")


def evaluate(run: RunFolder, step: int, wrong: list[int], *, split: str = "eval", count: int = 4) -> None:
    """Let a run have evaluated."""
    found = evaluation(count, wrong)
    run.evaluation(found, metrics_of(found), split=split, state=trainer_state(step))


def begun(folder: Path, run_id: str = "live") -> RunFolder:
    """A run that trains."""
    state = trainer_state()
    run = RunFolder(folder, run_id, FACTS, state, resumes=False)
    run.begin(state)
    return run


def test_two_upright_pictures_stand_side_by_side_with_their_words_below(tmp_path: Path, opened: Open) -> None:
    upright("one", tmp_path)
    upright("two", tmp_path)
    with serving(tmp_path) as address:
        page = opened(f"{address}viewer.html?run=one&with=two")
        expect(page.locator(".pane .answer pre").nth(1)).to_be_visible()
        for pane in page.locator(".pane").all():
            outer = pane.bounding_box()
            stage = pane.locator(".stage").bounding_box()
            words = pane.locator(".words").bounding_box()
            assert outer is not None
            assert stage is not None
            assert words is not None
            assert min(stage["width"], stage["height"]) > 300
            assert words["width"] == outer["width"]
            assert words["y"] >= stage["y"] + stage["height"]
            assert pane.evaluate("(one) => one.scrollWidth <= one.clientWidth")
        page.close()


def test_each_new_evaluation_is_offered_to_who_looks_at_the_newest(tmp_path: Path, opened: Open) -> None:
    run = begun(tmp_path)
    evaluate(run, 1, [0, 1])
    with serving(tmp_path) as address:
        page = opened(f"{address}viewer.html?run=live")
        expect(page.locator("svg.screen").first).to_be_visible()
        offer = page.locator(".offer")
        for step in (10, 20):  # an open offer is of the newest one
            evaluate(run, step, [0])
            expect(offer).to_contain_text(f"step {step}:")
        offer.get_by_role("button").click()
        expect(page).to_have_url(re.compile("eval=eval@20"))
        expect(offer).to_be_hidden()
        evaluate(run, 30, [])
        expect(offer).to_contain_text("step 30:")
        page.close()
    run.close("finished")


def test_an_evaluation_that_is_written_again_is_shown_as_it_now_is(tmp_path: Path, opened: Open) -> None:
    run = begun(tmp_path)
    evaluate(run, 1, [])
    evaluate(run, 10, [0, 1])
    with serving(tmp_path) as address:
        page = opened(f"{address}viewer.html?run=live")
        expect(page.locator(".verdict .chip").first).to_have_text("elsewhere")
        expect(page.locator(".strip .mark").last).to_have_text("✗")
        evaluate(run, 10, [2])
        expect(page.locator(".verdict .chip").first).to_have_text("correct")
        expect(page.locator(".strip .mark").last).to_have_text("✓")
        expect(page.get_by_role("button", name=re.compile("^Right"))).to_contain_text("3")
        page.close()
    run.close("finished")


def test_a_filtered_link_without_a_sample_shows_the_first_that_passes(site: str, opened: Open) -> None:
    page = opened(f"{site}viewer.html?run=ended&show=right")
    expect(page.locator(".instruction").first).to_have_text("Click 0.")
    expect(page).to_have_url(re.compile("sample=0"))


def test_another_set_is_shown_of_both_runs(tmp_path: Path, opened: Open) -> None:
    for name in ("one", "two"):
        run = begun(tmp_path, name)
        for split in ("desk", "web"):
            evaluate(run, 1, [0], split=split)
            evaluate(run, 10, [], split=split)
        run.close("finished")
    with serving(tmp_path) as address:
        page = opened(f"{address}viewer.html?run=one&with=two&with_eval=desk@1")
        expect(page.locator(".pane").nth(1).locator("select")).to_have_value("desk@1")
        page.get_by_label("Samples", exact=True).first.select_option("web")
        expect(page.locator(".pane").nth(1).locator("select")).to_have_value("web@10")
        assert "with_eval" not in page.url
        page.close()


def test_names_that_are_not_there_are_left_out_of_the_address(site: str, opened: Open) -> None:
    page = opened(f"{site}viewer.html?run=ended&with=other&since=eval@999&with_eval=eval@998")
    expect(page.locator(".pane .answer pre").nth(1)).to_be_visible()
    expect(page).to_have_url(re.compile(r"^(?!.*99)"))


def test_a_step_through_the_evaluations_keeps_the_answers_place_and_what_is_unfolded(
    tmp_path: Path, opened: Open
) -> None:
    long = [report([graded(0, point, answer=f"{point} " + "x" * 2000)]) for point in (OUTSIDE, INSIDE)]
    write_run(tmp_path, "long", reports=long)
    with serving(tmp_path) as address:
        page = opened(f"{address}viewer.html?run=long")
        toggle = page.get_by_role("button", name=re.compile("Show all"))
        toggle.click()
        page.keyboard.press("ArrowLeft")
        expect(page.locator(".verdict .chip").first).to_have_text("elsewhere")
        shown = page.get_by_role("button", name="Show less")
        expect(shown).to_be_focused()
        expect(page.locator("#live")).to_contain_text("Base model: ")
        page.close()


def test_enter_in_the_search_goes_to_the_first_hit(site: str, opened: Open) -> None:
    page = opened(f"{site}viewer.html?run=ended")
    expect(listed(page)).to_have_count(SAMPLES)
    page.keyboard.press("/")
    page.keyboard.type("click 7.")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("sample=7"))
    expect(page.get_by_role("listbox")).to_be_focused()


def test_groups_are_told_apart_whatever_they_are_called(tmp_path: Path, opened: Open) -> None:
    rows = [graded(index) for index in range(4)]
    for index, row in enumerate(rows):
        names = {"platform": "web:1" if index else "desk", "platform:os": "a%3Ab"}
        object.__setattr__(row.sample, "groups", names if index < 3 else {})
    write_run(tmp_path, "grouped", reports=[report(rows)])
    with serving(tmp_path) as address:
        page = opened(f"{address}viewer.html?run=grouped")
        page.get_by_label("platform", exact=True).first.select_option("=web:1")
        expect(listed(page)).to_have_count(2)
        page.get_by_label("platform:os").first.select_option("=a%3Ab")
        expect(listed(page)).to_have_count(2)
        again = opened(page.url)
        expect(listed(again)).to_have_count(2)
        again.close()
        none = opened(f"{address}viewer.html?run=grouped&group=platform:none")
        expect(none.locator("#list")).to_contain_text("No sample is like that.")
        none.close()
        page.close()


def test_the_keys_work_on_after_a_choice_by_mouse(site: str, opened: Open) -> None:
    page = opened(f"{site}viewer.html?run=ended")
    expect(listed(page)).to_have_count(SAMPLES)
    sort = page.get_by_label("Sort", exact=True)
    sort.click()
    page.keyboard.press("Escape")  # the choices are drawn by the browser, where no script reaches them
    sort.dispatch_event("pointerdown")
    sort.select_option("far")
    expect(page.get_by_role("listbox")).to_be_focused()
    page.keyboard.press("z")
    expect(page.get_by_role("button", name="Zoom")).to_have_attribute("aria-pressed", "true")


def test_the_other_run_is_followed_too(tmp_path: Path, opened: Open) -> None:
    write_run(tmp_path, "first", reports=evaluations()[:2])
    run = begun(tmp_path, "second")
    evaluate(run, 1, [], count=SAMPLES)
    with serving(tmp_path) as address:
        page = opened(f"{address}viewer.html?run=first&with=second")
        chosen = page.locator(".pane").nth(1).locator("select")
        expect(chosen).to_have_value("eval@1")
        evaluate(run, 10, [], count=SAMPLES)
        expect(chosen).to_have_value("eval@10")
        page.close()
    run.close("finished")


def test_going_back_to_an_evaluation_that_is_not_there_tells_so(site: str, opened: Open) -> None:
    page = opened(f"{site}viewer.html?run=ended&eval=eval@10")
    expect(page.locator("svg.screen").first).to_be_visible()
    page.evaluate("history.pushState(null, '', '?run=ended&eval=eval@999'); history.pushState(null, '', '?run=ended')")
    expect(page.locator("#notices")).not_to_contain_text("address's name")
    page.go_back()
    expect(page.locator("#notices")).to_contain_text("no evaluation of the address's name")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#notices .problem")).to_be_hidden()
