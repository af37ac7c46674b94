"""Whatever happens to a training, its run is the one that it would have been."""

from __future__ import annotations

from pathlib import Path

import pytest

from .chaos import play, seeds
from .loopback import OwnProcess
from .same_run import Undisturbed
from .warm import Warm


@pytest.mark.slow
@pytest.mark.newest_only
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", seeds())
def test_a_training_that_is_killed_and_resumed_among_faults_has_the_run_of_an_undisturbed_one(
    seed: int, tmp_path: Path, processes: Warm, own_server: OwnProcess, undisturbed: Undisturbed
) -> None:
    """A story that fails is told by its seed, which `CHAOS_SEED=<seed> make chaos` plays again."""
    try:
        play(seed, tmp_path, processes, own_server, undisturbed)
    except Exception as error:
        raise AssertionError(f"CHAOS_SEED={seed} plays it again") from error
    finally:
        own_server.mend()
