"""See in Weights & Biases how well a vision-language model clicks, while it is fine-tuned."""

__version__ = "0.1.0"
