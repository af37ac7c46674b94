"""One agent on a GPU: which GPUs a training would use, and who holds them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from oaml_callbacks.sweeps.gpu_lock import GpuTaken, gpu_locks, lock_path, visible_gpus
from oaml_callbacks.sweeps.sweep_file import SweepError

pytestmark = pytest.mark.newest_only
TWO = ["GPU-aaaa", "GPU-bbbb"]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.parametrize(
    ("variable", "gpus"),
    [
        (None, TWO),
        ("", []),
        ("-1", []),
        ("1", ["GPU-bbbb"]),
        ("1,0", ["GPU-bbbb", "GPU-aaaa"]),
        ("0,-1,1", ["GPU-aaaa"]),
        ("GPU-b", ["GPU-bbbb"]),
        ("7", ["7"]),
    ],
)
def test_the_gpus_are_those_that_cuda_would_show(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, gpus: list[str]
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if variable is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert visible_gpus(lambda: TWO) == gpus


def test_without_a_gpu_nothing_is_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with gpu_locks(visible_gpus(list)) as files:
        assert files == []


def test_a_gpu_is_had_by_one_at_a_time() -> None:
    with gpu_locks(["GPU-aaaa"]):
        with pytest.raises(GpuTaken) as raised, gpu_locks(TWO):
            pass
        assert (raised.value.gpu, raised.value.pid) == ("GPU-aaaa", os.getpid())
        assert f"kill -INT {os.getpid()}" in str(raised.value)
        assert "--share-gpu" in str(raised.value)
        with gpu_locks(["GPU-bbbb"]):
            pass
    with gpu_locks(TWO):
        pass


def test_a_lock_is_free_again_when_its_process_was_killed() -> None:
    holding = (
        "import sys, time; from oaml_callbacks.sweeps.gpu_lock import gpu_locks\n"
        "with gpu_locks(['GPU-aaaa']): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holding], stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": tempfile.gettempdir()}
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(GpuTaken) as raised, gpu_locks(["GPU-aaaa"]):
            pass
        assert raised.value.pid == holder.pid
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with gpu_locks(["GPU-aaaa"]):
        pass


def test_a_killed_agents_process_is_not_named() -> None:
    with gpu_locks(["GPU-aaaa"]):
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        lock_path("GPU-aaaa").write_text(str(ended.pid))  # whose trial has inherited the lock
        with pytest.raises(GpuTaken, match="not to be seen here") as raised, gpu_locks(["GPU-aaaa"]):
            pass
    assert raised.value.pid is None
    assert "kill" not in str(raised.value).replace("killed", "")


def test_a_lock_is_not_taken_through_a_link(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("kept")
    lock_path("GPU-aaaa").symlink_to(target)
    with pytest.raises(SweepError, match="can't be locked"), gpu_locks(["GPU-aaaa"]):
        pass
    assert target.read_text() == "kept"


def test_a_name_of_a_gpu_leads_nowhere_else() -> None:
    assert lock_path("../../etc/passwd").parent == Path(tempfile.gettempdir())
