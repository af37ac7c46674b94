"""Curves as HTML and SVG."""

from __future__ import annotations

import math
import re

import pytest

from oaml_callbacks.reports import words
from oaml_callbacks.reports.chart import DISTINCT, MAX_POINTS, Curve, chart, legend, thinned


def ticks(html: str) -> list[str]:
    return re.findall(r'<span style="top:[\d.]+%">([^<]+)', html)


def steps(html: str) -> list[str]:
    return re.findall(r'<span style="left:[\d.]+%">([^<]+)', html)


def test_points_lie_where_the_axes_say() -> None:
    html = chart([Curve("a", 0, [(0, 0.0), (50, 0.5), (100, 1.0)])], label="x", words=words.figure, most=1.0)
    assert 'points="0.0,1000.0 500.0,500.0 1000.0,0.0"' in html
    assert ticks(html) == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert steps(html) == ["0", "20", "40", "60", "80", "100"]


@pytest.mark.parametrize(
    ("highest", "axis"),
    [(0.3, ["0", "0.1", "0.2", "0.3"]), (1e-3, ["0", "2e-4", "4e-4", "6e-4", "8e-4", "0.001"]), (7.0, None)],
)
def test_the_axis_is_of_round_numbers_and_holds_every_point(highest: float, axis: list[str] | None) -> None:
    found = ticks(chart([Curve("a", 0, [(0, 0.0), (9, highest)])], label="x", words=words.figure))
    assert axis is None or found == axis
    assert float(found[-1]) >= highest
    assert len(found) <= 7


def test_an_axis_ends_with_the_last_step_itself() -> None:
    assert steps(chart([Curve("a", 0, [(0, 1.0), (153, 1.0)])], label="x", words=words.figure))[-1] == "153"


@pytest.mark.parametrize(
    "points",
    [
        [(0, 0.0)],
        [(5, 0.0), (10, 0.0)],
        [(3, -2.0), (4, 1.0)],
        [(1e9, 1e12)],
        [(1, 5e-324)],
        [(1, -1e300), (2, 1e300)],
    ],
)
def test_odd_curves_are_drawn_within_the_plot(points: list[tuple[float, float]]) -> None:
    html = chart([Curve("a", 0, points)], label="x", words=words.figure)
    places = [float(place) for place in re.findall(r'c[xy]="(-?[\d.]+)%"', html)]
    assert places
    assert all(0 <= place <= 100 for place in places)


def test_nothing_is_drawn_of_nothing() -> None:
    assert chart([Curve("a", 0, [])], label="x", words=words.figure) == ""


def test_one_evaluation_has_a_bar_and_several_have_a_band() -> None:
    one = chart([Curve("a", 0, [(1, 0.5)], [(1, 0.4, 0.6)])], label="x", words=words.figure)
    two = chart([Curve("a", 0, [(1, 0.5), (2, 0.5)], [(1, 0.4, 0.6), (2, 0.4, 0.6)])], label="x", words=words.figure)
    assert ('class="range' in one, "<polygon" in one) == (True, False)
    assert ('class="range' in two, "<polygon" in two) == (False, True)


def test_as_many_curves_as_it_says_can_be_told_apart() -> None:
    looks = re.findall(r'class="key ([^"]+)"', legend([(f"run {number}", number) for number in range(DISTINCT)]))
    assert len(set(looks)) == DISTINCT


def test_a_long_curve_is_thinned_and_keeps_its_spikes() -> None:
    points = [(float(step), math.sin(step)) for step in range(10_000)]
    points[5000] = (5000.0, 99.0)
    kept = thinned(points)
    assert len(kept) <= MAX_POINTS
    assert (5000.0, 99.0) in kept
    assert kept == sorted(kept)


def test_names_in_it_stay_text() -> None:
    html = chart([Curve("<u>", 0, [(1, 1.0)], said="<s>", best=(1, 1.0))], label='"<u>', words=words.figure)
    assert not re.search(r"<[us]>", html)
