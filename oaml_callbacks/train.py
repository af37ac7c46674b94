"""The reference training run: model, LoRA, data, Trainer and callback, put together from a configuration."""

from __future__ import annotations

import logging
import math
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import keys
from .config import ConfigError, RunConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from transformers import TrainerState

    from .callback import OpenAdaptWandbCallback

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationRow:
    """One evaluation. `None` stands for what was not measured, and for a distance without a readable click.

    Args:
        step: Optimizer steps done; 0 for the base model.
        loss: Mean loss over the evaluation set.
        accuracy: Share of clicks in their target's box, 0-1.
        distance: Mean distance to the targets' centres, as a share of the screen, 0-√2.
        parsed: Share of answers with a readable click, 0-1.
    """

    step: int
    loss: float | None
    accuracy: float | None
    distance: float | None
    parsed: float | None


@dataclass(frozen=True)
class TrainingResult:
    """What a run left behind.

    Args:
        adapter: Where the adapter was saved.
        best_checkpoint: The best checkpoint by `metric_for_best_model`, if there is one.
        evaluations: The base model first, if it was measured, then one row per evaluation.
        run_id: The W&B run's id; this and what follows is `None` or empty for a run without W&B.
        run_url: Its page at W&B; `None` offline.
        run_folder: Where W&B keeps it on disk.
        links: Its `viewer_url` and `dashboard_url`.
        view_command: What shows its clicks in a browser.
        look_command: What shows its files in a terminal.
        sync_command: What sends an offline run to W&B.
        adapter_artifact: The adapter's artifact, `ENTITY/PROJECT/adapter-ID`, if it was logged.
        registry_link: The version in the registry that the best adapter was linked as.
        registry_command: What links it, where that couldn't be done.
    """

    adapter: Path
    best_checkpoint: Path | None
    evaluations: Sequence[EvaluationRow]
    run_id: str | None
    run_url: str | None
    run_folder: Path | None
    links: Mapping[str, str]
    view_command: str | None
    look_command: str | None
    sync_command: str | None
    adapter_artifact: str | None = None
    registry_link: str | None = None
    registry_command: str | None = None


def run_training(
    config: RunConfig, *, wandb: bool = False, resume: bool = False, overwrite: bool = False
) -> TrainingResult:
    """Train a LoRA adapter as `config` says, and save it.

    In a trial of a W&B sweep all is saved in `<sweep id>/<run id>` below the folders that `config` names, and a trial
    that has checkpoints there is gone on with.

    Args:
        config: From [`oaml_callbacks.config.load_config`].
        wandb: Track the run in Weights & Biases, as `training.report_to: wandb` does.
        resume: Go on from the newest checkpoint in the output folder; from the first step if there is none.
        overwrite: Remove the checkpoints that an earlier run left in the output folder, once this one can begin.

    Raises:
        ConfigError: The configuration asks for something that isn't here or that contradicts itself.
        SampleFileError: A data file has a line that can't be used, or names a picture that doesn't exist.
        TrainingInterrupted: Ctrl-C. A checkpoint was saved first, if a step had begun; the W&B run is marked.
    """
    from transformers import Trainer, set_seed

    from .processors import load_processor
    from .sft import SFTCollator, SFTDataset
    from .sweeps.in_sweep import as_trial, trial_folder
    from .sweeps.stop_callback import StopWithSweep
    from .train_callbacks import CheckpointOnInterrupt, EarlyStopOnLoss, EvaluateLast, TrainingInterrupted
    from .train_setup import check_possible, load_data, load_model, training_arguments

    config = as_trial(config)
    check_possible(config, wandb=wandb)
    for notice in config.notices():
        logger.warning("%s", notice)
    train_rows, eval_rows, grounding = load_data(config)
    args = training_arguments(config, wandb=wandb, evaluates=bool(eval_rows), grounds=grounding is not None)
    output_dir = Path(str(args.output_dir))
    adapter = Path(config.lora.weights_path or output_dir / "final")
    with args.main_process_first(desc="look for checkpoints"):
        start = _starting_point(output_dir, resume=resume or trial_folder() is not None, overwrite=overwrite)
        # Now, and not after hours of training.
        _make_folder("training.output_dir", output_dir)
        _make_folder("lora.weights_path", adapter)
    callback = _callback(config, grounding)
    set_seed(args.seed)  # before the adapter's weights are drawn
    try:
        processor = load_processor(
            config.model_source(),
            min_pixels=config.model.min_pixels,
            max_pixels=config.model.max_pixels,
            revision=config.model.revision or "main",
        )
        model = load_model(config, args)
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"model.name: {config.model.name} can't be loaded: {error}") from error
    interrupts, stops = CheckpointOnInterrupt(), StopWithSweep()
    trainer = Trainer(
        model=model,
        args=args,
        train_dataset=SFTDataset(train_rows),
        eval_dataset=SFTDataset(eval_rows) if eval_rows else None,
        data_collator=SFTCollator(processor),
        processing_class=processor,
        callbacks=[callback, EarlyStopOnLoss(config.early_stopping), EvaluateLast(), interrupts, stops],
    )
    exit_code = 1
    try:
        if overwrite and start is None and args.should_save:
            for checkpoint in _checkpoints(output_dir):
                shutil.rmtree(checkpoint)
        trainer.train(resume_from_checkpoint=str(start) if start else None)
        interrupts.release()
        stops.release()
        trainer.save_model(str(adapter))
        exit_code = 0
    except KeyboardInterrupt:
        exit_code = 255
        raise TrainingInterrupted(trainer.state.global_step, interrupts.checkpoint or start) from None
    finally:
        interrupts.release()
        stops.release()
        callback.close(exit_code)
    return training_result(trainer.state, callback, adapter)


def _callback(config: RunConfig, grounding: Any) -> OpenAdaptWandbCallback:
    from .callback import OpenAdaptWandbCallback

    try:
        return OpenAdaptWandbCallback(
            grounding=grounding,
            **config.grounding.model_dump(include={"baseline", "max_rows", "max_media_mb", "embeddings", "embed"}),
            config=config.as_given(),
            **config.wandb.model_dump(),
        )
    except ValueError as error:
        raise ConfigError(f"wandb: {error}") from error


def newest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the most steps in `folder` that is complete: the Trainer writes `trainer_state.json` last."""
    complete = [checkpoint for checkpoint in _checkpoints(folder) if (checkpoint / "trainer_state.json").is_file()]
    return max(complete, key=lambda checkpoint: int(checkpoint.name.split("-")[1]), default=None)


def _checkpoints(folder: Path) -> list[Path]:
    """The Trainer's own checkpoints, and no folder that somebody has renamed to keep it."""
    named = [path for path in folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
    return [path for path in named if path.is_dir() and not path.is_symlink()]


def _make_folder(key: str, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{key}: {folder} can't be made: {error.strerror or error}") from None


def _starting_point(output_dir: Path, *, resume: bool, overwrite: bool) -> Path | None:
    newest = newest_checkpoint(output_dir)
    if resume:
        if newest is None:
            logger.info("There is no checkpoint in %s yet: starting from the first step.", output_dir)
        else:
            logger.info("Going on from %s.", newest)
        return newest
    if newest is not None and not overwrite:
        # Among another run's checkpoints the Trainer deletes the wrong ones, and --resume would take the wrong one.
        raise ConfigError(
            f"{newest} is there from an earlier run. Go on from it with --resume, remove the earlier checkpoints with "
            "--overwrite, or train elsewhere with --output-dir."
        )
    return None


def training_result(state: TrainerState, callback: OpenAdaptWandbCallback, adapter: Path) -> TrainingResult:
    """What a training has left behind.

    Args:
        state: Its Trainer's, at the end.
        callback: What tracked it.
        adapter: Where the adapter was saved.
    """
    rows = [] if callback.baseline is None else [_row(0, callback.baseline.metrics)]
    for entry in state.log_history:
        metrics = {name.removeprefix("eval_"): value for name, value in entry.items() if name.startswith("eval_")}
        if metrics:
            rows.append(_row(int(entry["step"]), metrics))
    best = state.best_model_checkpoint
    return TrainingResult(
        adapter=adapter,
        best_checkpoint=Path(best) if best else None,
        evaluations=rows,
        run_id=callback.run_id,
        run_url=callback.run_url,
        run_folder=callback.run_folder,
        links=callback.links,
        view_command=callback.view_command,
        look_command=callback.look_command,
        sync_command=callback.sync_command,
        adapter_artifact=callback.adapter_artifact,
        registry_link=callback.registry_link,
        registry_command=callback.registry_command,
    )


def _row(step: int, metrics: Mapping[str, Any]) -> EvaluationRow:
    distance = metrics.get(keys.GROUNDING_DISTANCE)
    return EvaluationRow(
        step=step,
        loss=metrics.get("loss"),
        accuracy=metrics.get(keys.GROUNDING_ACCURACY),
        distance=distance if distance is not None and math.isfinite(distance) else None,
        parsed=metrics.get(keys.GROUNDING_PARSED),
    )
