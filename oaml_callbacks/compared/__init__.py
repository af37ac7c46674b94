"""Runs read by reference, and compared on the samples that they were evaluated on; see `docs/compare.md`."""
