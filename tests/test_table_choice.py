"""Which samples a table shows: the same half always, and what is wrong or has just changed."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from oaml_callbacks.grounding.metrics import GroundingReport
from oaml_callbacks.table_choice import BECAME_RIGHT, BECAME_WRONG, FIXED, WRONG, choose_rows

from .graded import evaluation, report


def ids(evaluated: GroundingReport, previous: GroundingReport | None = None, **options: int) -> dict[str, str]:
    chosen = choose_rows(evaluated, previous, **{"max_rows": 8, "seed": 0, **options})
    assert len({one.row.sample.id for one in chosen}) == len(chosen)
    return {one.row.sample.id: one.why for one in chosen}


def fixed(chosen: dict[str, str]) -> list[str]:
    return [name for name, why in chosen.items() if why.startswith(FIXED)]


def test_half_is_the_same_whatever_the_answers_their_order_and_what_was_not_reached() -> None:
    first = ids(evaluation(40))
    assert len(fixed(first)) == 4
    rows = list(evaluation(40, wrong=range(30)).rows)
    random.Random(1).shuffle(rows)
    assert fixed(ids(report(rows), evaluation(40))) == fixed(first)
    reached = [row for row in rows if row.sample.id in first or row.correct]
    assert fixed(ids(report(reached))) == fixed(first)
    assert fixed(ids(evaluation(40), seed=1)) != fixed(first)
    # Drawn from all of them, and not the first.
    assert any(
        int(name.partition("-")[2]) >= 20 for seed in range(3) for name in fixed(ids(evaluation(40), seed=seed))
    )


def test_the_other_half_takes_turns_among_what_broke_what_was_mended_and_what_is_still_wrong() -> None:
    before, after = evaluation(60, wrong=range(40)), evaluation(60, wrong=range(20, 60))
    whys = Counter(why for why in ids(after, before, max_rows=20).values() if not why.startswith(FIXED))
    assert whys == {BECAME_WRONG: 4, BECAME_RIGHT: 3, WRONG: 3}
    # Of one kind alone there may be as many as there is room for.
    assert Counter(ids(evaluation(60, wrong=range(60))).values()) == {FIXED: 4, WRONG: 4}


def test_a_row_of_the_fixed_half_says_what_changed_too() -> None:
    one = fixed(ids(evaluation(4), max_rows=1))[0]
    number = int(one.partition("-")[2])
    assert ids(evaluation(4, wrong=[number]), evaluation(4), max_rows=1) == {one: f"{FIXED}, {BECAME_WRONG}"}


@pytest.mark.parametrize(("max_rows", "rows"), [(1, 1), (2, 2), (7, 7), (64, 42)])
def test_there_are_never_more_than_max_rows_and_fewer_if_nothing_else_is_of_interest(max_rows: int, rows: int) -> None:
    everything_wrong = evaluation(42, wrong=range(42))
    assert len(ids(everything_wrong, max_rows=max_rows)) == rows
    assert len(ids(evaluation(42), max_rows=max_rows)) == (max_rows + 1) // 2
