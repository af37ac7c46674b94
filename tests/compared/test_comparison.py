"""Comparing runs: figures, pairs, which samples, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from oaml_callbacks.compared.as_json import comparison_as_json
from oaml_callbacks.compared.comparison import Comparison, ComparisonError, compare_runs, label, spelled_p
from oaml_callbacks.compared.matching import DifferentSets
from oaml_callbacks.compared.mcnemar import difference_interval, holm, mcnemar_p
from oaml_callbacks.compared.runs import RunReferenceError, read_runs
from oaml_callbacks.compared.settings import NOT_SET
from oaml_callbacks.grounding.samples import GroundingSample
from oaml_callbacks.run_folder import layout
from oaml_callbacks.wilson import wilson_interval

from .examples import SET, evaluated, sample, write, write_pair

pytestmark = pytest.mark.newest_only  # files and sums


def compared(folder: Path, *ids: str, **options: Any) -> Comparison:
    return compare_runs(read_runs(ids or ("aaaa1111", "bbbb2222"), runs_dir=folder), **options)


# Figures -----------------------------------------------------------------------------------------------------------


def test_each_run_has_its_figures_over_the_samples(tmp_path: Path) -> None:
    write_pair(tmp_path)
    found = compared(tmp_path)
    first, second = found.sides
    assert (first.label, first.name, second.label, second.name) == ("A", "first", "B", "second")
    assert (first.accuracy.correct, second.accuracy.correct, found.samples) == (20, 28, 32)
    assert first.accuracy.interval == wilson_interval(20, 32)
    assert (first.readable.value, second.readable.value) == (1.0, 31 / 32)
    assert first.distance == pytest.approx(first.evaluation.metrics["grounding_distance"])
    assert first.baseline == 0.0
    assert {name: (share.correct, share.total) for name, share in first.groups.items()} == {
        "kind: icon": (5, 8),
        "kind: text": (15, 24),
        "platform: desktop": (10, 16),
        "platform: web": (10, 16),
    }


def test_a_pair_has_its_difference_test_and_flips(tmp_path: Path) -> None:
    write_pair(tmp_path)
    found = compared(tmp_path)
    (pair,) = found.pairs
    assert (pair.gained, pair.lost) == (list(range(10)), [30, 31])
    assert (pair.both, pair.neither, pair.samples) == (18, 2, 32)
    assert pair.difference == 8 / 32
    assert pair.interval == difference_interval(18, 10, 2, 2)
    assert pair.p == pair.corrected_p == mcnemar_p(10, 2)
    assert pair.groups["platform: web"] == (5, 1)
    assert pair.verdict == (
        "B is better than A: of 32 samples B alone has 10 right, A alone 2 (McNemar's exact test, p = 0.039)."
    )


def test_the_distance_changes_over_samples_with_a_click_in_both(tmp_path: Path) -> None:
    write_pair(tmp_path)
    found = compared(tmp_path)
    (pair,) = found.pairs
    first, second = (side.answers for side in found.sides)
    changes = [
        after.distance - before.distance
        for before, after in zip(first, second, strict=True)
        if before.distance is not None and after.distance is not None
    ]
    assert pair.distance_samples == len(changes) == 31  # one can't be read in the second
    assert pair.distance_change == pytest.approx(math.fsum(changes) / 31)


def test_a_small_difference_may_be_chance_and_none_is_none(tmp_path: Path) -> None:
    write_pair(tmp_path)
    write(tmp_path, "cccc3333", evaluated(32, wrong=range(11)), name="third")
    near = compared(tmp_path, "aaaa", "cccc").pairs[0]
    assert near.verdict.startswith("The difference between A and B may be chance: of 32 samples B alone has 1 right")
    assert near.p == 1.0
    write(tmp_path, "dddd4444", evaluated(32, wrong=range(12)), name="fourth")
    same = compared(tmp_path, "aaaa", "dddd").pairs[0]
    assert same.verdict == "B and A have the same 20 of 32 samples right: nothing tells them apart."


def test_the_worse_one_is_called_worse(tmp_path: Path) -> None:
    write_pair(tmp_path)
    (pair,) = compared(tmp_path, "bbbb", "aaaa").pairs
    assert pair.verdict.startswith("A is better than B: of 32 samples B alone has 2 right, A alone 10")
    assert pair.interval == tuple(-end for end in reversed(difference_interval(18, 10, 2, 2)))


def test_several_are_held_against_the_first_or_each_against_each(tmp_path: Path) -> None:
    write_pair(tmp_path)
    write(tmp_path, "cccc3333", evaluated(32, wrong=range(3, 8)), name="third")
    found = compared(tmp_path, "aaaa", "bbbb", "cccc")
    assert [(pair.first, pair.second) for pair in found.pairs] == [(0, 1), (0, 2)]
    values = [pair.p for pair in found.pairs]
    assert [pair.corrected_p for pair in found.pairs] == holm(values)
    assert all("corrected for the number of comparisons" in pair.verdict for pair in found.pairs)
    every = compared(tmp_path, "aaaa", "bbbb", "cccc", all_pairs=True)
    assert [(pair.first, pair.second) for pair in every.pairs] == [(0, 1), (0, 2), (1, 2)]
    assert max(pair.corrected_p / pair.p for pair in every.pairs) == pytest.approx(3)
    assert [label(place) for place in (0, 25, 26, 52)] == ["A", "Z", "A2", "A3"]


def test_a_correction_can_take_a_difference_back(tmp_path: Path) -> None:
    write_pair(tmp_path)
    write(tmp_path, "cccc3333", evaluated(32, wrong=range(12)), name="third")
    first, _ = compared(tmp_path, "aaaa", "bbbb", "cccc").pairs
    assert first.p < 0.05 < first.corrected_p
    assert "may be chance" in first.verdict


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.00009, "p < 0.0001"), (0.0004, "p = 0.0004"), (0.0386, "p = 0.039"), (0.0496, "p = 0.0496"), (1, "p = 1.000")],
)
def test_a_p_value_is_spelled_so_that_one_sees_on_which_side_of_the_line_it_is(value: float, said: str) -> None:
    assert spelled_p(value) == said


# Which evaluation ----------------------------------------------------------------------------------------------------


def test_the_evaluation_is_chosen(tmp_path: Path) -> None:
    write(tmp_path, "aaaa1111", *(evaluated(8, wrong=range(count)) for count in (4, 1, 3)))
    write(tmp_path, "bbbb2222", *(evaluated(8, wrong=range(count)) for count in (4, 5, 3)))
    for at, steps, right in (
        ("best", [20, 30], [7, 5]),
        ("last", [30, 30], [5, 5]),
        ("20", [20, 20], [7, 3]),
        ("step 10", [10, 10], [4, 4]),
        ("base", [0, 0], [0, 0]),
    ):
        found = compared(tmp_path, at=at)
        assert [side.evaluation.step for side in found.sides] == steps
        assert [side.accuracy.correct for side in found.sides] == right
    with pytest.raises(ComparisonError, match=r"no evaluation at step 25; the nearest are at 10, 20, 30"):
        compared(tmp_path, at="25")
    with pytest.raises(ComparisonError, match="worst names no evaluation; expected best, last, base, or a step"):
        compared(tmp_path, at="worst")


def test_more_evaluations_are_more_chances_which_is_said(tmp_path: Path) -> None:
    write(tmp_path, "aaaa1111", evaluated(8, wrong=[0]))
    write(tmp_path, "bbbb2222", evaluated(8, wrong=[1]), evaluated(8, wrong=[2]))
    assert any("A had 1, B had 2. --at last doesn't choose." in note for note in compared(tmp_path).notes)
    assert not compared(tmp_path, at="last").notes


def test_a_named_set_is_asked_for_by_its_name(tmp_path: Path) -> None:
    for run_id in ("aaaa1111", "bbbb2222"):
        write(tmp_path, run_id, evaluated(8, wrong=[0]), split="eval_web", sets={"eval_web": SET})
    assert compared(tmp_path).split == compared(tmp_path, split="web").split == "eval_web"
    with pytest.raises(ComparisonError, match="no evaluation set phone; it has eval_web"):
        compared(tmp_path, split="phone")


def test_runs_that_cannot_be_compared_are_told_why(tmp_path: Path) -> None:
    write(tmp_path, "aaaa1111", evaluated(8), split="eval_web")
    write(tmp_path, "bbbb2222", evaluated(8), split="eval_app")
    from ..run_folders import write_run

    write_run(tmp_path, "cccc3333")
    with pytest.raises(ComparisonError, match=r"no evaluation set of the same name: .*eval_web; .*eval_app"):
        compared(tmp_path)
    with pytest.raises(ComparisonError, match="the run cccc has no evaluation by generation yet"):
        compared(tmp_path, "aaaa", "cccc")
    with pytest.raises(ComparisonError, match="two runs or more can be compared, found 1"):
        compared(tmp_path, "aaaa")


# Which samples -------------------------------------------------------------------------------------------------------


def other_set(digest: str = "e" * 64, samples: int = 24, **rules: Any) -> dict[str, Any]:
    return {
        "eval": {
            "fingerprint": digest,
            "samples": samples,
            "rules": {"family": "openadapt", "max_new_tokens": 64, **rules},
        }
    }


def test_other_samples_are_refused_with_what_differs(tmp_path: Path) -> None:
    write_pair(tmp_path)
    write(tmp_path, "cccc3333", evaluated(24), sets=other_set(max_new_tokens=128))
    with pytest.raises(DifferentSets) as told:
        compared(tmp_path, "aaaa", "cccc")
    assert str(told.value) == (
        "B (cccc3333) was evaluated on another set than A (aaaa1111), so their accuracies say nothing of which is "
        "better. A has 32 samples, B 24. The rule max_new_tokens is 64 in A and 128 in B. In A alone are screen-024, "
        "screen-025, screen-026 and 5 more. --common compares them on the samples that both have."
    )


def test_a_fingerprint_decides_also_where_ids_are_the_same(tmp_path: Path) -> None:
    write_pair(tmp_path, sets=other_set(samples=32))
    with pytest.raises(DifferentSets, match="Number, rules, ids, instructions and targets are the same, so pictures"):
        compared(tmp_path)


def test_common_samples_are_compared_and_loudly_called_so(tmp_path: Path) -> None:
    write_pair(tmp_path)
    write(tmp_path, "cccc3333", evaluated(24, wrong=[0]), sets=other_set(max_new_tokens=128))
    found = compared(tmp_path, "aaaa", "cccc", common=True)
    assert not found.same_set
    assert found.samples == 24
    assert [side.accuracy.correct for side in found.sides] == [12, 23]
    assert [side.baseline for side in found.sides] == [None, None]  # known over all of their samples alone
    assert found.notes[0].startswith(
        "DIFFERENT EVALUATION SETS: all figures are over the 24 samples that all runs have, of A's 32, B's 24."
    )
    assert "the rule max_new_tokens is 64 in A and 128 in B" in found.notes[0]


def test_the_same_id_with_another_instruction_is_another_sample(tmp_path: Path) -> None:
    def asked_otherwise(number: int) -> GroundingSample:
        return sample(number, instruction="Click something else." if number < 4 else None)

    write_pair(tmp_path)
    write(tmp_path, "cccc3333", evaluated(32, make=asked_otherwise), sets=other_set(samples=32))
    with pytest.raises(DifferentSets, match="Of the same id, with another instruction or target, are screen-000"):
        compared(tmp_path, "aaaa", "cccc")
    assert compared(tmp_path, "aaaa", "cccc", common=True).samples == 28


def test_nothing_in_common_is_nothing_to_compare(tmp_path: Path) -> None:
    def elsewhere(number: int) -> GroundingSample:
        return sample(number + 100)

    write_pair(tmp_path)
    write(tmp_path, "cccc3333", evaluated(8, make=elsewhere), sets=other_set(samples=8))
    with pytest.raises(DifferentSets, match=r"no sample in common: A \(aaaa1111\) has 32, B \(cccc3333\) has 8"):
        compared(tmp_path, "aaaa", "cccc", common=True)


def test_older_runs_without_a_fingerprint_are_told_by_their_samples(tmp_path: Path) -> None:
    write_pair(tmp_path, sets={})
    found = compared(tmp_path)
    assert found.same_set
    assert found.notes[0].startswith("B has no fingerprint of the evaluation set")
    write(tmp_path, "cccc3333", evaluated(24), sets={})
    with pytest.raises(DifferentSets, match=r"A has 32 samples, B 24\. In A alone"):
        compared(tmp_path, "aaaa", "cccc")


def test_two_known_sets_are_held_against_each_other_beside_an_unknown_one(tmp_path: Path) -> None:
    write_pair(tmp_path, sets={})
    write(tmp_path, "cccc3333", evaluated(32), sets=other_set(samples=32))
    with pytest.raises(DifferentSets, match=r"C \(cccc3333\) was evaluated on another set than A \(aaaa1111\)"):
        compared(tmp_path, "aaaa", "bbbb", "cccc")


def test_samples_that_one_run_did_not_reach_are_left_out_and_counted(tmp_path: Path) -> None:
    write_pair(tmp_path)
    write(tmp_path, "cccc3333", evaluated(30), sets={"eval": SET})  # of the same set, its time ran out
    found = compared(tmp_path, "aaaa", "cccc")
    assert found.same_set
    assert found.samples == 30
    assert found.notes == ["2 samples of A are left out: not all runs answered them, or several are the same."]


def test_answers_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    write_pair(tmp_path)
    answers = tmp_path / "bbbb2222" / layout.answers_file("eval", 10)
    answers.write_text("{broken\n" + answers.read_text().partition("\n")[2])
    found = compared(tmp_path)
    assert found.samples == 31
    assert "B: of 32 answers 31 could be read; the figures are of these." in found.notes


def test_other_ids_of_the_same_samples_are_no_other_samples(tmp_path: Path) -> None:
    """A fingerprint doesn't count ids: a file that was moved gives others."""
    write_pair(tmp_path)
    samples = tmp_path / "bbbb2222" / layout.samples_file("eval")
    samples.write_text(samples.read_text().replace('"screen-', '"moved/screen-'))
    found = compared(tmp_path)
    assert found.samples == 32
    assert len(found.pairs[0].gained) == 10


# Settings, JSON ------------------------------------------------------------------------------------------------------


def test_only_settings_that_differ_are_told(tmp_path: Path) -> None:
    write_pair(tmp_path, learning_rate=1e-3, output_dir="elsewhere")
    assert compared(tmp_path).settings == {"lora_r": [8, 32], "learning_rate": [NOT_SET, 1e-3]}


def test_all_of_it_is_to_be_had_as_json(tmp_path: Path) -> None:
    write_pair(tmp_path)
    told = json.loads(json.dumps(comparison_as_json(compared(tmp_path)), allow_nan=False))
    assert (told["split"], told["samples"], told["same_set"]) == ("eval", 32, True)
    assert told["runs"][1]["accuracy"]["correct"] == 28
    assert told["runs"][1]["fingerprint"] == SET["fingerprint"]
    (pair,) = told["pairs"]
    assert len(pair["gained"]) == 10
    assert pair["gained"][0]["id"] == "screen-000"
    assert pair["gained"][0]["first"]["outcome"] == "elsewhere"
    assert pair["gained"][0]["second"]["answer"] == "CLICK(x=0.09, y=0.09)"
    assert pair["p"] == mcnemar_p(10, 2)


def test_answers_are_read_when_they_are_needed(tmp_path: Path) -> None:
    """What is refused by fingerprint can be refused without them."""
    write_pair(tmp_path)
    write(tmp_path, "cccc3333", evaluated(24), sets=other_set())
    (tmp_path / "cccc3333" / layout.answers_file("eval", 10)).unlink()
    runs = read_runs(["aaaa", "cccc"], runs_dir=tmp_path)
    with pytest.raises(DifferentSets, match="A has 32 samples, B 24"):
        compare_runs(runs)
    with pytest.raises(RunReferenceError, match="the answers of cccc3333, eval@10, can't be read"):
        compare_runs(runs, common=True)
