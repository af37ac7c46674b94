"""A W&B server on the loopback device: as much of one as the tests need.

Runs are opened, streamed, resumed, rewound, deleted and read back; artifacts' versions are made, listed and deleted.
Like W&B's own it wants a file's content once: of content that it has, no upload is asked for. It can be out of order
in the ways that a network and a server can (`Loopback.fault`). `loopback` is a server in this process, `own_process`
one that lives on when the process that sends to it is killed.
"""

from .artifacts import Version
from .faults import KINDS, Fault, Kind
from .process import OwnProcess, own_process
from .runs import ENTITY, PROJECT, Run
from .server import API_KEY, Loopback, environment, loopback

__all__ = [
    "API_KEY",
    "ENTITY",
    "KINDS",
    "PROJECT",
    "Fault",
    "Kind",
    "Loopback",
    "OwnProcess",
    "Run",
    "Version",
    "environment",
    "loopback",
    "own_process",
]
