"""What a user calls an adapter: by its artifact, by the run that logged it, or by an address of W&B's pages."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from ..clean_text import one_line
from ..values import fit_file_name
from .adapter_files import AdapterError

BEST, LATEST = "best", "latest"

PREFIX = "adapter-"
"""What the artifacts of adapters begin with; the run's id follows."""

MAX_REFERENCE = 1000
"""Characters of what a user gives."""

_UNFIT = re.compile(r"[\s\\#?%*:/]")

_FORM = (
    "Expected ENTITY/PROJECT/adapter-RUN:best (or PROJECT/…; a version after the colon, best if there is none), a "
    "run's ENTITY/PROJECT/RUN, or the address of either in W&B's pages."
)


@dataclass(frozen=True)
class Reference:
    """What was asked for.

    Args:
        place: The entity and the project, `ENTITY/PROJECT/`; parts that W&B is to fill in are left out.
        name: The artifact's name, or the run's id.
        version: A version or an alias; empty where none was given.
        is_run: It is a run's address, and no artifact's.
    """

    place: str
    name: str
    version: str = ""
    is_run: bool = False

    @classmethod
    def read(cls, text: str) -> Reference:
        """Read what a user gave.

        Raises:
            AdapterError: It can't be one.
        """
        given = text.strip()
        wrong = AdapterError(f"{one_line(text)!r} is no adapter's name. {_FORM}")
        if not given or len(given) > MAX_REFERENCE or not given.isprintable():
            raise wrong
        if "://" in given:
            return cls._of_address(given, wrong)
        *place, last = given.split("/")
        name, colon, version = last.partition(":")
        if len(place) > 2 or (colon and not version) or any(map(_is_unfit, (*place, name))):
            raise wrong
        if version and _is_unfit(version):
            raise wrong
        if not place and not os.environ.get("WANDB_PROJECT"):
            raise AdapterError(f"{one_line(text)!r} lacks its project. {_FORM}")
        return cls("".join(f"{part}/" for part in place), name, version)

    @classmethod
    def _of_address(cls, given: str, wrong: AdapterError) -> Reference:
        """`https://HOST/ENTITY/PROJECT/runs/RUN`, `…/artifacts/TYPE/NAME[/VERSION]`; what follows them is left out."""
        try:
            parts = [unquote(part) for part in urlsplit(given).path.split("/") if part]
        except ValueError:
            raise wrong from None
        if len(parts) < 4 or any(map(_is_unfit, parts[:4])):
            raise wrong
        place = f"{parts[0]}/{parts[1]}/"
        if parts[2] == "runs":
            return cls(place, parts[3], is_run=True)
        if parts[2] == "artifacts" and len(parts) > 4 and not any(map(_is_unfit, parts[4:6])):
            return cls(place, parts[4], parts[5] if len(parts) > 5 else "")
        raise wrong

    @property
    def candidates(self) -> list[tuple[str, ...]]:
        """The artifacts that it can be: of each, the versions to be tried, the best first."""
        versions = (self.version,) if self.version else (BEST, LATEST)
        return [tuple(f"{name}:{version}" for version in versions) for name in self._names()]

    @property
    def newest(self) -> list[str]:
        """The newest versions of these artifacts."""
        return [f"{name}:{LATEST}" for name in self._names()]

    def _names(self) -> list[str]:
        of_run = f"{self.place}{adapter_artifact(self.name)}"
        if self.is_run:
            return [of_run]
        names = [f"{self.place}{self.name}"]
        return names if self.name.startswith(PREFIX) else [*names, of_run]


def adapter_artifact(run_id: str) -> str:
    """The name of the artifact that a run's adapter is logged as."""
    return f"{PREFIX}{fit_file_name(run_id)}"


def _is_unfit(part: str) -> bool:
    return not part or part in (".", "..") or _UNFIT.search(part) is not None
