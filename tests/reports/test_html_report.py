"""`oaml report --html`: the page as a browser, a frame and a printer have it."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from oaml_callbacks.compared.runs import read_runs
from oaml_callbacks.reports.gallery import MAX_SHOWN, gallery

from ..browser import Watched
from ..run_folders import learning, write_run
from .conftest import HOSTILE, Oaml

pytestmark = pytest.mark.newest_only


class Opened:
    """A page that was opened, and what went wrong in it."""

    def __init__(self, page: Page) -> None:
        self.page, self.watched = page, Watched(page)


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opened]:
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    yield Opened(page)
    page.close()


def write(oaml: Oaml, out: Path, *runs: Path, title: str = "Ranks compared", words: tuple[str, ...] = ()) -> str:
    ran = oaml("report", *runs, "--title", title, "--html", out, *words)
    assert ran.code == 0, ran.err
    return ran.out


def test_it_says_what_came_out_and_how_to_embed_it(runs: Path, oaml: Oaml, tmp_path: Path) -> None:
    said = write(oaml, tmp_path / "report.html", runs / "short", runs / "long")
    assert "The best of 2 runs, long, clicks into the target in 97.5 %" in said
    assert '<iframe src="report.html" style="border:none;height:1024px;width:100%"></iframe>' in said


def test_the_page_has_curves_table_pictures_and_links_and_asks_no_network(
    runs: Path, oaml: Oaml, tmp_path: Path, opened: Opened
) -> None:
    write(oaml, tmp_path / "report.html", *(runs / name for name in ("short", "long", "middle")))
    opened.page.goto((tmp_path / "report.html").as_uri())
    titles = opened.page.locator(".charts h3").all_inner_texts()
    assert titles == ["Grounding accuracy", "Distance from the target", "Training loss", "Learning rate"]
    # Three runs in each chart.
    assert [opened.page.locator(".chart").nth(n).locator("polyline").count() for n in range(4)] == [3, 3, 3, 3]
    assert opened.page.locator(".runs tbody th").all_inner_texts()[0].startswith("long")
    assert opened.page.locator(".runs tr.first td").all_inner_texts()[0].split() == ["97.5", "%", "step", "40"]
    assert opened.page.locator(".shots img").count() == MAX_SHOWN
    assert opened.page.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")
    assert opened.page.locator("a", has_text="W&B").get_attribute("href") == "https://wandb.ai/acme/clicks/runs/long"
    assert "oaml adapter pull acme/clicks/adapter-long:best" in opened.page.locator(".command").all_inner_texts()
    links = opened.page.locator("a").evaluate_all("(links) => links.map((link) => link.href)")
    assert "http://localhost:8080/viewer.html?run=long" in links
    assert not any(address.startswith("javascript:") for address in links)
    assert opened.watched.troubles == []


def test_target_and_click_are_drawn_where_they_are(runs: Path, oaml: Oaml, tmp_path: Path, opened: Opened) -> None:
    write(oaml, tmp_path / "report.html", runs / "long")
    opened.page.goto((tmp_path / "report.html").as_uri())
    screen = opened.page.locator(".screen").first.bounding_box()
    target = opened.page.locator(".screen").first.locator("rect.t").bounding_box()
    click = opened.page.locator(".screen").first.locator("path.k").bounding_box()
    assert screen
    assert target
    assert click
    # tests/graded.py: the target is (0.4, 0.4, 0.6, 0.5), the click (0.5, 0.45).
    assert (target["x"] - screen["x"]) / screen["width"] == pytest.approx(0.4, abs=0.02)
    assert (target["y"] - screen["y"]) / screen["height"] == pytest.approx(0.4, abs=0.03)
    assert (click["x"] + click["width"] / 2 - screen["x"]) / screen["width"] == pytest.approx(0.5, abs=0.02)
    assert (click["y"] + click["height"] / 2 - screen["y"]) / screen["height"] == pytest.approx(0.45, abs=0.03)


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_of_it_lies_beside_the_window(
    runs: Path, oaml: Oaml, tmp_path: Path, browser: Browser, width: int, scheme: str
) -> None:
    names = ("short", "long", "bare", "trains", "hostile")
    write(oaml, tmp_path / "report.html", *(runs / name for name in names), title="W" * 120)
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    page.goto((tmp_path / "report.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == width
    inside = "[...document.querySelectorAll('.scroll')].every((box) => box.scrollWidth <= box.clientWidth)"
    assert page.evaluate(inside)
    place = Path(os.environ.get("OAML_SCREENSHOTS", tmp_path))
    page.screenshot(path=place / f"report-{width}-{scheme}.png", full_page=True)
    page.close()


def test_hostile_text_stays_text(runs: Path, oaml: Oaml, tmp_path: Path, opened: Opened) -> None:
    write(oaml, tmp_path / "report.html", runs / "hostile", runs / "long", title=HOSTILE)
    opened.page.goto((tmp_path / "report.html").as_uri())
    assert opened.page.locator("h1").inner_text() == HOSTILE
    assert opened.page.locator("script").count() == 0
    assert opened.page.locator("img:not(.screen img)").count() == 0
    assert opened.watched.troubles == []


def test_it_shows_in_a_frame_by_the_line_that_is_printed(
    runs: Path, oaml: Oaml, tmp_path: Path, opened: Opened
) -> None:
    line = write(oaml, tmp_path / "our report.html", runs / "long").splitlines()[-1]
    (tmp_path / "wiki.html").write_text(f"<!doctype html><title>wiki</title><link rel=icon href=data:,>{line}")
    opened.page.goto((tmp_path / "wiki.html").as_uri())
    frame = opened.page.frame_locator("iframe")
    assert frame.locator("h1").inner_text() == "Ranks compared"
    assert frame.locator(".chart").first.is_visible()
    assert opened.watched.troubles == []


def test_as_a_pdf_its_pictures_and_colours_are_there(runs: Path, oaml: Oaml, tmp_path: Path, opened: Opened) -> None:
    write(oaml, tmp_path / "report.html", runs / "long", runs / "short")
    opened.page.goto((tmp_path / "report.html").as_uri())
    data = opened.page.pdf(format="A4")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", data)) <= 4
    # Pictures that are the same are in it once.
    different = set(re.findall(r'src="(data:[^"]+)"', (tmp_path / "report.html").read_text()))
    assert data.count(b"/Subtype /Image") == len(different) > 1
    opened.page.emulate_media(media="print")
    opened.page.set_viewport_size({"width": 690, "height": 1000})
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 690


@pytest.mark.parametrize("name", ["bare", "trains"])
def test_a_run_without_a_last_evaluation_has_a_report(
    runs: Path, oaml: Oaml, tmp_path: Path, opened: Opened, name: str
) -> None:
    write(oaml, tmp_path / "report.html", runs / name)
    opened.page.goto((tmp_path / "report.html").as_uri())
    assert opened.page.locator(".runs tbody tr").count() == 1
    assert opened.page.locator(".charts h3", has_text="Training loss").count() == 1
    assert opened.watched.troubles == []


def test_thirty_runs_fit_one_report_and_it_says_which_are_drawn(oaml: Oaml, tmp_path: Path, opened: Opened) -> None:
    reports = learning(8, 2)
    folders = [write_run(tmp_path, f"run{n:02d}", reports=reports, losses=3) for n in range(30)]
    write(oaml, tmp_path / "report.html", *folders, words=("--samples", "0"))
    opened.page.goto((tmp_path / "report.html").as_uri())
    assert opened.page.locator(".runs tbody tr").count() == 30
    assert opened.page.locator(".charts polyline").count() == 24 * 4
    assert opened.page.get_by_text("Drawn are the 24 best of the 30 runs.").count() == 1
    assert opened.page.locator("img").count() == 0


def test_pictures_stay_within_their_bytes(runs: Path) -> None:
    (run,) = read_runs([str(runs / "long")])
    evaluation = run.best()
    assert evaluation is not None

    def pictures(max_bytes: int) -> list[int]:
        found = gallery(run, evaluation, max_bytes=max_bytes)
        shots = found.shots if found else []
        return [len(picture) for shot in shots for picture in re.findall(r'src="(data:[^"]+)"', shot)]

    everything = pictures(10_000_000)
    assert len(everything) == MAX_SHOWN
    some = pictures(sum(everything) // 2)
    assert 0 < sum(some) <= sum(everything) // 2
    assert pictures(100) == []


def test_a_picture_outside_the_run_folder_is_not_shown(runs: Path, oaml: Oaml, tmp_path: Path) -> None:
    folder = tmp_path / "long"
    shutil.copytree(runs / "long", folder)
    (tmp_path / "secret.png").write_bytes(next((folder / "screenshots").rglob("*.*")).read_bytes())
    for samples in folder.rglob("samples*.jsonl"):
        rows = [json.loads(line) | {"picture": "../secret.png"} for line in samples.read_text().splitlines()]
        samples.write_text("".join(json.dumps(row) + "\n" for row in rows))
    write(oaml, tmp_path / "report.html", folder)
    assert "data:image" not in (tmp_path / "report.html").read_text()


def test_a_program_reads_the_same_as_json(runs: Path, oaml: Oaml, tmp_path: Path) -> None:
    out = tmp_path / "new" / "report.html"
    told = json.loads(write(oaml, out, runs / "short", runs / "long", words=("--json",)))
    assert told["html"] == str(out)
    assert told["bytes"] == out.stat().st_size
    assert told["runs"] == ["short", "long"]
    assert told["best"]["run"] == "long"
    assert told["best"]["grounding_accuracy"] == 0.975


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nobody", "--title", "T", "--html", "x.html"), "there is no run nobody"),
        (("long", "--title", " ", "--html", "x.html"), "--title"),
        (("long", "--title", "T", "--html", "."), "is a folder"),
        (("long", "--title", "T", "--html", "/dev/null/x.html"), "the folder /dev/null can't be made"),
        (("long", "--title", "T", "--samples", "3"), "--samples goes with --html"),
    ],
)
def test_a_mistake_is_one_sentence_and_writes_nothing(
    runs: Path, oaml: Oaml, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = oaml("report", *words, "--runs-dir", runs)
    assert ran.code == 2
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
