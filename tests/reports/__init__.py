"""Tests of `oaml_callbacks.reports`."""
