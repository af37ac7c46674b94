"""[`EvaluationRecord`]: what a W&B run gets of an evaluation beside its numbers. World rank 0 alone has one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import keys
from .clean_text import error_text, one_line
from .click_meter import TABLE_SEED, Measured
from .values import fit_file_name, shown

if TYPE_CHECKING:
    import wandb

    from .grounding import GroundingEvaluator
    from .media import GroundingTables
    from .wandb_logger import WandbLogger

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecordOptions:
    """How much a run keeps of its evaluations.

    Args:
        max_rows: Rows of a table; 0 for no tables.
        max_media_mb: Megabytes of pictures in the whole run.
        keep_tables: Versions of each table that stay on W&B's server.
        embed: Whether the last evaluation is logged as a page.

    Raises:
        ValueError: A number that is too small.
    """

    max_rows: int
    max_media_mb: float
    keep_tables: int
    embed: bool = False

    def __post_init__(self) -> None:
        if self.max_rows < 0 or self.max_media_mb < 0 or self.keep_tables < 1:
            raise ValueError(
                "max_rows and max_media_mb must be at least 0, and keep_tables at least 1, found "
                f"{self.max_rows}, {self.max_media_mb} and {self.keep_tables}."
            )


class EvaluationRecord:
    """The tables, the graded rows and the fingerprints of one run.

    Args:
        tracker: The run.
        run: The same, as W&B has it.
        facts: What the run's config already has under `oaml`.
        options: How much is kept.
    """

    def __init__(self, tracker: WandbLogger, run: wandb.Run, facts: Mapping[str, Any], options: RecordOptions) -> None:
        self._tracker = tracker
        self._facts = dict(facts)
        self.described: dict[str, dict[str, Any]] = {}
        """Each evaluation set's fingerprint, size and rules."""
        self._rows_folder = Path(run.dir).parent / "grounding" / "rows"
        self._rows_lost = self._has_new_rows = False
        self._embeds = options.embed
        self._last: dict[str, tuple[Measured, int]] = {}
        """Each set's last evaluation, that no page was logged of yet."""
        from .media import GroundingTables

        self._tables: GroundingTables | None = None
        if options.max_rows:
            self._tables = GroundingTables(
                run,
                max_rows=options.max_rows,
                max_media_mb=options.max_media_mb,
                keep_tables=options.keep_tables,
                seed=TABLE_SEED,
            )

    def describe(self, split: str, evaluator: GroundingEvaluator) -> None:
        """Put an evaluation set's fingerprint into the run's config, once."""
        if one_line(split) in self.described:
            return
        from .grounding import fingerprint

        try:
            digest = fingerprint(evaluator.samples, rules=evaluator.rules)
        except Exception as error:  # noqa: BLE001 - a dataset may raise anything, and this must not end a training
            logger.warning("The evaluation set %s has no fingerprint: %s", one_line(split), error_text(error))
            digest = None
        self.described[one_line(split)] = {
            "fingerprint": digest,
            "samples": len(evaluator.samples),
            "rules": evaluator.rules,
        }
        self._tracker.update_config({"oaml": {**self._facts, "grounding": self.described}})

    def media(self, measured: Measured, step: int) -> dict[str, Any]:
        """Keep every graded row on disk, and make what goes into the evaluation's row of the history.

        Args:
            measured: The evaluation.
            step: Optimizer steps done.

        Returns:
            Tables by their keys.
        """
        report, split = measured.report, measured.split
        if report is None or not self._tracker.enabled:
            return {}
        self.describe(split, measured.evaluator)
        self._write_rows(measured, step)
        if self._embeds:
            self._last[split] = (measured, step)
        if self._tables is None or not self._tracker.enabled:
            return {}
        key = keys.media_key(f"{split}_{keys.GROUNDING_TABLE}")
        made = {key: self._tables.table(report, measured.previous, step, key=key)}
        if measured.vectors is not None:
            key = keys.media_key(f"{split}_{keys.GROUNDING_EMBEDDINGS}")
            rows = [chosen.row for chosen in self._tables.choose(report, measured.previous)]
            made[key] = self._tables.embeddings(rows, measured.vectors, step, key=key)
        return {key: table for key, table in made.items() if table is not None}

    def log_rows(self) -> None:
        """Log the graded rows, if there are new ones; to be called while the run is open."""
        from .graded_rows import log_graded_rows

        run = self._tracker.run if self._tracker.enabled else None
        if run is None or not self._has_new_rows:
            return
        self._has_new_rows = False
        try:
            log_graded_rows(run, self._rows_folder)
        except Exception as error:  # noqa: BLE001 - whatever W&B fails at, the training must go on
            logger.warning("The graded rows in %s are not in W&B: %s", shown(self._rows_folder), error_text(error))

    def log_pages(self) -> None:
        """Log each set's last evaluation as a page, in a row of its own; to be called while the run is open."""
        last, self._last = self._last, {}
        if not last or not self._tracker.enabled:
            return
        import wandb

        from .embedded_page import MAX_BYTES, embedded_page

        row: dict[str, Any] = {}
        for split, (measured, step) in last.items():
            assert measured.report is not None
            try:
                page = embedded_page(
                    measured.report,
                    measured.previous,
                    split=split,
                    step=step,
                    run_id=self._tracker.run_id or "",
                    run_name=self._tracker.name,
                    seed=TABLE_SEED,
                    max_bytes=MAX_BYTES // len(last),
                )
                row[keys.media_key(f"{split}_{keys.GROUNDING_PAGE}")] = wandb.Html(
                    page, inject=False, data_is_not_path=True
                )
            except Exception as error:  # noqa: BLE001 - whatever a page fails at, the training must go on
                logger.warning("The last evaluation is not in W&B as a page: %s", error_text(error))
        if row:
            self._tracker.log_row({**row, keys.STEP_KEY: max(step for _, step in last.values())})

    def close(self) -> None:
        """Log what isn't logged yet, before the run is finished."""
        self.log_pages()
        self.log_rows()
        if self._tables is not None:
            self._tables.close()

    def _write_rows(self, measured: Measured, step: int) -> None:
        from .graded_rows import GradedRowsFile

        assert measured.report is not None
        row = {keys.trainer_key(name): value for name, value in measured.metrics.items()}
        accuracy = keys.trainer_key(f"{measured.split}_{keys.GROUNDING_ACCURACY}")
        best = self._tracker.best.is_better(accuracy, row) or not accuracy.startswith("eval/")
        self._has_new_rows = True
        try:
            GradedRowsFile(self._rows_folder, fit_file_name(measured.split)).write(measured.report, step, best=best)
        except OSError as error:
            if not self._rows_lost and not self._tracker.connection.disk_is_full():
                logger.warning(
                    "The graded rows are not kept: %s can't be written to: %s", _shown(error), error_text(error)
                )
            self._rows_lost = True


def _shown(error: OSError) -> str:
    return shown(Path(error.filename)) if error.filename else "the run's folder"
