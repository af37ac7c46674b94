"""How a training ended, as a process's exit code and in words."""

from __future__ import annotations

EXIT_FAILED = 1
EXIT_INTERRUPTED = 255  # what wandb itself reports for Ctrl-C
EXIT_PREEMPTED = 143  # what a shell reports for SIGTERM; W&B shows a preempting run that ends so as preempted


def exit_code_of(error_type: type[BaseException] | None) -> int:
    """What a run's process would exit with: 0, 255 after Ctrl-C, 1 after any other exception."""
    if error_type is None:
        return 0
    return EXIT_INTERRUPTED if issubclass(error_type, KeyboardInterrupt) else EXIT_FAILED


def outcome_of(exit_code: int, error_type: type[BaseException] | None) -> str:
    """How it ended, in words. Of an exception the type alone is told: a message may hold anything."""
    if exit_code == 0:
        return "finished"
    if exit_code == EXIT_INTERRUPTED:
        return "interrupted"
    if exit_code == EXIT_PREEMPTED:
        return "preempted"
    return "failed" if error_type is None else f"failed: {error_type.__name__}"
