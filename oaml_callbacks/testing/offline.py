"""W&B offline in a folder of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def offline_wandb(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Run W&B offline with everything it writes in `folder`, and leave no trace in the process.

    Inside, no `WANDB_*` variable of the caller's applies (a key, a project, a run's id, a sweep); those that are set
    inside are undone at the end. Any run still open then is finished, with exit code 0, or 1 if an exception passes
    through, and W&B's service process is stopped, so the next `wandb.init` starts from its own environment. wandb is
    not imported: code that never imports it costs nothing.

    As a fixture:

        @pytest.fixture
        def wandb_folder(tmp_path):
            with offline_wandb(tmp_path) as folder:
                yield folder

    Read runs behind the block, or after `wandb.teardown()` in it: the service closes a run's file a moment after
    `finish` has returned, and until then the file may lack the last 15 s.

    Args:
        folder: Made if it's missing. Runs land in `folder/wandb`, staged artifacts in `folder/artifacts`.

    Yields:
        `folder`, absolute, for `read_run`.

    Raises:
        RuntimeError: A run is open already; it would be cut off.
    """
    if getattr(_imported_wandb(), "run", None) is not None:
        raise RuntimeError("A W&B run is open already. Finish it (wandb.finish()) before entering offline_wandb.")
    place = Path(folder).absolute()
    place.mkdir(parents=True, exist_ok=True)
    # A session that is set up already would go on with the environment of that time.
    _teardown(exit_code=0)
    before = _wandb_variables()
    _set_wandb_variables(
        {
            "WANDB_MODE": "offline",
            "WANDB_DIR": str(place),
            "WANDB_DATA_DIR": str(place),
            "WANDB_ARTIFACT_DIR": str(place / "artifacts"),
            "WANDB_CACHE_DIR": str(place / "cache"),
            "WANDB_CONFIG_DIR": str(place / "config"),
            "WANDB_SILENT": "true",
            "WANDB_CONSOLE": "off",  # pytest captures stdout as well; two captures nest badly.
            "WANDB_DISABLE_GIT": "true",  # Else each run looks through the repository of whoever runs the test.
            "WANDB_ERROR_REPORTING": "false",  # Offline holds for W&B's own crash reports too.
        }
    )
    exit_code = 1
    try:
        yield place
        exit_code = 0
    finally:
        try:
            _teardown(exit_code=exit_code)
        finally:
            _set_wandb_variables(before)


def _imported_wandb() -> Any:
    return sys.modules.get("wandb")


def _teardown(*, exit_code: int) -> None:
    wandb = _imported_wandb()
    # A folder called `wandb` (its own runs!) imports as an empty package where the real one isn't installed.
    if hasattr(wandb, "teardown"):
        try:
            if wandb.run is not None:  # The teardown alone would end it too, but leave it standing in `wandb.run`.
                wandb.finish(exit_code=exit_code)
        finally:
            wandb.teardown(exit_code)


def _wandb_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("WANDB_")}


def _set_wandb_variables(values: dict[str, str]) -> None:
    for name in _wandb_variables():
        del os.environ[name]
    os.environ.update(values)
