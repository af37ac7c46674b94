"""Run the server by itself: prints its address and the control port's, and serves until it is killed."""

from __future__ import annotations

import argparse
import sys
import threading

from .control import control
from .server import loopback


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.loopback", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="where it listens; 0 is a free port")
    parser.add_argument("--control-port", type=int, default=0, help="where it is controlled; 0 is a free port")
    parser.add_argument("--any-key", action="store_true", help="take every API key, and none")
    parser.add_argument("--tls", action="store_true", help="speak https, with a certificate that nobody knows")
    parser.add_argument("--until-input-ends", action="store_true", help="stop when standard input is closed")
    given = parser.parse_args()
    with (
        loopback(any_key=given.any_key, tls=given.tls, port=given.port) as server,
        control(server, port=given.control_port) as address,
    ):
        sys.stdout.write(f"{server.url} {address}\n")
        sys.stdout.flush()
        if given.until_input_ends:
            sys.stdin.read()
        else:
            threading.Event().wait()


if __name__ == "__main__":
    main()
