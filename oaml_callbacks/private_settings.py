"""What W&B tells of the machine by itself, without secrets: command line, program, folders, git remote, console, logs.

```python
with private_metadata():
    run = wandb.init(..., settings=wandb.Settings(**private_settings()))
private_console(run)
```

Only what holds a secret or the home directory is changed: a command line without any is shown as it was typed.
"""

from __future__ import annotations

import functools
import logging
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .secrets import redacted_arguments, redacted_text

if TYPE_CHECKING:
    import wandb

GIT_SECONDS = 5.0
"""How long git may take, for the remote and for the commit each; W&B then asks it itself."""

_TOLD = ("program", "root_dir", "x_executable", "host", "_code_path_local", "program_relpath", "email", "username")
"""Settings that W&B's service writes into a run, and does nothing else with."""

_here = threading.local()


def private_settings() -> dict[str, Any]:
    """What to pass to `wandb.Settings`: nothing, unless there are credentials in the git remote's URL.

    W&B itself drops the password of such a URL, and keeps a token that stands in the user's place. It then has to be
    told the commit too, which it reads together with the remote.
    """
    if os.environ.get("WANDB_DISABLE_GIT", "false").lower() in ("true", "1"):
        return {}
    folders = [folder for folder in (os.environ.get("WANDB_DIR"), ".") if folder and os.path.isdir(folder)]
    given = os.environ.get("WANDB_GIT_REMOTE_URL")
    for folder in folders:
        url = given or _git(folder, "remote", "get-url", "origin")
        if url is None:
            continue
        cleaned = redacted_text(url)
        commit = os.environ.get("WANDB_GIT_COMMIT") or (_git(folder, "rev-parse", "HEAD") if cleaned != url else None)
        return {"git_remote_url": cleaned, "git_commit": commit} if cleaned != url else {}
    return {}


@contextmanager
def private_metadata() -> Iterator[None]:
    """Around `wandb.init`: W&B writes the command line and the paths of program and working folder without secrets.

    No setting changes those alone: the command line is always `sys.argv`, and the working folder's setting moves the
    run. So what W&B's service is told of them is changed, and neither `sys.argv` nor where anything lies. It holds for
    what this thread opens inside.
    """
    import wandb

    if not hasattr(wandb.Settings.to_proto, "_oaml_wrapped"):
        wandb.Settings.to_proto = _cleaning(wandb.Settings.to_proto)  # type: ignore[method-assign]
    before = getattr(_here, "inside", False)
    _here.inside = True
    log, clean, quiet = logging.getLogger("wandb"), _WithoutSecrets(), _Quiet()
    log.addFilter(clean)
    log.addFilter(quiet)
    try:
        yield
    finally:
        log.removeFilter(clean)
        log.removeFilter(quiet)
        _here.inside = before


def private_console(run: wandb.Run) -> None:
    """From here on, keep secrets and the home directory out of W&B's copy of what the process prints (`output.log`).

    And out of its own `debug.log`, which lies in the run's folder and isn't sent.

    The terminal shows everything as it is. Of wandb's ways to copy it this changes the usual one (`console="auto"` or
    `"wrap"`); with `"redirect"` and `"wrap_emu"` nothing is changed.
    """
    for handler in logging.getLogger("wandb").handlers:
        if isinstance(handler, logging.FileHandler) and not any(
            isinstance(f, _WithoutSecrets) for f in handler.filters
        ):
            handler.addFilter(_WithoutSecrets())
    inner = getattr(run, "_console_raw_callback", None)
    if inner is None:
        return

    def cleaned(name: str, data: Any) -> None:
        inner(name, redacted_text(data) if isinstance(data, str) else data)

    run._console_raw_callback = cleaned  # type: ignore[method-assign]


class _WithoutSecrets(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        try:
            record.msg, record.args = redacted_text(record.getMessage()), ()
        except Exception:  # noqa: BLE001 - logging itself tells of a line whose parts don't fit, and raises nothing
            return True
        if record.exc_info and not record.exc_text:
            record.exc_text = redacted_text(logging.Formatter().formatException(record.exc_info))
        return True


class _Quiet(logging.Filter):
    """Where W&B's own log can't be written, on a full disk, `logging` would print a traceback for each of its lines.

    And W&B, which copies what is printed, would log each of these.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        for handler in logging.getLogger("wandb").handlers:
            if isinstance(handler, logging.FileHandler):
                handler.handleError = _ignore  # type: ignore[method-assign]
        return True


def _ignore(record: logging.LogRecord) -> None:
    pass


def _cleaning(to_proto: Any) -> Any:
    @functools.wraps(to_proto)
    def wrapper(self: Any) -> Any:
        settings = to_proto(self)
        if getattr(_here, "inside", False):
            for name in _TOLD:
                if name in settings.DESCRIPTOR.fields_by_name and settings.HasField(name):
                    field = getattr(settings, name)
                    field.value = redacted_text(field.value)
            if "_args" in settings.DESCRIPTOR.fields_by_name:
                arguments = settings._args.value
                arguments[:] = redacted_arguments(list(arguments))
        return settings

    wrapper._oaml_wrapped = True  # type: ignore[attr-defined]
    return wrapper


def _git(folder: str, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", folder, "--no-optional-locks", *arguments],
            capture_output=True,
            timeout=GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None  # no git, no repository, no remote of that name
    return done.stdout.decode(errors="replace").strip()
