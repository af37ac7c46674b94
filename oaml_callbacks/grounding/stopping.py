"""Generation that ends where an answer does: at its end token, or once nothing that follows could change it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from .actions import AnswerReader

# An answer comes to its end with a bracket, a quote or a new line: tokens of words and numbers need not be looked at.
# What is complete stays so, whatever follows, so that a look that is left out is a few tokens lost and nothing else.
_MAY_COMPLETE = re.compile(r"[^\w .,+-]")


class CompleteAnswers:
    """A stopping criterion of transformers' `generate`, row by row; and the answers, read off what was generated.

    What it costs is a look at each row's newest token. A row is decoded only where that token may complete it.

    Args:
        reader: Knows when an answer is complete.
        tokenizer: The model's.
        prompt_length: Tokens before the answers; the same for all rows, padding counted.
        end_tokens: Ids of the tokens that end an answer.
    """

    def __init__(self, reader: AnswerReader, tokenizer: Any, *, prompt_length: int, end_tokens: list[int]) -> None:
        self._reader = reader
        self._tokenizer = tokenizer
        self._prompt_length = prompt_length
        self._end_tokens = frozenset(end_tokens)
        self._may_complete: dict[int, bool] = {}
        self._lengths: dict[int, int] = {}  # of the rows that are done, in tokens without the end token
        self._error: Exception | None = None

    def __call__(self, input_ids: torch.Tensor, scores: Any = None, **kwargs: Any) -> torch.Tensor:
        """Which rows are done, as a boolean tensor of shape `(rows,)`."""
        import torch

        length = input_ids.shape[1] - self._prompt_length
        for row, token in enumerate(input_ids[:, -1].tolist()):
            if row in self._lengths:
                continue
            if token in self._end_tokens:
                self._lengths[row] = length - 1
            elif self._looks(token) and self._is_complete(input_ids[row, self._prompt_length :]):
                self._lengths[row] = length
        done = [row in self._lengths for row in range(input_ids.shape[0])]
        return torch.tensor(done, device=input_ids.device, dtype=torch.bool)

    def answers(self, generated: torch.Tensor) -> list[tuple[str, bool]]:
        """Each row's text, and whether it came to its end by itself.

        Special tokens stay in it, but for the one that ends it: Qwen2-VL's boxes are made of them.

        Args:
            generated: What `generate` returned, prompts included.
        """
        if self._error is not None:
            raise self._error
        rows = generated[:, self._prompt_length :].tolist()
        return [(self._decode(row[: self._lengths.get(i)]), i in self._lengths) for i, row in enumerate(rows)]

    def _looks(self, token: int) -> bool:
        found = self._may_complete.get(token)
        if found is None:
            found = self._may_complete[token] = _MAY_COMPLETE.search(self._decode([token])) is not None
        return found

    def _is_complete(self, tokens: torch.Tensor) -> bool:
        try:
            return self._error is None and self._reader.is_complete(self._decode(tokens.tolist()))
        except Exception as error:  # noqa: BLE001 -- raised by answers(): here, other ranks would wait in the model
            self._error = error
            return False

    def _decode(self, tokens: list[int]) -> str:
        text = self._tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return str(text)
