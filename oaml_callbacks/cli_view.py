"""`oaml view`: argument handling alone."""

from __future__ import annotations

import errno
import os
import secrets
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from .cli_common import Debug, fail, told_errors
from .run_folder.layout import RUNS_DIR
from .run_folder.runs_dir import choose_runs_dir

VIEW_HELP = """Show runs in a browser: curves and graded clicks.

DIR is where trainings write their run folders: `training_output`, or what OAML_RUNS_DIR says. The links in a run's W&B
summary (viewer_url, dashboard_url) open here. Nothing is changed by looking.

Examples:

\b
  oaml view                               http://localhost:8080, this machine alone
  oaml view runs --open                   and open the browser
  oaml view --host 0.0.0.0                for other machines too; prints a link with a token
  oaml view --export site                 a static copy, for a bucket, or to be opened from the disk

Exit codes: 0 ended; 1 failed; 2 a mistake in the arguments, a missing folder, or a port that is taken.

On a machine elsewhere: `ssh -L 8080:localhost:8080 MACHINE oaml view`, and open http://localhost:8080 here.
"""

DEFAULT_PORT = 8080
MIN_TOKEN = 16
MAX_TOLD = 10
"""Things that a copy lacks and that are told by name."""


def view(  # noqa: PLR0917  # called by typer alone
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help=f"Where the run folders are.  [default: {RUNS_DIR}]", show_default=False),
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Where to listen; 0: any free port.")] = (
        DEFAULT_PORT
    ),
    host: Annotated[str, typer.Option("--host", help="Who may ask: 0.0.0.0 for other machines too.")] = "localhost",
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            envvar="OAML_VIEWER_TOKEN",
            help="What the first link must have. Needed for another host than the loopback; made if not given.",
            show_default=False,
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", metavar="NAME", help="A further name of this server.")
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the browser.")] = False,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="OUT", help="Write a static copy to OUT instead.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Show the runs; see `VIEW_HELP`."""
    runs_dir = folder or choose_runs_dir(None) or Path(RUNS_DIR)
    with told_errors(debug):
        if not os.path.isdir(runs_dir):  # a Path's own method raises for a name that is too long
            fail(
                f"there is no folder {runs_dir}. Trainings with OpenAdaptWandbCallback write it; `oaml view DIR` "
                "looks into another one."
            )
        if export is not None:
            _export(runs_dir, export)
            return
        _serve(runs_dir, host=host, port=port, token=token, names=allow_host or [], open_browser=open_browser)


def _serve(runs_dir: Path, *, host: str, port: int, token: str | None, names: list[str], open_browser: bool) -> None:
    try:
        import uvicorn

        from .viewer.guard import is_loopback, own_names
        from .viewer.pages import charts_library
        from .viewer.server import make_app

        charts_library()
    except ImportError as error:
        fail(f'the viewer needs the package\'s extra: pip install "oaml-callbacks[viewer]" ({error})')
    if token is not None and len(token) < MIN_TOKEN:
        fail(f"the token must have {MIN_TOKEN} characters at least, found {len(token)}. Without --token one is made.")
    if token is None and not is_loopback(host):
        token = secrets.token_urlsafe(24)
    listening = _listen(host, port)
    port = listening[0].getsockname()[1]
    shown = socket.getfqdn() if host in ("0.0.0.0", "::", "*") else f"[{host}]" if ":" in host else host
    link = f"http://{shown}:{port}/" + (f"?token={quote(token, safe='')}" if token else "")
    app = make_app(runs_dir, hosts={*own_names(host), *names}, token=token, port=port)
    server = uvicorn.Server(
        # The log would have the token, and says nothing that the page doesn't.
        uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, lifespan="off", ws="none")
    )
    typer.echo(f"The runs in {runs_dir}: {link}   (Ctrl-C ends it)")
    if token:
        typer.echo("Who has this link sees the runs. The connection isn't encrypted; over a network, prefer ssh -L.")
    if open_browser:
        import webbrowser

        # Beside the server: some browsers hold who opens them until they are closed.
        threading.Thread(target=webbrowser.open, args=(link,), daemon=True).start()
    with suppress(KeyboardInterrupt):
        server.run(sockets=listening)


def _listen(host: str, port: int) -> list[socket.socket]:
    """Sockets on all addresses of `host`: a browser may take `localhost` for ::1 or for 127.0.0.1."""
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        fail(
            f"--host {host}: {getattr(error, 'strerror', None) or error}. It is a name or an address of this machine."
        )
    for family, kind, protocol, _, address in found:
        try:
            one = socket.socket(family, kind, protocol)
        except OSError:
            continue  # a machine without IPv6
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # All of them on one port, also where that was chosen by the first.
        wanted = (address[0], sockets[0].getsockname()[1] if sockets else port, *address[2:])
        try:
            one.bind(wanted)
            one.listen(128)
        except OSError as error:
            one.close()
            # No such address here; or a port that was chosen by the first is taken there.
            if error.errno == errno.EADDRNOTAVAIL or (sockets and port == 0):
                continue
            for other in sockets:
                other.close()
            fail(f"port {wanted[1]} of {host} can't be listened on: {error.strerror or error}. --port takes another.")
        sockets.append(one)
    if not sockets:
        fail(f"--host {host}: this machine has no such address")
    return sockets


def _export(runs_dir: Path, out: Path) -> None:
    try:
        from .viewer.export import export_runs
    except ImportError as error:
        fail(f'the viewer needs the package\'s extra: pip install "oaml-callbacks[viewer]" ({error})')
    written = export_runs(runs_dir, out)
    for reason in written.left_out[:MAX_TOLD]:
        typer.echo(f"left out: {reason}", err=True)
    if len(written.left_out) > MAX_TOLD:
        typer.echo(f"and {len(written.left_out) - MAX_TOLD} more that could not be read", err=True)
    typer.echo(f"{written.runs} runs, {written.files:,} files, {written.bytes / 2**20:.1f} MB: {out / 'index.html'}")
