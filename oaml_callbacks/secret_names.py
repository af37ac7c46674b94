"""Which names say that their value is a secret: `api_key` and `HF_TOKEN` do, `pad_token_id` doesn't.

Names are taken apart into words, at separators and at capitals, since in this field most names with `token` in them
are about text: the rules below tell the two meanings apart by the words beside it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, TypeAlias

Strength: TypeAlias = Literal["certain", "likely"]
"""`"likely"` names, such as `token` alone, may have innocent values: numbers."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

_MAX_NAME = 200


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ALONE = _words(
    "secret secrets password passwords passwd passphrase passcode pwd credential credentials creds authorization "
    "cookie cookies apikey apikeys apitoken privatekey accesskey accesstoken secretkey authtoken refreshtoken"
)
_ENDINGS = ("password", "passwd", "passphrase", "apikey")  # `PGPASSWORD`
_KEY_OF = _words(
    "api access private secret signing signature encryption ssh account master service subscription auth shared hmac "
    "rsa license write admin deploy app client"
)
_SECRET_TOKEN = _words(
    "access api app auth bearer bot csrf deploy device github gitlab hf hub huggingface id jwt login oauth personal "
    "private refresh secret security service session slack wandb xsrf"
)
_INNOCENT_TOKEN = _words(
    "added audio begin boi bos bov box by class cls current decoder distill draft each eoi eom eos eot eov end extra "
    "fim first generated global image img input label last latent mask max media middle min n new newline next num "
    "object one output pad padding per placeholder point predicted prefix prev previous prompt quad ref register sep "
    "separator single special speech split start stop suffix target text the think tool unk unknown video vision "
    "visual"
)
_INNOCENT_PASS = _words("backward by first forward last multi num number one second single two")

# `credentials_file`, `password_length`, `token_type`: about a secret, and not one.
_ABOUT = _words(
    "accuracy backend class count dir directory enabled env expires expiry field file filename files helper len "
    "length loss manager mode name names path paths policy prompt provider required store timeout ttl type url "
    "variable version"
)


def secret_strength(name: str) -> Strength | None:
    """Whether a key, parameter or variable of this name holds a secret; `None` if nothing says so."""
    return _strength(name if len(name) <= _MAX_NAME else name[-_MAX_NAME:])


@lru_cache(maxsize=4096)
def _strength(name: str) -> Strength | None:
    words = [word.lower() for word in _WORD.findall(name)]
    if not words or words[-1] in _ABOUT:
        return None
    if _is_certain(words):
        return "certain"
    before, last = ["", *words][-2:]
    likely = (last == "token" and before not in _INNOCENT_TOKEN) or (
        last in ("pass", "pw") and before not in _INNOCENT_PASS
    )
    return "likely" if likely else None


def _is_certain(words: list[str]) -> bool:
    if words[-1] == "auth" or not _ALONE.isdisjoint(words) or any(word.endswith(_ENDINGS) for word in words):
        return True
    for before, word, after in zip(words, words[1:], [*words[2:], ""], strict=False):
        if word in ("key", "keys") and before in _KEY_OF:
            return True
        if word in ("token", "tokens") and before in _SECRET_TOKEN and after in ("", "value", "key", "header"):
            return True
    return False
