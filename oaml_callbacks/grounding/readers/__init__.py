"""Readers of samples: each format has a file of its own, and its name in [`FORMATS`]."""

from .read import read_samples, read_sft_samples, samples_from_dataset
from .registry import FORMATS
from .sft import read_sft_rows, sample_from_sft_row

__all__ = [
    "FORMATS",
    "read_samples",
    "read_sft_rows",
    "read_sft_samples",
    "sample_from_sft_row",
    "samples_from_dataset",
]
