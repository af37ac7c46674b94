"""The demo: drawn screens, tiny Qwen-VL models, and what trains the checkpoints in `configs/demo/`."""
