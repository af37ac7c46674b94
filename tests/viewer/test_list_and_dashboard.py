"""index.html and dashboard.html in headless Chromium."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from oaml_callbacks.run_folder import layout
from oaml_callbacks.run_folder.writer import RunFolder

from ..graded import evaluation
from ..run_folders import FACTS, fall_silent, metrics_of, trainer_state, write_run
from .conftest import Open
from .serving import serving
from .shown_runs import evaluations


def rows(page: Page) -> dict[str, str]:
    """The list's rows by the runs' names."""
    expect(page.locator("#rows tr").first).to_be_visible()
    texts = [row.inner_text() for row in page.locator("#rows tr").all()]
    return {text.strip().splitlines()[0]: text for text in texts}


def test_the_list_has_every_run_with_its_state_and_accuracy(site: str, opened: Open) -> None:
    found = rows(opened(site))
    assert set(found) == {
        "ended run",
        "the other run",
        "failed run",
        "dead run",
        "young run",
        "live run",
        "Fill the form",
    }
    assert "failed: ValueError" in found["failed run"]
    assert "died" in found["dead run"]
    assert "training" in found["live run"]
    best = max(one.metrics["grounding_accuracy"] for one in evaluations())
    assert f"{best * 100:.1f}" in found["ended run"]


def test_the_list_is_searched_and_its_address_says_so(site: str, opened: Open) -> None:
    page = opened(site)
    rows(page)
    page.get_by_role("searchbox").fill("other")
    expect(page.locator("#rows tr:visible")).to_have_count(1)
    expect(opened(page.url).locator("#rows tr:visible")).to_have_count(1)


def test_a_state_that_there_is_none_of_is_any_state(site: str, opened: Open) -> None:
    page = opened(f"{site}?state=bogus")
    rows(page)
    expect(page.locator("#state")).to_have_value("")
    expect(page.locator("#rows tr:visible")).to_have_count(7)


def test_on_a_small_page_the_list_is_sorted_by_a_select(site: str, opened: Open) -> None:
    page = opened(site, width=390)
    rows(page)
    page.get_by_label("Sort by").select_option("name")
    expect(page.locator("#rows tr").first).to_contain_text("dead run")
    page.get_by_role("button", name="Ascending").click()
    expect(page.locator("#rows tr").first).to_contain_text("young run")


def test_a_run_is_a_link_to_its_dashboard_and_two_are_compared(site: str, opened: Open) -> None:
    page = opened(site)
    rows(page)
    page.get_by_role("link", name="ended run").first.click()
    expect(page).to_have_url(re.compile(r"dashboard\.html\?run=ended"))
    page = opened(site)
    for name in ("ended run", "the other run"):
        page.locator("#rows tr", has_text=name).get_by_role("checkbox").check()
    page.get_by_role("link", name="Compare side by side").click()
    expect(page).to_have_url(re.compile(r"viewer\.html\?run=.*&with=.*"))


def test_an_empty_folder_says_what_writes_runs(tmp_path: Path, opened: Open) -> None:
    with serving(tmp_path) as address:
        expect(opened(address).locator("body")).to_contain_text("OpenAdaptWandbCallback")


def test_the_dashboard_shows_what_the_run_says(site: str, opened: Open) -> None:
    page = opened(f"{site}dashboard.html?run=ended")
    last, first = evaluations()[-1].metrics, evaluations()[0].metrics
    body = page.locator("body")
    expect(body).to_contain_text(f"{last['grounding_accuracy'] * 100:.1f} %")
    expect(body).to_contain_text(f"{first['grounding_accuracy'] * 100:.1f} %")
    expect(body).to_contain_text(f"{last['grounding_accuracy_low'] * 100:.1f}")
    expect(page.get_by_role("link", name=re.compile("wandb|W&B|Weights", re.IGNORECASE)).first).to_have_attribute(
        "href", "https://wandb.ai/a/b/runs/c"
    )
    for chart in ("accuracy", "distance", "readable", "loss", "rate"):
        expect(page.locator(f"#{chart}-chart .scatterlayer path").first).to_be_attached()
    expect(page.locator("#evaluation-rows tr")).to_have_count(5)
    page.locator("#evaluation-rows a").last.click()
    expect(page).to_have_url(re.compile(r"viewer\.html\?run=ended&eval=eval@.*"))


@pytest.mark.parametrize("page", ["dashboard.html", "viewer.html"])
def test_it_is_told_how_openadapt_mls_clicks_are_graded(site: str, opened: Open, page: str) -> None:
    expect(opened(f"{site}{page}?run=theirs").locator("body")).to_contain_text("within 0.05 of the recorded one")


def test_a_run_that_is_offline_shows_how_it_is_sent(site: str, opened: Open) -> None:
    page = opened(f"{site}dashboard.html?run=training")
    expect(page.locator("body")).to_contain_text("wandb sync wandb/offline-run-training")


def test_a_run_that_died_says_so(site: str, opened: Open) -> None:
    page = opened(f"{site}dashboard.html?run=died")
    expect(page.locator("#died")).to_contain_text("No sign of life")


def test_a_run_that_is_not_there_says_so(site: str, opened: Open) -> None:
    page = opened(f"{site}dashboard.html?run=young")
    expect(page.locator("body")).to_contain_text(re.compile("no evaluation yet", re.IGNORECASE))


@pytest.mark.slow
def test_the_dashboard_follows_a_training_without_flicker(tmp_path: Path, opened: Open) -> None:
    state = trainer_state()
    run = RunFolder(tmp_path, "live", FACTS, state, resumes=False)
    run.begin(state)
    run.log({"train/loss": 2.0, "train/learning_rate": 1e-3, "train/global_step": 1})
    found = evaluation(4, wrong=[0, 1])
    run.evaluation(found, metrics_of(found), split="eval", state=trainer_state(1))
    with serving(tmp_path) as address:
        page = opened(f"{address}dashboard.html?run=live")
        expect(page.locator("#state")).to_have_text("training")
        expect(page.locator("body")).to_contain_text("50.0 %")
        expect(page.locator("#loss-chart svg.main-svg").first).to_be_attached()
        page.evaluate("() => { document.querySelector('#loss-chart svg.main-svg').mark = 'the same'; }")

        later = trainer_state(40)
        run.log({"train/loss": 1.0, "train/learning_rate": 1e-3, "train/global_step": 40})
        found = evaluation(4, wrong=[0])
        run.evaluation(found, metrics_of(found), split="eval", state=later)
        expect(page.locator("#figures")).to_contain_text("75.0 %")  # how soon: benchmarks/viewer_speed.py
        assert page.evaluate("() => document.querySelector('#loss-chart svg.main-svg').mark") == "the same"
        state.global_step = 40
        expect(page.locator("#step")).to_contain_text("40")  # with the next sign of life

        run.close("finished")
        expect(page.locator("#state")).to_have_text("finished")
        page.close()


@pytest.mark.slow
def test_the_dashboard_says_when_the_machine_is_gone_and_keeps_what_it_had(tmp_path: Path, opened: Open) -> None:
    write_run(tmp_path, "live", reports=evaluations()[:3], outcome=None)
    with serving(tmp_path) as address:
        page = opened(f"{address}dashboard.html?run=live", allowed="Failed to load resource")
        expect(page.locator("#state")).to_have_text("training")
        fall_silent(tmp_path / "live", layout.SILENT_SECONDS + 5)
        expect(page.locator("#died")).to_be_visible()
        figures = page.locator("#figures").inner_text()
        page.route("**/data/**", lambda route: route.abort())
        expect(page.locator("#failure")).to_contain_text("doesn't answer")
        assert page.locator("#figures").inner_text() == figures
        page.close()
