"""Which folders are runs, what they are called, and what is not looked into."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from oaml_callbacks.run_folder import layout
from oaml_callbacks.viewer import runs as runs_module
from oaml_callbacks.viewer.own_run import OwnRun
from oaml_callbacks.viewer.reading import Problem
from oaml_callbacks.viewer.runs import MAX_LOOKED_AT, Runs

from ..run_folders import write_run
from .raw_runs import piece, raw_run, without_rights

pytestmark = pytest.mark.newest_only


def keys(folder: Path) -> list[str]:
    return [run.key for run in Runs(folder).all()]


def small(parent: Path, name: str, content: str = "{}") -> Path:
    return raw_run(parent, {layout.RUN: content}, name)


class TestWhatIsFound:
    def test_runs_down_to_three_levels(self, tmp_path: Path) -> None:
        for name in ("a", "project/b", "user/project/c", "much/too/far/down"):
            small(tmp_path, name)
        assert sorted(keys(tmp_path)) == ["a", "project/b", "user/project/c"]

    def test_the_folder_may_be_a_run_itself(self, tmp_path: Path) -> None:
        folder = small(tmp_path, "abc")
        assert keys(folder) == ["abc"]
        assert piece(folder, "run", run="abc")["id"] == "abc"

    def test_our_runs_in_the_output_folder_of_openadapt_mls_trainer_are_found_beside_its_own(
        self, tmp_path: Path
    ) -> None:
        folder = small(tmp_path / "training_output", "abc").parent
        (folder / layout.TRAINING_LOG).write_text('{"losses": []}')
        assert keys(folder) == ["training_output", "abc"]
        assert piece(folder, "run", run="abc")["id"] == "abc"

    @pytest.mark.parametrize("name", [layout.RUN, layout.PROGRESS, layout.HISTORY, layout.EVALUATIONS])
    def test_a_run_that_has_lost_its_other_files_is_one(self, tmp_path: Path, name: str) -> None:
        raw_run(tmp_path, {name: ""}, "a")
        assert keys(tmp_path) == ["a"]
        assert len(piece(tmp_path, "runs")["runs"]) == 1

    def test_other_folders_are_none(self, tmp_path: Path) -> None:
        raw_run(tmp_path, {"oaml/other.json": "{}", "run.json": "{}"}, "a")
        (tmp_path / "b").mkdir()
        (tmp_path / "c").write_text("")
        assert keys(tmp_path) == []

    @pytest.mark.parametrize(
        "name", [".hidden", "checkpoint-10", "wandb", "node_modules", "__pycache__", "screenshots"]
    )
    def test_folders_that_hold_other_things_are_not_looked_through(self, tmp_path: Path, name: str) -> None:
        small(tmp_path, f"{name}/a")
        small(tmp_path, "b/c")
        assert keys(tmp_path) == ["b/c"]

    def test_what_lies_in_a_run_is_not_looked_through(self, tmp_path: Path) -> None:
        small(small(tmp_path, "a"), "inner")
        assert keys(tmp_path) == ["a"]

    def test_a_link_to_a_run_is_not_followed(self, tmp_path: Path) -> None:
        small(tmp_path, "elsewhere/a")
        (tmp_path / "runs").mkdir()
        (tmp_path / "runs" / "a").symlink_to(tmp_path / "elsewhere" / "a")
        (tmp_path / "runs" / "all").symlink_to(tmp_path / "elsewhere")
        assert keys(tmp_path / "runs") == []

    def test_a_run_whose_files_are_a_link_is_none(self, tmp_path: Path) -> None:
        elsewhere = small(tmp_path, "elsewhere/a")
        (tmp_path / "runs" / "b").mkdir(parents=True)
        (tmp_path / "runs" / "b" / layout.OWN).symlink_to(elsewhere / layout.OWN)
        (tmp_path / "runs" / "c").mkdir()
        (tmp_path / "elsewhere.json").write_text("{}")
        (tmp_path / "runs" / "c" / layout.TRAINING_LOG).symlink_to(tmp_path / "elsewhere.json")
        assert keys(tmp_path / "runs") == []

    def test_beside_such_a_link_openadapt_mls_log_is_read(self, tmp_path: Path) -> None:
        elsewhere = small(tmp_path, "elsewhere/a")
        folder = raw_run(tmp_path / "runs", {layout.TRAINING_LOG: '{"job_id": "log"}'}, "b")
        (folder / layout.OWN).symlink_to(elsewhere / layout.OWN)
        assert piece(tmp_path / "runs", "run", run="b")["id"] == "log"

    def test_a_run_of_the_callbacks_is_not_read_from_its_openadapt_log(self, tmp_path: Path) -> None:
        write_run(tmp_path)
        assert piece(tmp_path, "run", run="abc123")["foreign"] is False

    def test_only_so_many_folders_are_looked_into_and_that_is_said(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(runs_module, "MAX_FOLDERS", 3)
        for name in "abcde":
            small(tmp_path, name)
        found = piece(tmp_path, "runs")
        assert len(found["runs"]) == 3
        assert found["problems"] == ["only 3 folders are looked into"]

    def test_a_folder_of_somebody_elses_hides_no_other_run(self) -> None:
        with without_rights() as parent:
            small(parent, "a")
            small(parent, "theirs")
            small(parent, "their-own")
            (parent / "theirs").chmod(0)
            (parent / "their-own" / layout.OWN).chmod(0)
            try:
                assert keys(parent) == ["a"]
                assert piece(parent, "runs")["problems"] == []
            finally:
                (parent / "theirs").chmod(0o700)
                (parent / "their-own" / layout.OWN).chmod(0o700)

    def test_a_file_that_may_not_be_read_hides_no_other_run(self) -> None:
        with without_rights() as parent:
            small(parent, "a")
            raw_run(parent, {layout.RUN: "{}", layout.EVALUATIONS: "{}\n"}, "b")
            (parent / "b" / layout.EVALUATIONS).chmod(0)
            assert len(piece(parent, "runs")["runs"]) == 2

    def test_a_folder_that_is_gone_has_no_runs_and_that_is_said(self, tmp_path: Path) -> None:
        assert piece(tmp_path / "gone", "runs") == {"runs": [], "problems": [], "folder": "gone"}


class TestWhatTheyAreCalled:
    def test_by_their_path(self, tmp_path: Path) -> None:
        small(tmp_path, "user/abc", '{"id": "of the user"}')
        small(tmp_path, "other/abc", '{"id": "of another"}')
        assert piece(tmp_path, "run", run="user/abc")["id"] == "of the user"

    def test_by_the_last_part_of_it_where_that_is_one_runs_alone(self, tmp_path: Path) -> None:
        small(tmp_path, "user/abc")
        assert piece(tmp_path, "run", run="abc")["key"] == "user/abc"

    def test_by_their_id(self, tmp_path: Path) -> None:
        small(tmp_path, "folder", '{"id": "run 1"}')
        raw_run(tmp_path, {layout.TRAINING_LOG: '{"job_id": "job 2"}'}, "foreign")
        assert piece(tmp_path, "run", run="run 1")["key"] == "folder"
        assert piece(tmp_path, "run", run="job 2")["key"] == "foreign"

    def test_a_folders_name_goes_before_anothers_id(self, tmp_path: Path) -> None:
        small(tmp_path, "abc")
        small(tmp_path, "impostor", '{"id": "abc"}')
        assert piece(tmp_path, "run", run="abc")["key"] == "abc"

    def test_a_name_of_several_runs_is_none(self, tmp_path: Path) -> None:
        small(tmp_path, "user/abc")
        small(tmp_path, "other/abc")
        with pytest.raises(Problem, match="several runs are called abc: other/abc, user/abc"):
            Runs(tmp_path).run("abc")

    def test_an_id_of_several_runs_is_none(self, tmp_path: Path) -> None:
        small(tmp_path, "a", '{"id": "same"}')
        small(tmp_path, "b", '{"id": "same"}')
        with pytest.raises(Problem, match="several runs are called same"):
            Runs(tmp_path).run("same")

    @pytest.mark.parametrize(
        "key",
        [
            "",
            ".",
            "..",
            "../secret",
            "a/..",
            "a/../../secret",
            "/",
            "a/",
            "%2e%2e%2fsecret",
            "a\0",
            "..\\secret",
            "x" * 9999,
        ],
    )
    def test_any_other_name_is_none(self, tmp_path: Path, key: str) -> None:
        small(tmp_path, "secret")
        small(tmp_path, "runs/a")
        with pytest.raises(Problem, match="there is no run") as problem:
            Runs(tmp_path / "runs").run(key)
        assert len(str(problem.value)) < 300

    def test_an_absolute_path_is_none(self, tmp_path: Path) -> None:
        secret = small(tmp_path, "secret")
        small(tmp_path, "runs/a")
        with pytest.raises(Problem, match="there is no run"):
            Runs(tmp_path / "runs").run(str(secret))

    def test_a_folder_whose_name_is_no_utf_8_can_be_asked_for(self, tmp_path: Path) -> None:
        path = os.fsencode(tmp_path) + b"/a\xff/oaml"
        os.makedirs(path)
        with open(path + b"/run.json", "w") as file:
            file.write("{}")
        (found,) = piece(tmp_path, "runs")["runs"]
        assert found["key"] == "a\ufffd"
        assert piece(tmp_path, "run", run=found["key"])["problems"] == ["oaml/progress.json isn't there"]

    def test_a_folders_name_is_shown_on_one_line(self, tmp_path: Path) -> None:
        small(tmp_path, "a\n\x1b[31m\u202eb")
        (found,) = piece(tmp_path, "runs")["runs"]
        assert found["name"].isprintable()
        assert found["id"].isprintable()


class TestCurrent:
    def test_it_is_the_run_that_it_names(self, tmp_path: Path) -> None:
        write_run(tmp_path, "first")
        write_run(tmp_path, "second")
        assert piece(tmp_path, "run", run="current")["key"] == "second"
        rows = piece(tmp_path, "runs")["runs"]
        assert [(row["key"], row["current"]) for row in rows] == [("second", True), ("first", False)]

    @pytest.mark.parametrize("target", ["../secret", "..", ".", "a/../../secret", "gone", "current", "..\\secret"])
    def test_it_leads_nowhere_else(self, tmp_path: Path, target: str) -> None:
        small(tmp_path, "secret")
        small(tmp_path, "runs/a")
        (tmp_path / "runs" / "current").symlink_to(target)
        with pytest.raises(Problem, match="there is no run"):
            Runs(tmp_path / "runs").run("current")
        assert [row["current"] for row in piece(tmp_path / "runs", "runs")["runs"]] == [False]

    def test_an_absolute_target_is_not_followed(self, tmp_path: Path) -> None:
        secret = small(tmp_path, "secret")
        small(tmp_path, "runs/a")
        (tmp_path / "runs" / "current").symlink_to(secret)
        with pytest.raises(Problem, match="there is no run current"):
            Runs(tmp_path / "runs").run("current")

    def test_a_link_that_it_names_is_not_followed(self, tmp_path: Path) -> None:
        secret = small(tmp_path, "secret")
        (tmp_path / "runs").mkdir()
        (tmp_path / "runs" / "a").symlink_to(secret)
        (tmp_path / "runs" / "current").symlink_to("a")
        with pytest.raises(Problem, match="there is no run"):
            Runs(tmp_path / "runs").run("current")

    def test_a_folder_of_that_name_is_a_run_like_any_other(self, tmp_path: Path) -> None:
        small(tmp_path, "current", '{"id": "mine"}')
        assert piece(tmp_path, "run", run="current")["id"] == "mine"


class TestRunsThatComeAndGo:
    def test_a_new_run_can_be_asked_for_at_once(self, tmp_path: Path) -> None:
        small(tmp_path, "a")
        found = Runs(tmp_path)
        assert len(found.all()) == 1
        time.sleep(0.11)  # looked for more often, a name that isn't there would cost a look each time
        small(tmp_path, "b")
        assert found.run("b").key == "b"

    def test_the_list_is_looked_for_again_after_a_second(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(runs_module, "FIND_SECONDS", 0.2)
        small(tmp_path, "a")
        found = Runs(tmp_path)
        assert len(found.all()) == 1
        small(tmp_path, "b")
        time.sleep(0.21)
        assert len(found.all()) == 2

    def test_a_run_of_openadapt_mls_that_gets_files_of_ours_is_ours(self, tmp_path: Path) -> None:
        folder = raw_run(tmp_path, {layout.TRAINING_LOG: "{}"}, "a")
        found = Runs(tmp_path)
        assert found.run("a").foreign is True
        raw_run(tmp_path, {layout.RUN: '{"id": "ours"}'}, folder.name)
        assert found.run("a").foreign is False
        assert found.run("a").identity() == "ours"

    def test_more_runs_than_are_remembered_are_all_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(runs_module, "MAX_KEPT", 2)
        for name in "abcde":
            small(tmp_path, name)
        found = Runs(tmp_path)
        assert [[run.identity() for run in found.all()] for _ in range(2)] == [list("abcde")] * 2

    def test_what_was_read_of_a_run_is_remembered(self, tmp_path: Path) -> None:
        small(tmp_path, "a")
        found = Runs(tmp_path)
        assert found.run("a") is found.run("a")


def test_a_run_that_is_gone_is_not_there(tmp_path: Path) -> None:
    folder = raw_run(tmp_path, {layout.RUN: '{"id": "abc"}'})
    runs = Runs(tmp_path)
    assert runs.run("raw").run()["id"] == "abc"
    shutil.rmtree(folder / layout.OWN)
    with pytest.raises(Problem, match="there is no run"):
        runs.run("raw")


def test_a_folder_called_as_ours_in_a_run_is_looked_into(tmp_path: Path) -> None:
    raw_run(tmp_path / "oaml" / "training_output", {layout.RUN: "{}"}, "abc")
    assert [run.key for run in Runs(tmp_path).all()] == ["oaml/training_output/abc"]


def test_of_many_runs_looked_at_the_last_few_are_remembered(tmp_path: Path) -> None:
    for number in range(MAX_LOOKED_AT + 2):
        raw_run(tmp_path, {layout.RUN: "{}", layout.HISTORY: '{"train/global_step":1,"train/loss":2}\n'}, f"r{number}")
    runs = Runs(tmp_path)
    looked = [runs.run(f"r{number}") for number in range(MAX_LOOKED_AT + 2)]
    for run in looked:
        run.history()
    again = [runs.run(f"r{number}") for number in range(MAX_LOOKED_AT + 2)]
    assert [run is before for run, before in zip(again, looked, strict=True)] == [True] * len(looked)
    assert sum(run._history is not None for run in looked if isinstance(run, OwnRun)) <= MAX_LOOKED_AT
