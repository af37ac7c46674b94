"""A comparison as plain values, for a program."""

from __future__ import annotations

from typing import Any

from .comparison import Comparison, Pair, Share, Side
from .runs import Answer


def comparison_as_json(found: Comparison) -> dict[str, Any]:
    """The whole comparison, every flip included; shares and distances are 0-1 and shares of the screen."""
    return {
        "split": found.split,
        "at": found.at,
        "samples": found.samples,
        "same_set": found.same_set,
        "notes": list(found.notes),
        "runs": [_side(side) for side in found.sides],
        "pairs": [_pair(found, pair) for pair in found.pairs],
        "settings": {name: list(values) for name, values in found.settings.items()},
    }


def _side(side: Side) -> dict[str, Any]:
    run = side.run
    return {
        "label": side.label,
        "reference": run.reference,
        "id": run.id,
        "name": run.name,
        "source": run.source,
        "url": run.url,
        "viewer_url": run.viewer_url,
        "evaluation": side.evaluation.key,
        "step": side.evaluation.step,
        "fingerprint": run.fingerprints.get(side.evaluation.split, {}).get("fingerprint"),
        "accuracy": _share(side.accuracy),
        "readable": side.readable.value,
        "distance": side.distance,
        "baseline_accuracy": side.baseline,
        "groups": {name: _share(share) for name, share in side.groups.items()},
        "cost": {
            "seconds": run.seconds,
            "steps": run.steps,
            "samples_seen": run.samples_seen,
            "total_flos": run.total_flos,
            "gpu": run.gpu,
        },
        "outcome": run.outcome,
    }


def _share(share: Share) -> dict[str, Any]:
    low, high = share.interval
    return {"value": share.value, "low": low, "high": high, "correct": share.correct, "samples": share.total}


def _pair(found: Comparison, pair: Pair) -> dict[str, Any]:
    low, high = pair.interval
    return {
        "first": found.sides[pair.first].label,
        "second": found.sides[pair.second].label,
        "difference": {"value": pair.difference, "low": low, "high": high},
        "p": pair.p,
        "corrected_p": pair.corrected_p,
        "both_right": pair.both,
        "gained": [_flip(found, pair, place) for place in pair.gained],
        "lost": [_flip(found, pair, place) for place in pair.lost],
        "neither_right": pair.neither,
        "distance_change": pair.distance_change,
        "distance_samples": pair.distance_samples,
        "groups": {name: {"gained": gained, "lost": lost} for name, (gained, lost) in pair.groups.items()},
        "verdict": pair.verdict,
    }


def _flip(found: Comparison, pair: Pair, place: int) -> dict[str, Any]:
    first, second = (found.sides[side].answers[place] for side in (pair.first, pair.second))
    return {
        "id": first.id,
        "instruction": first.instruction,
        "target": first.target,
        "box": first.box,
        "point": first.point,
        "groups": dict(first.groups),
        "first": _answer(first),
        "second": _answer(second),
    }


def _answer(answer: Answer) -> dict[str, Any]:
    return {
        "answer": answer.answer,
        "click": answer.click,
        "correct": answer.correct,
        "distance": answer.distance,
        "outcome": answer.outcome,
    }
