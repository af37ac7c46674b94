"""Adapters in a loopback server, logged by W&B's own SDK."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oaml_callbacks.adapters.adapter_files import adapter_files, file_digest
from tests.loopback import Loopback
from tests.loopback.artifacts import Version

from .adapter_folders import BASE

RUN = "run1"
PLACE = "someone/clicks"
NAME = f"adapter-{RUN}"

METADATA: dict[str, Any] = {
    "base_model": BASE,
    "base_revision": None,
    "step": 20,
    "grounding_accuracy": 0.75,
    "grounding_accuracy_low": 0.505,
    "grounding_accuracy_high": 0.898,
    "grounding_samples": 16,
    "baseline_grounding_accuracy": 0.125,
    "run_id": RUN,
    "run_url": f"https://wandb.example/{PLACE}/runs/{RUN}",
}


def log_adapter(
    run: Any, folder: Path, aliases: list[str], *, name: str = NAME, type: str = "model", **metadata: Any
) -> None:
    """Log an adapter's files as a run does, and wait until they have arrived."""
    import wandb

    files = adapter_files(folder)
    digests = {file: file_digest(path, "sha256") for file, path in files.items()}
    artifact = wandb.Artifact(name, type, metadata={**METADATA, "sha256": digests, **metadata})
    for file, path in files.items():
        artifact.add_file(str(path), name=file)
    run.log_artifact(artifact, aliases=aliases)
    artifact.wait(timeout=30)


@dataclass
class Stored:
    """What the server has, to be tampered with.

    Attributes:
        server: The server.
    """

    server: Loopback

    def version(self, index: int = 0, name: str = NAME) -> Version:
        """A version of the adapter."""
        return self.server.of(name)[index]

    def add(self, path: str, content: bytes = b"x", *, index: int = 0, **entry: Any) -> None:
        """Put a file into a version's manifest."""
        version = self.version(index)
        version.entries[path] = {"digest": _md5(content), "size": len(content), **entry}
        self.server.downloads.instead[f"{version.id}/{path}"] = content

    def replace(self, path: str, content: bytes, *, index: int = 0) -> None:
        """Replace a file as who logged it could: digests and size fit."""
        self.add(path, content, index=index)
        self.change_metadata(index=index, sha256={})

    def give_out(self, path: str, content: bytes, *, index: int = 0) -> None:
        """Give out other bytes than those that were logged."""
        self.server.downloads.instead[f"{self.version(index).id}/{path}"] = content

    def change_metadata(self, *, index: int = 0, **changed: Any) -> None:
        """Change what was logged beside the files."""
        version = self.version(index)
        version.metadata = json.dumps({**json.loads(version.metadata), **changed})

    @contextmanager
    def put_back(self) -> Iterator[None]:
        """All as it was after the block."""
        versions = self.server.versions
        before = [copy.deepcopy(version.__dict__) for version in versions]
        yield
        self.server.mend()
        self.server.downloads.instead.clear()
        for version, values in zip(versions, before, strict=False):
            version.__dict__.update(values)


def tree(folder: Path) -> dict[str, bytes]:
    """All files below a folder with their contents."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def _md5(content: bytes) -> str:
    import base64
    import hashlib

    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
