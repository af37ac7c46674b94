"""[`GroundingTables`]: graded samples -> one bounded W&B table per evaluation, with target and click drawn."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import keys
from .artifact_sender import ArtifactSender
from .clean_text import cut, error_text, one_line
from .grounding.metrics import GradedSample, GroundingReport
from .overlays import overlays
from .pictures import Pictures
from .row_text import action_text, answer_text, target_text
from .table_choice import ChosenRow, choose_rows
from .values import fit_file_name

if TYPE_CHECKING:
    import numpy as np
    import wandb

logger = logging.getLogger(__name__)

TABLE_KEY = f"eval/{keys.GROUNDING_TABLE}"
EMBEDDINGS_KEY = f"eval/{keys.GROUNDING_EMBEDDINGS}"

ARTIFACT_TYPE = "run_table"
"""What W&B calls the artifacts that it makes of logged tables."""

MAX_TEXT = 500
"""Characters of an instruction, a target or an answer in a table; longer ones are cut, and marked as cut."""

COLUMNS = (
    "step",
    "screenshot",
    "instruction",
    "target",
    "predicted",
    "correct",
    "distance",
    "outcome",
    "answer",
    "sample",
    "why",
)


class GroundingTables:
    """The tables of one W&B run. World rank 0 alone makes one.

    ```python
    tables = GroundingTables(run)
    row["eval/grounding_table"] = tables.table(report, previous, step=100)
    run.log(row)
    ```

    W&B stages every picture again with every table. Here pictures are files of the run's own folder, written once and
    named in each table's artifact without a copy; W&B uploads what its server doesn't have yet. The artifact is
    logged here and the table bound to it, so that `run.log` makes no second one.

    Args:
        run: The W&B run.
        max_rows: Rows of a table: half the same every time, half what is wrong or has just changed.
        max_media_mb: Megabytes (2²⁰ bytes) of pictures in the whole run. Beyond it tables go on without new ones.
        keep_tables: Versions of each table that stay on W&B's server; older ones are deleted, unless somebody gave
            them an alias. An offline run's versions are all sent when it is synced.
        seed: Draws the half that stays.

    Raises:
        ValueError: A number below 1; `max_media_mb` may be 0, for tables without pictures.
    """

    def __init__(
        self,
        run: wandb.Run,
        *,
        max_rows: int = 32,
        max_media_mb: float = 256.0,
        keep_tables: int = 20,
        seed: int = 0,
    ) -> None:
        if max_rows < 1 or keep_tables < 1 or max_media_mb < 0:
            raise ValueError(
                "max_rows and keep_tables must be at least 1 and max_media_mb at least 0, found "
                f"{max_rows}, {keep_tables} and {max_media_mb}."
            )
        self.max_rows = max_rows
        self.seed = seed
        self._run = run
        self._folder = Path(run.dir).parent / "grounding"
        self._pictures = Pictures(self._folder / "pictures", max_bytes=max_media_mb * 2**20)
        self._keep = keep_tables
        self._sender = ArtifactSender(run)

    def choose(
        self, report: GroundingReport, previous: GroundingReport | Mapping[str, bool] | None
    ) -> list[ChosenRow]:
        """The samples that [`table`] shows; see [`choose_rows`]."""
        return choose_rows(report, previous, max_rows=self.max_rows, seed=self.seed)

    def table(
        self,
        report: GroundingReport,
        previous: GroundingReport | Mapping[str, bool] | None,
        step: int,
        *,
        key: str = TABLE_KEY,
    ) -> wandb.Table | None:
        """One evaluation's table, to be logged in the same `run.log` as its other values, under `key`.

        Args:
            report: The evaluation.
            previous: The one before it on the same samples, if there was one.
            step: Optimizer steps done.
            key: The history key it will have; named evaluation sets have one each.

        Returns:
            The table, which can be logged once; `None`, after a warning, if it couldn't be made.
        """
        import wandb

        def make() -> wandb.Table:
            artifact, table = self._artifact(key), wandb.Table(columns=list(COLUMNS))
            for chosen in self.choose(report, previous):
                table.add_data(*self._cells(chosen, step, artifact, key))
            return self._logged(table, artifact, key)

        return _unless_it_fails(make, key)

    def embeddings(
        self, rows: Sequence[GradedSample], vectors: np.ndarray, step: int, *, key: str = EMBEDDINGS_KEY
    ) -> wandb.Table | None:
        """A table for W&B's 2-D projection panel: one vector a row, its instruction, and whether it was right.

        Args:
            rows: The samples; the first `max_rows` are taken.
            vectors: `(rows, hidden)`, as `answer_embeddings` gives them.
            step: Optimizer steps done.
            key: The history key it will have.

        Returns:
            As [`table`].
        """
        import wandb

        from .embeddings import as_numbers

        def make() -> wandb.Table:
            table = wandb.Table(columns=["step", "embedding", "instruction", "correct", "sample"])
            for row, vector in list(zip(rows, vectors, strict=True))[: self.max_rows]:
                text = cut(row.sample.instruction, MAX_TEXT)
                table.add_data(step, as_numbers(vector), text, row.correct, one_line(row.sample.id))
            return self._logged(table, self._artifact(key), key)

        return _unless_it_fails(make, key)

    def close(self) -> None:
        """Wait, for a bounded time, for tables that are on their way. To be called before the run is finished."""
        self._sender.wait()

    # Inside ------------------------------------------------------------------------------------------------------

    def _artifact(self, key: str) -> wandb.Artifact:
        import wandb

        # Names that begin with `run-` are W&B's own.
        return wandb.Artifact(f"run_{self._run.id}_{fit_file_name(key)}", type=ARTIFACT_TYPE)

    def _cells(self, chosen: ChosenRow, step: int, artifact: wandb.Artifact, key: str) -> list[Any]:
        row = chosen.row
        return [
            step,
            self._picture(row, artifact, key),
            cut(row.sample.instruction, MAX_TEXT),
            target_text(row.sample, MAX_TEXT),
            action_text(row.action),
            row.correct,
            row.distance,
            row.outcome,
            answer_text(row, MAX_TEXT),
            one_line(row.sample.id),
            chosen.why,
        ]

    def _picture(self, row: GradedSample, artifact: wandb.Artifact, key: str) -> wandb.Image | None:
        import wandb

        saved = self._pictures.of(row.sample, key)
        if saved is None:
            return None
        # Named before the table is added: W&B then refers to this entry, and makes no copy of the file.
        artifact.add_file(str(saved.path), f"pictures/{saved.path.name}", policy="immutable", skip_cache=True)
        return wandb.Image(str(saved.path), boxes=overlays(row, saved.size))

    def _logged(self, table: wandb.Table, artifact: wandb.Artifact, key: str) -> wandb.Table:
        with _staging(self._folder) as staged:
            artifact.add(table, key.rpartition("/")[2])
            _remove_unnamed(staged, artifact)
        self._sender.send(artifact, keep=self._keep)
        # A bound table is logged as it is. Otherwise `run.log` would make an artifact that refers to this one, and
        # `wandb sync` may come to the reference first and leave it unfinished (seen with 0.31).
        table.bind_to_run(self._run, key, self._run.step)  # type: ignore[no-untyped-call]
        # What `run.log` does next: should it fail, it fails here, and costs the table alone.
        table.to_json(self._run)
        return table


def _unless_it_fails(make: Callable[[], wandb.Table], key: str) -> wandb.Table | None:
    try:
        return make()
    except Exception as error:  # noqa: BLE001 - whatever a table fails at, the numbers beside it must be logged
        logger.warning("This evaluation has no %s: %s", key, error_text(error))
        return None


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """Let W&B copy an artifact's files below `folder`, and not into the home directory, where they would stay."""
    folder.mkdir(parents=True, exist_ok=True)
    place = tempfile.mkdtemp(prefix="table-", dir=folder)
    before = os.environ.get("WANDB_DATA_DIR")
    os.environ["WANDB_DATA_DIR"] = place
    try:
        yield Path(place)
    finally:
        if before is None:
            del os.environ["WANDB_DATA_DIR"]
        else:
            os.environ["WANDB_DATA_DIR"] = before


def _remove_unnamed(staged: Path, artifact: wandb.Artifact) -> None:
    """Remove the copies that the artifact doesn't name: W&B stages some of its files twice."""
    named = {entry.local_path for entry in artifact.manifest.entries.values()}
    for path in staged.rglob("*"):
        if path.is_file() and str(path) not in named:
            path.unlink()
