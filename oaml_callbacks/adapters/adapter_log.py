"""[`AdapterLog`]: the adapters of one training, logged to its W&B run. World rank 0 alone has one."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import keys
from ..artifact_sender import ArtifactSender, api_of
from ..clean_text import error_text, one_line
from ..values import fit_file_name, shown
from .adapter_files import CONFIG, WEIGHTS, AdapterError, adapter_files, check_weights, read_config, read_object
from .best_adapter import BestAdapter
from .end_link import EndLink
from .facts import CardFacts, adapter_config, adapter_name, card_facts, evaluated_at, main_evaluation
from .model_card import section_text, write_card
from .moment import Moment, adapter_in
from .options import AdapterOptions
from .staging import MAX_STAGED_BYTES, Staged, Staging, digests

if TYPE_CHECKING:
    import wandb

    from ..wandb_logger import WandbLogger

logger = logging.getLogger(__name__)

ARTIFACT_TYPE = "model"

STEP_ALIAS = re.compile(r"step-\d+")
"""The alias that each version gets from here: it keeps none from being deleted."""

MAX_WARNINGS = 20
"""Different things that are warned of."""

LINK_SECONDS = 20.0
"""How long the end waits for the registry, within `finish_timeout`."""

TIDY_SECONDS = 3.0
"""How long it waits for old versions to be deleted."""


class AdapterLog:
    """Logs a training's adapter: which ones, and when, say the options.

    The artifact `adapter-<run id>` gets a version with the adapter's weights and config, its processor and its card.
    Files are copied into the run's folder first: the Trainer removes its checkpoints, and an offline run is sent
    later. Nothing waits for the server. The same adapter is logged once: then only its aliases move.

    The best evaluation is the Trainer's, where `metric_for_best_model` is set; else the most accurate one, by the rule
    of the summary's `best/*`. It may have no checkpoint: then the adapter is saved from the model, before its next
    step.

    Args:
        tracker: The run.
        run: The same, as W&B has it.
        options: What is logged.
        sets: Each evaluation set's facts, its `fingerprint` among them; others fill it.
        is_trial: It is one of many trials, of which none is linked to a registry.

    Attributes:
        artifact_name: `ENTITY/PROJECT/adapter-ID`, once something is logged.
        link: The best version's link to the registry.
    """

    def __init__(
        self,
        tracker: WandbLogger,
        run: wandb.Run,
        options: AdapterOptions,
        sets: Mapping[str, Mapping[str, Any]],
        *,
        is_trial: bool = False,
    ) -> None:
        self.options = options
        self.artifact_name: str | None = None
        self.link = EndLink(options, is_trial=is_trial, strict=tracker.connection.strict)
        self._tracker = tracker
        self._run = run
        self._sets = sets
        self._sender = ArtifactSender(run, passing=STEP_ALIAS)
        self._staging = Staging(Path(run.dir).parent / "adapters", max_bytes=MAX_STAGED_BYTES)
        self._best = BestAdapter(tracker)
        self._best_digest: str | None = None
        self._best_is_missing = False  # it was not logged, so that `best` is still an older one's name
        self._pending: int | None = None  # the best evaluation's step, whose adapter isn't had yet
        self._last: Staged | None = None
        self._last_step: int | None = None  # of this training
        self._waiting: dict[str, tuple[Staged, CardFacts, set[str]]] = {}
        self._saved: dict[int, Path] = {}  # the newest checkpoint of this training
        self._told: set[str] = set()
        self._final: tuple[CardFacts, str | None] | None = None
        self._closed = False

    # The training's events -----------------------------------------------------------------------------------------

    def begins(self) -> None:
        """Take note that a training begins at its first step: those of one before it were called the same."""
        self._best.begins()
        self._saved = {}
        self._pending = self._last_step = None

    def evaluated(self, moment: Moment, metrics: Mapping[str, Any]) -> None:
        """Take note of an evaluation: is it the best so far?"""
        step = moment.state.global_step
        checkpoint = self._saved.get(step)
        if checkpoint is not None:  # saved before it was evaluated: its card lacks the figures
            self.write_card(moment, checkpoint)
        if not self._best.improves(moment, metrics):
            return
        self._pending = self._best_digest = None
        self._best_is_missing = True
        if self.options.when not in ("best", "checkpoint"):
            return
        if checkpoint is not None:
            self._log_checkpoint(moment, checkpoint, step, best=True)
        elif moment.has_adapter:
            self._pending = step

    def saved(self, moment: Moment) -> None:
        """Take note of a checkpoint: write its card, and log its adapter if it is to be logged."""
        step, checkpoint = moment.state.global_step, moment.checkpoint()
        if checkpoint is None:
            return
        self._saved = {step: checkpoint}
        self.write_card(moment, checkpoint)
        best, self._pending = self._pending == step, None
        if self.options.when == "checkpoint" or (best and self.options.when == "best"):
            self._log_checkpoint(moment, checkpoint, step, best=best)

    @property
    def is_pending(self) -> bool:
        """Whether the best evaluation's adapter isn't had yet."""
        return self._pending is not None

    def goes_on(self, moment: Moment) -> None:
        """Take note that the model is about to change: what is to be had of it is to be had now."""
        if self._pending is not None:
            step, self._pending = self._pending, None
            self._log_model(moment, step, best=True)

    def ended(self, moment: Moment) -> None:
        """Take note that the training has come to its end, with the model that it leaves behind."""
        loaded = moment.loaded_checkpoint
        step = moment.state.global_step if loaded is None else moment.step_of(loaded)
        if loaded is None:
            self.goes_on(moment)
        self._pending = None
        self._best.take_up(moment)
        when = self.options.when
        nothing = when == "checkpoint" and self._last_step is None and not self._waiting
        if when == "best" and self._best.step is None:
            nothing = True
            self._warn("no evaluation says which adapter is the best: the last one is logged")
        if when == "end" or nothing:
            checkpoint, best = self._saved.get(step) or loaded, self._best.is_at(step)
            if moment.is_sharded and checkpoint is not None:
                self._log_checkpoint(moment, checkpoint, step, best=best)
            else:
                self._log_model(moment, step, best=best)
        if moment.has_adapter:
            self._final = (self._facts(moment, step), adapter_name(moment.model))
        self.flush()

    def write_final_card(self, folder: Path) -> None:
        """Write the card of the training's end beside an adapter; nothing where there is none, or no end was."""
        if self._final is not None and (place := adapter_in(folder, self._final[1])) is not None:
            self._write_card(place, self._final[0])

    def write_card(self, moment: Moment, folder: Path, *, step: int | None = None) -> None:
        """Write the card beside an adapter; nothing where there is none."""
        place = moment.adapter_in(folder)
        if place is not None and moment.has_adapter:
            self._write_card(place, self._facts(moment, moment.state.global_step if step is None else step))

    def unless_it_fails(self, event: Callable[[], None]) -> None:
        """Take note of an event; whatever fails then is one warning. What `strict` raises is raised."""
        try:
            event()
        except Exception as error:
            if self._tracker.connection.strict:
                raise
            self._warn(f"an adapter is not logged: {error_text(error)}")

    def _write_card(self, place: Path, facts: CardFacts) -> None:
        try:
            write_card(place, facts)
        except Exception as error:  # noqa: BLE001 - it is for reading; nothing of it may end a training
            self._warn(f"an adapter has no model card of this run's: {error_text(error)}")

    def close(self, exit_code: int, seconds: float) -> None:
        """After the run's end: delete what is too old, and link the best version, as far as there is time.

        Args:
            exit_code: How the training ended; 0 finished.
            seconds: How long it may take.

        Raises:
            RegistryError: `strict`, and it can't be linked.
        """
        if self._closed:
            return
        self._closed = True
        connection = self._tracker.connection
        arrived = connection.state in ("online", "finished") and not connection.unsent and seconds >= 1
        if arrived:
            self._sender.wait(seconds / 4)
            self._sender.tidy()  # once more, now that all is there
        self.link.link(
            f"{self._full_name()}:best",
            self._best,
            exit_code,
            min(LINK_SECONDS, seconds / 2) if arrived else 0.0,
            is_logged=not self._best_is_missing,
            digest=self._best_digest,
            api=lambda: api_of(self._run),
        )
        if arrived:
            self._sender.wait(min(TIDY_SECONDS, seconds / 4))

    def flush(self) -> None:
        """Log what waits to be logged; to be called before the run is finished."""
        waiting, self._waiting = self._waiting, {}
        for staged, facts, aliases in sorted(waiting.values(), key=lambda one: one[1].step):
            if staged.digest is None:
                self._send(facts.step, staged, facts, aliases)

    def described(self) -> dict[str, str]:
        """What the run's folder is to tell of it."""
        told = {
            "adapter": self.artifact_name,
            "registry_link": self.link.linked,
            "registry_command": self.link.command,
        }
        return {name: text for name, text in told.items() if text is not None}

    # Logging ---------------------------------------------------------------------------------------------------------

    def _log_checkpoint(self, moment: Moment, checkpoint: Path, step: int, *, best: bool) -> None:
        place = moment.adapter_in(checkpoint)
        if not moment.has_adapter:
            self._tell_of_no_adapter()
        elif place is None or not (place / WEIGHTS).is_file():
            if moment.is_sharded:
                self._warn(f"{shown(checkpoint)} has no {WEIGHTS}: its adapter isn't logged")
            else:  # saved as a pickle, for one
                self._log_model(moment, step, best=best)
        else:
            files = {**adapter_files(checkpoint), **adapter_files(place)}
            self._log(moment, step, lambda: self._staging.copy(files, f"step-{step}"), best=best)

    def _log_model(self, moment: Moment, step: int, *, best: bool) -> None:
        """Log the adapter as the model has it now."""
        if not moment.has_adapter:
            self._tell_of_no_adapter()
        elif moment.is_sharded:
            self._warn("the model is sharded: only adapters of its checkpoints can be logged")
        else:
            self._log(moment, step, lambda: self._save(moment, step), best=best)

    def _save(self, moment: Moment, step: int) -> Staged:
        from ..grounding.model_state import unwrapped

        place = self._staging.place(f"step-{step}")
        try:
            unwrapped(moment.model).save_pretrained(str(place), safe_serialization=True)
            inner = moment.adapter_in(place)
            if inner is not None and inner != place:
                for path in inner.iterdir():
                    path.replace(place / path.name)
            if moment.processor is not None:
                moment.processor.save_pretrained(str(place))
            self.write_card(moment, place, step=step)
            return self._staging.take(place, digests(adapter_files(place)))
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise

    def _log(self, moment: Moment, step: int, stage: Callable[[], Staged], *, best: bool) -> None:
        """Log what `stage` makes. What fails here fails with a warning, and what fails in W&B as the run has it."""
        if moment.dying:
            return
        aliases = {"latest", f"step-{step}"} | ({"best"} if best else set())
        if self._last is not None and self._last_step == step and aliases <= self._last.aliases:
            return
        try:
            staged = stage()
            if self._last is not None and staged.holds_the_same_as(self._last):
                staged.remove()
                staged = self._last
            else:
                self._check(staged)
            facts = self._facts(moment, step)
        except Exception as error:  # noqa: BLE001 - a full disk, an adapter that can't be saved: the training goes on
            self._warn(f"the adapter of step {step} is not logged: {error_text(error)}")
            return
        if staged.digest is None and not self._staging.make_room_for(staged, arrived=self._sender.arrived):
            self._let_wait(staged, facts, aliases)
        else:
            self.flush()  # in their order: a name is its last one's
            self._send(step, staged, facts, aliases)

    def _check(self, staged: Staged) -> None:
        """Refuse weights that aren't an adapter's alone, and whole; where nobody could pull one, say so."""
        config = staged.folder / CONFIG
        try:
            check_weights(staged.folder / WEIGHTS, read_object(config))
        except BaseException:
            staged.remove()
            raise
        try:
            read_config(config)
        except AdapterError as error:
            self._warn(f"`oaml adapter pull` will not take this adapter: {error}", of="pull")

    def _send(self, step: int, staged: Staged, facts: CardFacts, aliases: set[str]) -> None:
        import wandb

        try:
            artifact = wandb.Artifact(
                artifact_name(facts.run_id),
                type=ARTIFACT_TYPE,
                description=section_text(facts),
                metadata=facts.metadata(staged.sha256),
            )
            for name, path in staged.files.items():
                artifact.add_file(str(path), name, policy="immutable", skip_cache=True)
        except Exception as error:  # noqa: BLE001 - as in `_log`
            self._warn(f"the adapter of step {step} is not logged: {error_text(error)}")
            return
        keep = self.options.keep_last

        def send(run: wandb.Run) -> bool:
            self._sender.send(artifact, aliases=sorted(aliases), keep=keep)
            return True

        if self._tracker.connection.write(send):
            staged.digest = artifact.digest
            self._staging.logged(staged, aliases)
            self._last, self._last_step = staged, step
            if "best" in aliases:
                self._best_digest, self._best_is_missing = staged.digest, False
            self.artifact_name = self._full_name()

    def _let_wait(self, staged: Staged, facts: CardFacts, aliases: set[str]) -> None:
        """Beyond the limit: of what isn't logged yet, keep the newest, and the best."""
        self._warn(
            f"{shown(self._staging.folder)} holds {self._staging.max_bytes / 2**30:g} GB of adapters. Of further ones "
            "the best and the newest are kept, and logged when the training ends"
        )
        before = list(self._waiting.values())
        for slot in ("best", "latest"):
            if slot in aliases:
                self._waiting[slot] = (staged, facts, aliases)
        still = [one[0] for one in self._waiting.values()]
        for one, _, _ in before:
            if one not in still:
                one.remove()

    # Inside ----------------------------------------------------------------------------------------------------------

    def _facts(self, moment: Moment, step: int) -> CardFacts:
        tracker, summary = self._tracker, self._tracker.summary
        metric = moment.metric
        evaluated = main_evaluation(evaluated_at(moment.state.log_history, step), metric)
        prefix = keys.set_prefix(evaluated.split)
        compared = (keys.GROUNDING_ACCURACY, keys.GROUNDING_DISTANCE)
        baseline = {name: summary.get(f"baseline/{prefix}{name}") for name in compared}
        links = {**tracker.links, **({"run_url": tracker.url} if tracker.url else {})}
        return card_facts(
            moment.args,
            moment.state,
            moment.model,
            step=step,
            metric=metric or f"{evaluated.split}_{keys.GROUNDING_ACCURACY}",
            baseline={name: value for name, value in baseline.items() if value is not None},
            fingerprint=self._sets.get(one_line(evaluated.split), {}).get("fingerprint"),
            run_id=tracker.run_id or "",
            run_name=tracker.name,
            links=links,
        )

    def _full_name(self) -> str:
        name = artifact_name(self._tracker.run_id or "")
        return "/".join(filter(None, (self._tracker.entity, self._tracker.project, name)))

    def check(self, model: Any) -> None:
        """Say at once, if there will be nothing to log."""
        if self.options.when is not None and adapter_config(model) is None:
            self._tell_of_no_adapter()

    def _tell_of_no_adapter(self) -> None:
        self._warn("the model has no LoRA adapter, and whole models are not uploaded: nothing of it is logged")

    def _warn(self, what: str, *, of: str | None = None) -> None:
        if (of or what) not in self._told and len(self._told) < MAX_WARNINGS:
            self._told.add(of or what)
            logger.warning("W&B: %s.", what.rstrip("."))


def artifact_name(run_id: str) -> str:
    """What W&B calls a run's adapter."""
    return f"adapter-{fit_file_name(run_id)}"
