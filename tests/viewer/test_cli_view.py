"""`oaml view`: its messages, its exit codes, and the server as it is started."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from oaml_callbacks.cli import app
from oaml_callbacks.cli_view import MIN_TOKEN

from ..run_folders import write_run
from .raw_runs import raw_run

RUN = {"oaml/run.json": '{"id": "abc"}'}


@pytest.fixture(autouse=True)
def _nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OAML_RUNS_DIR", raising=False)
    monkeypatch.delenv("OAML_VIEWER_TOKEN", raising=False)


def view(*arguments: str | Path) -> Result:
    """`oaml view` in this process: for what ends at once."""
    return CliRunner().invoke(app, ["view", *map(str, arguments)])


def refused(*arguments: str | Path) -> str:
    """What `oaml view` says of a mistake."""
    result = view(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.output
    return result.stderr


@contextmanager
def viewing(folder: Path, *arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`oaml view` in a process of its own, in `folder`; gives it, and the link that it prints."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OAML_")}
    process = subprocess.Popen(
        [sys.executable, "-c", "from oaml_callbacks.cli import main; main()", "view", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env={**kept, **environment},
    )
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        link = re.search(r"http://\S+", said)
        assert link is not None, said + process.stdout.read()
        yield process, link.group()
    finally:
        process.kill()
        process.wait(timeout=10)
        process.stdout.close()


def asked(url: str, **options: str) -> httpx.Response:
    """The answer, as soon as there is one: the link is printed just before."""
    for _ in range(200):
        try:
            return httpx.get(url, headers=options)
        except httpx.TransportError:
            time.sleep(0.05)
    return httpx.get(url, headers=options)


class TestHelp:
    def test_it_says_what_it_shows_and_how_it_is_reached(self) -> None:
        said = view("--help").output
        for part in ("training_output", "OAML_RUNS_DIR", "--port", "--host", "--token", "--export", "ssh -L"):
            assert part in said

    def test_it_is_among_the_commands(self) -> None:
        assert re.search(r"^ +view +Show runs", CliRunner().invoke(app, ["--help"]).output, re.MULTILINE)


class TestMistakes:
    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        said = refused(tmp_path / "gone")
        assert f"there is no folder {tmp_path / 'gone'}" in said
        assert "OpenAdaptWandbCallback" in said

    def test_the_default_folder_that_is_not_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert "there is no folder training_output" in refused()

    def test_the_folder_of_the_environment_that_is_not_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OAML_RUNS_DIR", "nowhere/at/all")
        assert "there is no folder nowhere/at/all" in refused()

    def test_a_file_in_place_of_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        assert "there is no folder" in refused(tmp_path / "file")

    def test_a_name_that_no_folder_can_have(self, tmp_path: Path) -> None:
        assert "there is no folder" in refused(tmp_path / ("x" * 300))

    @pytest.mark.parametrize("token", ["", "short", "x" * (MIN_TOKEN - 1)])
    def test_a_short_token(self, tmp_path: Path, token: str) -> None:
        said = refused(tmp_path, "--token", token, "--port", "0")
        assert f"the token must have {MIN_TOKEN} characters at least, found {len(token)}" in said

    def test_a_short_token_of_the_environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OAML_VIEWER_TOKEN", "hunter2")
        said = refused(tmp_path)
        assert f"the token must have {MIN_TOKEN} characters" in said
        assert "hunter2" not in said

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
    def test_a_port_that_is_in_use(self, tmp_path: Path, host: str) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as other:
            port = other.getsockname()[1]
            said = refused(tmp_path, "--host", host, "--port", str(port))
        assert f"port {port} of {host} can't be listened on" in said
        assert "--port takes another" in said

    @pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "a" * 300, "..", "[::1]"])
    def test_a_host_that_is_none_of_this_machine(self, tmp_path: Path, host: str) -> None:
        assert f"--host {host}" in refused(tmp_path, "--host", host, "--port", "0")

    @pytest.mark.parametrize("port", ["-1", "65536", "http"])
    def test_a_port_that_is_none(self, tmp_path: Path, port: str) -> None:
        result = view(tmp_path, "--port", port)
        assert result.exit_code == 2
        assert "--port" in result.stderr

    def test_a_copy_over_something_else(self, tmp_path: Path) -> None:
        (tmp_path / "runs").mkdir()
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "file").write_text("")
        assert "isn't an earlier copy" in refused(tmp_path / "runs", "--export", tmp_path / "mine")

    def test_a_copy_among_the_runs(self, tmp_path: Path) -> None:
        assert "where runs are looked for" in refused(tmp_path, "--export", tmp_path / "site")


class TestExport:
    def test_it_says_what_it_has_written(self, tmp_path: Path) -> None:
        raw_run(tmp_path / "runs", RUN)
        result = view(tmp_path / "runs", "--export", tmp_path / "site")
        assert result.exit_code == 0, result.output
        assert re.search(r"^1 runs, \d+ files, [\d.]+ MB: .*index\.html$", result.stdout.replace("\n", ""))
        assert (tmp_path / "site" / "index.html").is_file()

    def test_no_port_is_needed(self, tmp_path: Path) -> None:
        (tmp_path / "runs").mkdir()
        with closing(socket.create_server(("127.0.0.1", 0))) as other:
            port = str(other.getsockname()[1])
            assert view(tmp_path / "runs", "--export", tmp_path / "site", "--port", port).exit_code == 0


class TestServer:
    def test_it_shows_the_runs_until_it_is_interrupted(self, tmp_path: Path) -> None:
        shutil.move(write_run(tmp_path), tmp_path / "training_output" / "abc123")
        with viewing(tmp_path, "--port", "0") as (process, link):
            assert re.fullmatch(r"http://localhost:\d+/", link)
            answer = asked(f"{link}data/runs")
            assert [row["key"] for row in answer.json()["runs"]] == ["abc123"]
            assert "server" not in answer.headers
            for address in ("127.0.0.1", "localhost"):
                assert asked(link.replace("localhost", address)).status_code == 200
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=20) == 0
            assert process.stdout is not None
            assert process.stdout.read() == ""

    def test_it_listens_on_the_loopback_alone(self, tmp_path: Path) -> None:
        with viewing(tmp_path, ".", "--port", "0") as (_, link):
            port = int(link.rstrip("/").rpartition(":")[2])
            assert asked(link).status_code == 200
            with closing(socket.socket()) as other:  # an address of this machine that nobody listens on is free
                other.bind(("127.0.0.2", port))

    def test_other_names_are_refused_but_for_those_that_are_allowed(self, tmp_path: Path) -> None:
        with viewing(tmp_path, ".", "--port", "0", "--allow-host", "viewer.example") as (_, link):
            assert asked(link, Host="viewer.example").status_code == 200
            assert asked(link, Host="evil.example").status_code == 421

    def test_the_folder_of_the_environment_is_shown(self, tmp_path: Path) -> None:
        raw_run(tmp_path / "elsewhere", RUN)
        with viewing(tmp_path, "--port", "0", OAML_RUNS_DIR="elsewhere") as (_, link):
            assert asked(f"{link}data/runs").json()["folder"] == "elsewhere"

    def test_for_other_machines_a_token_is_made_and_printed(self, tmp_path: Path) -> None:
        with viewing(tmp_path, ".", "--host", "0.0.0.0", "--port", "0") as (process, link):
            place, _, token = link.partition("/?token=")
            assert len(token) >= MIN_TOKEN
            assert process.stdout is not None
            assert "The connection isn't encrypted" in process.stdout.readline()
            here = f"http://127.0.0.1:{place.rpartition(':')[2]}/"
            assert asked(f"{here}data/runs").status_code == 403
            assert asked(f"{here}?token=wrong").status_code == 403
            with httpx.Client(base_url=here, follow_redirects=True) as client:
                assert client.get(f"?token={token}").status_code == 200
                assert client.get("data/runs").status_code == 200

    def test_each_start_makes_another_token(self, tmp_path: Path) -> None:
        links = []
        for _ in range(2):
            with viewing(tmp_path, ".", "--host", "0.0.0.0", "--port", "0") as (_, link):
                links.append(link.partition("?token=")[2])
        assert links[0] != links[1]

    def test_a_token_of_the_environment_is_asked_for_on_the_loopback_too(self, tmp_path: Path) -> None:
        token = "a token with blanks & more"
        with viewing(tmp_path, ".", "--port", "0", OAML_VIEWER_TOKEN=token) as (_, link):
            assert link.endswith("?token=a%20token%20with%20blanks%20%26%20more")
            assert asked(link.partition("?")[0]).status_code == 403
            assert asked(link).status_code == 303
