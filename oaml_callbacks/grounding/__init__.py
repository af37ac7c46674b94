"""How well a model clicks: samples, answers read and graded, metrics. Knows nothing of W&B or the Trainer."""

from .actions import Action, parse_action
from .evaluator import GroundingEvaluator, NoUsableSamples
from .metrics import GradedSample, GroundingReport, grade, grounding_metrics
from .samples import GroundingSample, SampleFileError, read_sft_rows, read_sft_samples

__all__ = [
    "Action",
    "GradedSample",
    "GroundingEvaluator",
    "GroundingReport",
    "GroundingSample",
    "NoUsableSamples",
    "SampleFileError",
    "grade",
    "grounding_metrics",
    "parse_action",
    "read_sft_rows",
    "read_sft_samples",
]
