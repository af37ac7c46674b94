"""Sweeps: searches over training configurations, in W&B's sweep files, run with W&B or without a server."""
