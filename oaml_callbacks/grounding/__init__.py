"""How well a model clicks: samples, answers read and graded, metrics. Knows nothing of W&B or the Trainer."""

from .actions import Action, AnswerReader, parse_action
from .evaluator import GroundingEvaluator, NoUsableSamples
from .fingerprint import fingerprint
from .metrics import GradedSample, GroundingReport, grade, grounding_metrics
from .ranks import EvaluationFailed
from .readers import read_samples, read_sft_rows, read_sft_samples, sample_from_sft_row, samples_from_dataset
from .samples import GroundingSample, SampleFileError, SampleProblem, Samples, choose, chosen_indices
from .targets import BoxTarget, MarkTarget, PointTarget, PolygonTarget, RefusalTarget, Target

__all__ = [
    "Action",
    "AnswerReader",
    "BoxTarget",
    "EvaluationFailed",
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
    "choose",
    "chosen_indices",
    "fingerprint",
    "grade",
    "grounding_metrics",
    "parse_action",
    "read_samples",
    "read_sft_rows",
    "read_sft_samples",
    "sample_from_sft_row",
    "samples_from_dataset",
]
