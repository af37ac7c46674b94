"""What W&B writes of the machine by itself: read back from runs of real processes, in a repository of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

from oaml_callbacks.private_settings import private_metadata, private_settings
from oaml_callbacks.testing import read_run
from oaml_callbacks.testing.reader import _records
from oaml_callbacks.transaction_log import TransactionLog

TOKEN, FLAG, PASSWORD, PRINTED, RAISED = (
    "ghp_PlantedInTheRemote0000",
    "planted-behind-a-flag",
    "planted-in-an-url",
    "hf_PlantedAndPrinted0000",
    "planted-in-an-exception",
)
SECRETS = (TOKEN, FLAG, PASSWORD, PRINTED, RAISED)

OURS = """
    import os, sys, wandb
    from oaml_callbacks.private_settings import private_console, private_metadata, private_settings
    arguments = list(sys.argv)
    with private_metadata():
        run = wandb.init(project="clicks", settings=wandb.Settings(**private_settings()))
    private_console(run)
    assert sys.argv == arguments
    run.log({"loss": 1.0})
    print("step 1 of 2, data in", os.environ["HOME"])
    print("using", sys.argv[-1])
    raise RuntimeError("https://u:planted-in-an-exception@host")
"""

STOCK = """
    import wandb
    with wandb.init(project="clicks") as run:
        run.log({"loss": 1.0})
"""


@dataclass
class Seen:
    """A process's run: all its files, its metadata record, what the terminal showed and W&B copied."""

    content: dict[str, str]
    metadata: str
    remote: str
    terminal: str
    copy: str
    files: Path


def run_script(home: Path, source: str, *arguments: str, remote: str | None) -> Seen:
    """Run a script in a repository below `home`, offline."""
    project = home / "project"
    project.mkdir(parents=True)
    script = project / "train.py"
    script.write_text(textwrap.dedent(source))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "GIT_"))}
    environment |= {"HOME": str(home), "WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false"}
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "PYTHONPATH": str(Path(__file__).parents[1])}
    git = ["git", "-c", "user.name=n", "-c", "user.email=e"]
    commands = [["init", "-q"], ["add", "train.py"], ["commit", "-q", "-m", "one"]]
    for command in [*commands, *([["remote", "add", "origin", remote]] if remote else [])]:
        subprocess.run([*git, *command], cwd=project, env=environment, check=True)
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    run = read_run(project)
    records = list(_records(TransactionLog(run.path)))
    return Seen(
        {str(path): path.read_text(errors="replace") for path in run.path.parent.rglob("*") if path.is_file()},
        "\n".join(str(record.environment) for record in records if record.HasField("environment")),
        "\n".join(record.run.git.remote_url for record in records if record.HasField("run")),
        done.stdout + done.stderr,
        # Not `output.log`: before 0.31 an offline run has none until it is sent.
        "".join(record.output_raw.line for record in records if record.HasField("output_raw")),
        run.path.parent / "files",
    )


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    home = tmp_path_factory.mktemp("home")
    arguments = (
        "--api-key",
        FLAG,
        f"--url=https://u:{PASSWORD}@host/x",
        f"--data={home}/data",
        "--lr",
        "1e-4",
        PRINTED,
    )
    return run_script(home, OURS, *arguments, remote=f"https://{TOKEN}:x-oauth-basic@github.com/owner/name.git")


@pytest.mark.parametrize("secret", SECRETS)
def test_a_planted_secret_is_in_no_file_of_the_run(seen: Seen, secret: str) -> None:
    assert [name for name, content in seen.content.items() if secret in content] == []


def test_the_home_directory_is_in_no_file_of_the_run(seen: Seen) -> None:
    home = str(seen.files.parents[3])
    assert [name for name, content in seen.content.items() if home in content] == []


def test_the_command_line_stays_but_for_its_secrets(seen: Seen) -> None:
    told = [line.split('"')[1] for line in seen.metadata.splitlines() if line.startswith("args:")]
    assert told == ["--api-key", "***", "--url=https://***@host/x", "--data=~/data", "--lr", "1e-4", "***"]


def test_program_and_folder_are_told_from_the_home_directory_on(seen: Seen) -> None:
    assert 'program: "~/project/train.py"' in seen.metadata
    assert 'root: "~/project"' in seen.metadata


def test_the_commit_and_the_remote_stay_but_for_the_token(seen: Seen) -> None:
    assert 'remote_url: "https://***@github.com/owner/name.git"' in seen.metadata
    assert "https://***@github.com/owner/name.git" in seen.remote
    assert "commit: " in seen.metadata


def test_the_machine_is_told_as_ever(seen: Seen) -> None:
    for name in ("os:", "python:", "host:", "cpu_count:"):
        assert name in seen.metadata


def test_the_terminal_shows_everything_and_the_copy_what_is_no_secret(seen: Seen) -> None:
    assert PRINTED in seen.terminal
    assert RAISED in seen.terminal
    assert "step 1 of 2, data in ~" in seen.copy
    assert "using ***" in seen.copy
    assert "RuntimeError: https://***@host" in seen.copy


def test_without_any_secret_everything_is_as_w_and_b_has_it(tmp_path: Path) -> None:
    remote, arguments = "https://github.com/owner/name.git", ("--lr", "1e-4", "--max_new_tokens", "5")
    ours = run_script(tmp_path / "ours", OURS, *arguments, remote=remote)
    stock = run_script(tmp_path / "stock", STOCK, *arguments, remote=remote)
    for line in stock.metadata.splitlines():
        if line.startswith("args:"):
            assert line in ours.metadata
    assert ours.remote == stock.remote == remote


def test_there_is_nothing_to_set_outside_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_DIR", raising=False)
    monkeypatch.delenv("WANDB_GIT_REMOTE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    assert private_settings() == {}


def test_a_run_opened_outside_is_told_as_ever(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own runs are the user's own matter."""
    import wandb

    monkeypatch.setattr(sys, "argv", ["train.py", "--api-key", "abc-def"])
    with private_metadata():
        pass
    settings = wandb.Settings().to_proto()
    assert list(settings._args.value) == ["--api-key", "abc-def"]
    with private_metadata():
        settings = wandb.Settings().to_proto()
    assert list(settings._args.value) == ["--api-key", "***"]
