"""[`EndLink`]: the best adapter, linked to the registry when a training has ended; or the command that does it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from .best_adapter import BestAdapter
from .options import AdapterOptions
from .registry import RegistryError, link, link_command

logger = logging.getLogger(__name__)


class EndLink:
    """Links the best adapter of a training.

    Args:
        options: Where to, and from which accuracy on.
        is_trial: It is one of many trials: which of them is the best isn't known before all have ended.
        strict: Raise where linking fails.

    Attributes:
        linked: The linked version's name.
        command: What links it later, where it couldn't be linked.
    """

    def __init__(self, options: AdapterOptions, *, is_trial: bool, strict: bool) -> None:
        self.linked: str | None = None
        self.command: str | None = None
        self._options = options
        self._is_trial, self._strict = is_trial, strict

    def link(
        self,
        source: str,
        best: BestAdapter,
        exit_code: int,
        seconds: float,
        *,
        is_logged: bool,
        digest: str | None,
        api: Callable[[], Any],
    ) -> None:
        """Link it, if it is to be linked.

        Args:
            source: The best version's name.
            best: The best evaluation.
            exit_code: How the training ended; 0 finished.
            seconds: How long it may take; 0 where the run isn't on the server.
            is_logged: Whether the best version is the best evaluation's; else it is an older one's, or there is none.
            digest: W&B's digest of the best version, if it was logged in this part of the training.
            api: Makes W&B's client.

        Raises:
            RegistryError: `strict`, and it can't be linked.
        """
        target, threshold = self._options.registry, self._options.registry_threshold
        if target is None:
            return
        if best.step is None:
            logger.warning("Nothing is linked to %s: no evaluation says which adapter is the best.", target)
            return
        if threshold is not None:
            if best.accuracy is None:
                logger.warning("Nothing is linked to %s: the accuracy of the best adapter was not measured.", target)
                return
            if not best.accuracy > threshold:
                told = "Nothing is linked to %s: the best accuracy, %s, isn't above %s."
                logger.info(told, target, best.accuracy, threshold)
                return
        if not is_logged:
            told = f"Nothing is linked to {target}: the best adapter, of step {best.step}, was not logged"
            logger.warning("%s.", told)
            self._raise(told, exit_code)
            return
        reason = self._in_the_way(exit_code, seconds)
        if reason is None:
            try:
                self.linked = link(source, target, timeout=seconds, digest=digest, api=api)
            except RegistryError as error:
                reason = str(error)
            else:
                logger.info("The best adapter is linked: %s", self.linked)
                return
        self.command = link_command(source, target)
        logger.warning("The best adapter is not linked (%s). Link it with: %s", reason, self.command)
        self._raise(f"The best adapter is not linked ({reason}). Link it with: {self.command}", exit_code)

    def _raise(self, told: str, exit_code: int) -> None:
        if self._strict and exit_code == 0 and not self._is_trial:
            raise RegistryError(told)

    def _in_the_way(self, exit_code: int, seconds: float) -> str | None:
        if self._is_trial:
            return "it is one of several trials"
        if exit_code != 0:
            return "the training did not come to its end"
        return "the run is offline, or not on the server as a whole" if seconds <= 0 else None
