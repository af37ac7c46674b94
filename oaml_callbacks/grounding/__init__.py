"""How well a model clicks: samples, answers read and graded, metrics. Knows nothing of W&B or the Trainer."""

from .actions import Action, AnswerReader, parse_action
from .evaluator import GroundingEvaluator, NoUsableSamples
from .metrics import GradedSample, GroundingReport, grade, grounding_metrics
from .samples import GroundingSample, SampleFileError, SampleProblem, Samples, read_sft_rows, read_sft_samples
from .targets import BoxTarget, MarkTarget, PointTarget, PolygonTarget, RefusalTarget, Target

__all__ = [
    "Action",
    "AnswerReader",
    "BoxTarget",
    "GradedSample",
    "GroundingEvaluator",
    "GroundingReport",
    "GroundingSample",
    "MarkTarget",
    "NoUsableSamples",
    "PointTarget",
    "PolygonTarget",
    "RefusalTarget",
    "SampleFileError",
    "SampleProblem",
    "Samples",
    "Target",
    "grade",
    "grounding_metrics",
    "parse_action",
    "read_sft_rows",
    "read_sft_samples",
]
