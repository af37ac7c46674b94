"""The folder that an adapter is pulled into: whole or not at all, and nothing of somebody else's replaced."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from .adapter_command import BEST, oaml, pulled, refused
from .adapter_folders import write_adapter
from .stored_adapters import NAME, PLACE, Stored, tree


def test_a_folder_that_is_not_empty_is_left_alone(stored: Stored) -> None:
    Path("mine").mkdir()
    (Path("mine") / "notes.txt").write_text("keep")
    asked = len(stored.server.requests)
    assert "mine is not empty" in refused("pull", BEST, "--to", "mine")
    assert "holds files that were not pulled" in refused("pull", BEST, "--to", "mine", "--overwrite")
    assert len(stored.server.requests) == asked


def test_an_empty_folder_is_filled(stored: Stored) -> None:
    Path("empty").mkdir()
    pulled(BEST, "--to", "empty")
    assert "adapter_config.json" in tree(Path("empty"))


def test_a_file_in_place_of_the_folder_is_left_alone(stored: Stored) -> None:
    Path("file").write_text("keep")
    assert "file is no folder" in refused("pull", BEST, "--to", "file", "--overwrite")


def test_overwrite_replaces_what_was_pulled_and_nothing_else(stored: Stored, tmp_path: Path) -> None:
    stored.add("merges.txt", b"a b", index=0)
    pulled(f"{PLACE}/{NAME}:v0", "--to", "here")
    (Path("here") / "notes.txt").write_text("keep")
    (Path("here") / "mine").mkdir()
    (Path("here") / "mine" / "more.txt").write_text("keep too")
    pulled(BEST, "--to", "here", "--overwrite")
    there = tree(Path("here"))
    assert (there.pop("notes.txt"), there.pop("mine/more.txt")) == (b"keep", b"keep too")
    assert json.loads(there.pop(".oaml_pull.json"))["source"].endswith(":v1")
    assert there == tree(write_adapter(tmp_path / "expected", value=0.2))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_overwrite_leaves_a_pulled_file_alone_that_was_changed(stored: Stored) -> None:
    pulled(BEST, "--to", "here")
    (Path("here") / "README.md").write_text("my notes")
    assert "README.md was changed since it was pulled" in refused("pull", BEST, "--to", "here", "--overwrite")


def test_overwrite_leaves_a_file_of_the_same_name_alone(stored: Stored) -> None:
    pulled(BEST, "--to", "here")
    stored.add("merges.txt", b"a b", index=2)
    (Path("here") / "merges.txt").write_text("mine")
    error = refused("pull", f"{PLACE}/{NAME}:latest", "--to", "here", "--overwrite")
    assert "merges.txt was not pulled, and would be replaced" in error


def test_a_failed_pull_leaves_the_earlier_one_as_it_was(stored: Stored) -> None:
    pulled(BEST, "--to", "here")
    stored.give_out("adapter_model.safetensors", b"x" * 10_000, index=2)
    refused("pull", f"{PLACE}/{NAME}:latest", "--to", "here", "--overwrite")
    assert oaml("check", "here").exit_code == 0


@pytest.mark.parametrize("renamed", [1, 2])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_pull_that_ends_while_it_takes_its_place_loses_nothing(
    stored: Stored, monkeypatch: pytest.MonkeyPatch, renamed: int, error: type[BaseException]
) -> None:
    pulled(BEST, "--to", "here")
    (Path("here") / "mine").mkdir()
    (Path("here") / "mine" / "notes.txt").write_text("keep")
    before, done, rename = tree(Path()), [], Path.rename

    def ends(path: Path, target: Path) -> Path:
        done.append(path)
        if len(done) == renamed:
            raise error
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", ends)
    result = oaml("pull", f"{PLACE}/{NAME}:latest", "--to", "here", "--overwrite")
    assert result.exit_code == (130 if error is KeyboardInterrupt else 1)
    assert len(done) >= renamed
    assert tree(Path()) == before


def test_links_beside_a_pulled_adapter_stay_links(stored: Stored) -> None:
    pulled(BEST, "--to", "here")
    (Path("here") / "latest").symlink_to("elsewhere")
    pulled(f"{PLACE}/{NAME}:latest", "--to", "here", "--overwrite")
    assert os.readlink(Path("here") / "latest") == "elsewhere"


def test_a_folder_that_can_not_be_made_is_refused_without_asking(stored: Stored) -> None:
    Path("file").write_text("keep")
    asked = len(stored.server.requests)
    assert "file/here can't be made: " in refused("pull", BEST, "--to", "file/here")
    assert "File name too long. Give another folder by --to" in refused("pull", BEST, "--to", "x" * 300)
    assert len(stored.server.requests) == asked


def test_what_a_killed_pull_has_left_is_deleted_after_a_day(stored: Stored) -> None:
    for name, age in (
        (".here.0123abcd.part", 25),
        (".here.4567abcd.part", 1),
        (".other.0123abcd.part", 25),
        (".here.mine.part", 25),
    ):
        Path(name).mkdir()
        (Path(name) / "adapter_config.json").write_text("{")
        at = Path(name).stat().st_mtime - age * 3600
        os.utime(name, (at, at))
    pulled(BEST, "--to", "here")
    assert sorted(path.name for path in Path().iterdir() if path.name.startswith(".")) == [
        ".here.4567abcd.part",
        ".here.mine.part",
        ".other.0123abcd.part",
    ]


def test_an_interrupted_pull_leaves_nothing(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("oaml_callbacks.adapters.pull.download", interrupted)
    result = oaml("pull", BEST)
    assert result.exit_code == 130
    assert tree(Path()) == {}


@pytest.mark.newest_only
def test_a_terminated_pull_leaves_nothing(stored: Stored, tmp_path: Path) -> None:
    hangs = stored.server.fault("hang", where="storage", after=1)
    command = [sys.executable, "-m", "oaml_callbacks", "adapter", "pull", BEST]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while hangs.met < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert list(tmp_path.rglob("*.part"))
        process.terminate()
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said.strip()) == (130, "interrupted")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not list(tmp_path.rglob("*.part"))
