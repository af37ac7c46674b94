"""LoRA adapters: what a run logs of its own, its model card, the registry, and fetching one."""
