"""[`OwnRun`]: a run that this package's callback has written, as the pages ask for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .clicks import Clicks
from .history import History
from .reading import Problem, Stamp, short, stamp
from .run_files import RunFiles

Stamps = tuple[Stamp | None, ...]


class OwnRun:
    """One run folder.

    Every method that gives a piece has a twin that gives the stamps of what it is made of: as long as these are the
    same, so is the piece.

    Args:
        folder: The run folder.
        key: What the run is called in URLs.
    """

    foreign = False

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        self.key = key
        self._files = RunFiles(folder, key)
        self._history: History | None = None
        self._clicks = Clicks(folder)

    def forget(self) -> None:
        """Give back the memory that looking at the run has taken."""
        self._history, self._clicks = None, Clicks(self.folder)

    def identity(self) -> str:
        """The run's id."""
        self._files.refresh()
        return str(self._files.names()["id"])

    def row(self) -> dict[str, Any]:
        """The run's row in the list of runs."""
        files = self._files
        files.refresh()
        first = next((one["set"] for one in files.evaluations), None)
        of_first = [one for one in files.evaluations if one["set"] == first]
        trained = [one for one in of_first if not one["baseline"]]
        return {
            **files.names(),
            **files.standing(),
            "accuracy": {
                "last": trained[-1]["accuracy"] if trained else None,
                "best": next((one["accuracy"] for one in of_first if one["best"]), None),
                "baseline": next((one["accuracy"] for one in of_first if one["baseline"]), None),
            },
            "samples": of_first[-1]["samples"] if of_first else None,
            "evaluations": len(files.evaluations),
            "problems": len(files.problems),
            "foreign": False,
        }

    def run(self) -> dict[str, Any]:
        """What the run is and where it stands."""
        files = self._files
        files.refresh()
        return {
            **files.names(),
            **files.links(),
            **files.standing(),
            **files.speed(),
            "host": short(files.config().get("host")) or None,
            "config": {name: value for name, value in files.config().items() if name not in ("host", "name")},
            "sets": [{"name": name, "samples": self._most_samples(name)} for name in files.sets],
            "evaluations": files.evaluations,
            "problems": files.problems,
            "foreign": False,
        }

    def _most_samples(self, name: str) -> float:
        return max((one["samples"] or 0 for one in self._files.evaluations if one["set"] == name), default=0)

    def history(self) -> dict[str, Any]:
        """The run's curves."""
        if self._history is None:
            self._history = History(self.folder)
        self._history.refresh()
        return self._history.piece()

    def samples(self, name: str) -> dict[str, Any]:
        """See [`Clicks.samples`]."""
        return self._clicks.samples(self._set(name))

    def ids(self, name: str) -> list[str]:
        """See [`Clicks.ids`]."""
        return self._clicks.ids(self._set(name))

    def sample_block(self, name: str, block: int) -> list[dict[str, Any]]:
        """See [`Clicks.sample_block`]."""
        return self._clicks.sample_block(self._set(name), block)

    def verdicts(self, evaluation: str) -> dict[str, Any]:
        """See [`Clicks.verdicts`]."""
        return self._clicks.verdicts(*self._evaluation(evaluation))

    def answers(self, evaluation: str, block: int) -> list[dict[str, Any] | None]:
        """See [`Clicks.answers`]."""
        return self._clicks.answers(*self._evaluation(evaluation), block)

    def track(self, name: str, block: int) -> dict[str, Any]:
        """See [`Clicks.track`]."""
        return self._clicks.track(self._set(name), self._answers_of(name), block)

    def picture_folder(self) -> Path:
        """Where the paths of pictures begin."""
        return self.folder

    # Stamps ------------------------------------------------------------------------------------------------------

    def history_stamps(self) -> Stamps:
        """Of [`history`]."""
        if self._history is None:
            self._history = History(self.folder)
        return (self._history.refresh(),)

    def set_stamps(self, name: str) -> Stamps:
        """Of [`samples`], [`ids`] and [`sample_block`]."""
        return (stamp(self.folder, self._set(name)),)

    def evaluation_stamps(self, evaluation: str) -> Stamps:
        """Of [`verdicts`] and [`answers`]."""
        return tuple(stamp(self.folder, file) for file in self._evaluation(evaluation))

    def track_stamps(self, name: str) -> Stamps:
        """Of [`track`]."""
        files = (self._set(name), *self._answers_of(name).values())
        return tuple(stamp(self.folder, file) for file in files)

    # Inside ------------------------------------------------------------------------------------------------------

    def _set(self, name: str) -> str:
        self._files.refresh()
        if name not in self._files.sets:
            raise Problem(f"the run has no evaluation set {short(name)}")
        return self._files.sets[name]

    def _evaluation(self, key: str) -> tuple[str, str]:
        self._files.refresh()
        if key not in self._files.files:
            raise Problem(f"the run has no evaluation {short(key)}")
        return self._files.files[key]

    def _answers_of(self, name: str) -> dict[str, str]:
        of_set = [one["key"] for one in self._files.evaluations if one["set"] == name]
        return {key: self._files.files[key][1] for key in of_set}
