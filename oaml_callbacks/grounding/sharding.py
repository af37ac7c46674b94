"""Models whose parameters are spread over the ranks: how they are told, and what their `generate` needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .model_state import base_model, unwrapped

if TYPE_CHECKING:
    import torch


class Sharding:
    """How a model's parameters lie, which decides how the ranks may share the work.

    A whole copy on each rank (DDP): each generates by itself. Fully sharded (torch's `fully_shard`, FSDP 1, DeepSpeed
    ZeRO-3): every rank gathers the others' parts in each forward pass, so that all must generate at the same time, for
    as many steps (`synced_gpus`), and a rank without a batch generates for a stand-in. Sharded in any other way
    (tensor parallel, several mesh dimensions): all ranks take every batch together.

    Args:
        model: As the Trainer has it.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        import torch.distributed as dist

        self.synced = self.shares = False
        self._fully: list[Any] = []
        self._fsdp1: torch.nn.Module | None = None
        if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
            return
        from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel
        from torch.distributed.tensor import DTensor

        self._fully = [module for module in model.modules() if isinstance(module, FSDPModule)]
        self._fsdp1 = next((m for m in model.modules() if isinstance(m, FullyShardedDataParallel)), None)
        meshes = [p.device_mesh.ndim for p in model.parameters() if isinstance(p, DTensor)]
        zero3 = any(hasattr(parameter, "ds_id") for parameter in model.parameters())
        self.synced = bool(meshes or zero3 or self._fsdp1 is not None)
        self.shares = not meshes or (bool(self._fully) and max(meshes) == 1)

    @contextmanager
    def gathered(self, model: torch.nn.Module) -> Iterator[None]:
        """Around `generate`, whose forward passes begin inside the outermost module."""
        if self._fsdp1 is not None:
            from torch.distributed.fsdp import FullyShardedDataParallel

            # As transformers' Seq2SeqTrainer does.
            with FullyShardedDataParallel.summon_full_params(self._fsdp1, writeback=False):
                yield
        elif self._fully:
            with self._as_forward(unwrapped(model)):
                yield
        else:
            yield

    @contextmanager
    def _as_forward(self, model: Any) -> Iterator[None]:
        """Let `model.generate` gather what `model.forward` would: an adapter's wrapper passes its own forward by.

        It also keeps the outermost module the first that torch meets, without which training could not begin.
        """
        from torch.distributed.fsdp import FSDPModule, register_fsdp_forward_method

        wrapper = isinstance(model, FSDPModule) and model is not base_model(model)
        own = vars(model).get("generate")
        if wrapper:
            register_fsdp_forward_method(model, "generate")
        try:
            yield
        finally:
            if wrapper and own is not None:
                model.generate = own
            elif wrapper:
                del model.generate
            for module in self._fully:
                module.reshard()  # the outermost keeps its parameters after a forward pass
