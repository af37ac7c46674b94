"""What must not leave the machine, taken out of what does: [`redacted`] for values, [`redacted_text`] for text.

Taken out are values under names that say so (`api_key`, `HF_TOKEN`; see `secret_names`), credentials in URLs,
`Authorization` values, tokens of well-known shapes, and, wherever they stand, the values of this process's secret
environment variables and of `~/.netrc`. The home directory becomes `~`.

What is no secret by any of these (a password in the middle of a sentence) can't be told from other text.
"""

from __future__ import annotations

import dataclasses
import netrc
import os
import re
import time
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from numbers import Number
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .secret_names import secret_strength

HIDDEN = "***"
"""What stands in a secret's place."""

MIN_VALUE = 8
"""Characters of an environment variable's value from which on it is looked for everywhere: shorter ones are words."""

REMEMBERED_SECONDS = 10.0
"""How long `~/.netrc` isn't read again; a change of the environment is seen at once."""

MAX_DEPTH = 40
"""Levels of nesting that are copied; what lies deeper is left out, as would a structure that holds itself."""

TOKENS = {
    "AWS": r"(?:AKIA|ASIA)[0-9A-Z]{16}",
    "GitHub": r"gh[pousr]_[0-9A-Za-z]{16,}|github_pat_[0-9A-Za-z_]{20,}",
    "GitLab": r"gl(?:pat|rt|dt|ptt)-[0-9A-Za-z_.-]{16,}",
    "Google": r"AIza[0-9A-Za-z_-]{30,}|ya29\.[0-9A-Za-z_-]{20,}",
    # A digit or a capital, where it is short: `hf_hub_download` and the like are names.
    "Hugging Face": r"hf_(?:[0-9A-Za-z]{24,}|(?=[a-z]*[0-9A-Z])[0-9A-Za-z]{10,})|api_org_[0-9A-Za-z]{20,}",
    "JSON web token": r"eyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{8,}(?:\.[0-9A-Za-z_-]*)?",
    "NVIDIA, Groq, npm, Replicate": r"(?:nvapi-|gsk_|npm_|r8_)[0-9A-Za-z_-]{20,}",
    "OpenAI, Anthropic, Stripe": r"[sr]k[-_](?=[0-9A-Za-z_-]*[0-9])[0-9A-Za-z_-]{16,}|sk-[0-9A-Za-z_-]{32,}",
    "PyPI": r"pypi-[0-9A-Za-z_-]{32,}",
    "SendGrid": r"SG\.[0-9A-Za-z_-]{16,}\.[0-9A-Za-z_-]{16,}",
    "Slack": r"xox[a-z]-[0-9A-Za-z-]{8,}|xapp-[0-9A-Za-z-]{8,}",
    # A key of 40 hexadecimal digits can't be told from a git commit; those are known by their value alone.
    "Weights & Biases": r"wandb_v1_[0-9A-Za-z_-]{16,}|local-[0-9a-f]{40}",
}
"""Shapes by who issues them."""

_TOKEN = re.compile(rf"(?<![0-9A-Za-z_])(?:{'|'.join(TOKENS.values())})")
# What makes a text worth looking through for them, by a character that most texts don't have.
_TOKEN_MARKS = {
    "_": (
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
        "ghr_",
        "github_pat_",
        "hf_",
        "api_org_",
        "gsk_",
        "npm_",
        "r8_",
        "k_",
        "wandb_",
    ),
    "-": ("glpat-", "glrt-", "gldt-", "glptt-", "nvapi-", "k-", "pypi-", "xox", "xapp-", "local-"),
    "": ("AKIA", "ASIA", "AIza", "ya29.", "eyJ", "SG."),
}
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_BEARER = re.compile(r"(?i)\b(bearer|basic)(\s+)(?=\S*[0-9=]|\S{24})[0-9A-Za-z._~+/-]{8,}=*")

# To the last `@` before the path, and, behind a colon that begins no port, to the first `@`: passwords have slashes.
_USER_INFO = re.compile(r"://(?!git@)(?:[^\s/?#]*@|[^\s/:@?#]*:(?![0-9]{1,5}(?:[/?#\s]|\Z))[^\s@]*@)")
_QUERY = re.compile(r"""([?&#;])([\w.%\[\]-]{1,80})=([^&#\s"'<>]+)""")
_SIGNATURES = frozenset(("sig", "signature", "x-amz-signature", "x-goog-signature", "x-amz-credential", "key"))

_STEMS = ("token", "secret", "passw", "passphrase", "passcode", "pass=", "pwd", "key", "auth", "cred", "cookie", "pw=")
_VALUE = r"""(?:bearer|basic|token|digest|negotiate|apikey)\s+\S+|\\?"[^"\n]*"?|\\?'[^'\n]*'?|[^\s"'&]+"""
_ASSIGNED = re.compile(
    rf"""(?i)(?<![\w.-])(-{{0,2}})([a-z_][\w.-]{{0,80}})(\\?["']?\s?[=:]\s?)(?:{_VALUE})""",
)
_FLAG = re.compile(rf"(?i)(?<!\S)--?([a-z][\w.-]{{0,80}})([ \t]+)(?!-)(?:{_VALUE})")
_SURROGATE = re.compile("[\ud800-\udfff]")
_NO_SECRET = re.compile(r"(?i)none|null|true|false|\*+|<\|?[\w ]*\|?>|\[[A-Z_]+\]")
_NUMBER = re.compile(r"[+-]?[0-9][0-9_.e+-]*")


def redacted(value: Any) -> Any:
    """A copy of what is about to be written, without secrets and with the home directory as `~`.

    Dicts, keys included, lists, tuples, sets, dataclasses and text are gone through; numbers stay as they are; of any
    other object its text is taken, if there is a secret in that. Dataclasses become dicts, as W&B makes them.

    Args:
        value: Anything.

    Returns:
        Equal to `value` where nothing had to go. `value` itself is not changed.
    """
    return _copy(value, 0)


def redacted_text(text: str) -> str:
    """`text` without secrets, and with the home directory as `~`.

    Halves of characters (lone surrogates), which neither UTF-8 nor W&B's protocol can hold, become `\ufffd`.
    """
    if not text.isascii():
        text = _SURROGATE.sub("\ufffd", text)
    if len(text) < 4:
        return text
    values, homes = _known()
    for secret in values:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    text = _without_shapes(_without_named(text))
    for home, pattern in homes:
        if home in text:
            text = pattern.sub("~", text)
    return text


def redacted_arguments(arguments: list[str]) -> list[str]:
    """A command line's arguments, without secrets: `--api-key X` and `--api-key=X` become `--api-key ***`."""
    cleaned = [redacted_text(argument) for argument in arguments]
    for at, argument in enumerate(arguments[:-1]):
        following = arguments[at + 1]
        if argument.startswith("-") and "=" not in argument and not following.startswith("-"):
            strength = secret_strength(argument)
            if strength is not None and _hides(following, strength):
                cleaned[at + 1] = HIDDEN
    return cleaned


# Values ----------------------------------------------------------------------------------------------------------


def _copy(value: Any, depth: int) -> Any:
    copied: Any
    if value is None or isinstance(value, (bool, Number)):
        copied = value
    elif type(value) is str:
        copied = redacted_text(value)
    elif depth > MAX_DEPTH:
        copied = f"[more than {MAX_DEPTH} levels deep]"
    elif isinstance(value, Mapping):
        copied = {
            redacted_text(key) if isinstance(key, str) else key: _copy_named(key, item, depth + 1)
            for key, item in value.items()
        }
    elif isinstance(value, (list, tuple, set, frozenset)):
        copied = _copy_sequence(value, depth)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        copied = _copy({field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}, depth)
    else:
        copied = _copy_object(value)
    return copied


def _copy_named(name: Any, value: Any, depth: int) -> Any:
    strength = secret_strength(name) if isinstance(name, str) else None
    if strength is None or value is None or isinstance(value, bool):
        return _copy(value, depth)
    if isinstance(value, Mapping) and depth <= MAX_DEPTH:
        return {_copy(key, depth): _copy_named(name, item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)) and depth <= MAX_DEPTH:
        return [_copy_named(name, item, depth + 1) for item in value]
    text = value.value if isinstance(value, Enum) else value
    return HIDDEN if _hides(str(text), strength) else _copy(value, depth)


def _copy_sequence(value: Any, depth: int) -> Any:
    if isinstance(value, (list, tuple)) and all(type(item) is str for item in value):
        items = redacted_arguments(list(value))
    else:
        items = [_copy(item, depth + 1) for item in value]
    for kind in (list, tuple, set, frozenset):
        if isinstance(value, kind):
            return items if kind is list else kind(items) if _hashable(items, kind) else items
    return items


def _hashable(items: list[Any], kind: type) -> bool:
    # A frozen dataclass in a set is a dict in the copy.
    return kind is tuple or not any(isinstance(item, (dict, list, set)) for item in items)


def _copy_object(value: Any) -> Any:
    if type(value).__module__.partition(".")[0] in ("numpy", "torch"):
        return value  # numbers, and types of numbers; the text of a large one takes long
    try:
        text = (
            str(value.value)
            if isinstance(value, Enum)
            else os.fspath(value)
            if isinstance(value, Path)
            else str(value)
        )
    except Exception:  # noqa: BLE001 - an object's text may raise anything; what can't be read can't be cleaned
        return f"[{type(value).__name__}]"
    cleaned = redacted_text(text)
    return value if cleaned == text else cleaned


# Text ------------------------------------------------------------------------------------------------------------


def _without_named(text: str) -> str:
    """Without what a name or a place in a URL says is a secret."""
    if "://" in text and "@" in text:
        text = _USER_INFO.sub(f"://{HIDDEN}@", text)
    if "=" in text and ("?" in text or "#" in text):
        text = _QUERY.sub(_hide_parameter, text)
    if "=" in text or ":" in text or "-" in text:
        lower = text.lower()
        if any(stem in lower for stem in _STEMS):
            text = _FLAG.sub(_hide_flag, _ASSIGNED.sub(_hide_assigned, text))
    return text


def _without_shapes(text: str) -> str:
    """Without what looks like a secret, wherever it stands."""
    if "PRIVATE KEY-----" in text:
        text = _PRIVATE_KEY.sub(HIDDEN, text)
    lower = text.lower()
    if "bearer" in lower or "basic" in lower:
        text = _BEARER.sub(rf"\1\2{HIDDEN}", text)
    for character, marks in _TOKEN_MARKS.items():
        if character in text and any(mark in text for mark in marks):
            return _TOKEN.sub(HIDDEN, text)
    return text


def _hides(value: str, strength: str) -> bool:
    """Whether a value under a secret's name is one: neither empty, nor a placeholder, nor (`<|im_end|>`) a word."""
    if not value.strip() or _NO_SECRET.fullmatch(value.strip()):
        return False
    return strength == "certain" or not _NUMBER.fullmatch(value.strip())


def _hide_parameter(found: re.Match[str]) -> str:
    mark, name, _ = found.groups()
    return f"{mark}{name}={HIDDEN}" if name.lower() in _SIGNATURES or secret_strength(name) else found.group()


def _hide_assigned(found: re.Match[str]) -> str:
    dashes, name, between = found.groups()
    strength = secret_strength(name)
    if strength is None:
        return found.group()
    value = found.group()[len(dashes) + len(name) + len(between) :]
    # `token: click` is prose; `"token": "…"`, `token='…'` and `token=…` are not.
    quoted = '"' in between or "'" in between or value[:1] in "\"'\\"
    if ":" in between and not quoted and strength != "certain":
        return found.group()
    return f"{dashes}{name}{between}{_hidden(value, strength)}"


def _hide_flag(found: re.Match[str]) -> str:
    name, between = found.groups()
    strength = secret_strength(name)
    if strength is None:
        return found.group()
    value = found.group().partition(between)[2]
    return f"{found.group()[: -len(value)]}{_hidden(value, strength)}"


def _hidden(value: str, strength: str) -> str:
    """`***` for the value, within its quotes and before the punctuation that follows it."""
    opening = "\\" * value.startswith("\\") + (value.lstrip("\\")[:1] if value.lstrip("\\")[:1] in ("'", '"') else "")
    if opening and opening != "\\":
        inner = value[len(opening) :]
        closing = opening if inner.endswith(opening) else opening[-1] if inner.endswith(opening[-1]) else ""
        inner = inner.removesuffix(closing)
    else:
        opening = ""
        inner = value.rstrip(",;.)]}>")
        closing = value[len(inner) :]
    return f"{opening}{HIDDEN}{closing}" if _hides(inner, strength) else value


# What this process knows -----------------------------------------------------------------------------------------

_Known = tuple[tuple[str, ...], tuple[tuple[str, "re.Pattern[str]"], ...]]
_last: tuple[Any, float, _Known] | None = None


def _known() -> _Known:
    """Secret values, the longest first, and the home directory, as the environment has them now."""
    global _last  # noqa: PLW0603 - remembered until the environment changes
    # What `os.environ` wraps: to compare it takes 2 µs, to go through `os.environ` 40.
    now = getattr(os.environ, "_data", None)
    if _last is not None and now is not None and _last[0] == now and time.monotonic() < _last[1]:
        return _last[2]
    found = {
        value
        for name, value in os.environ.items()
        if len(value) >= MIN_VALUE and name not in ("PWD", "OLDPWD") and secret_strength(name)
    }
    found |= _netrc_passwords(os.environ.get("NETRC"))
    found |= {quote(value, safe="") for value in found}
    known = tuple(sorted(found, key=lambda value: (-len(value), value))), _homes(os.path.expanduser("~"))
    _last = (dict(now) if now is not None else None), time.monotonic() + REMEMBERED_SECONDS, known
    return known


def _netrc_passwords(named: str | None) -> set[str]:
    """Every password of `~/.netrc`, where W&B keeps its key."""
    passwords: set[str] = set()
    for path in [named] if named else ["~/.netrc", "~/_netrc"]:
        try:
            hosts = netrc.netrc(os.path.expanduser(path)).hosts.values()
        except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
            continue  # none there, not ours to read, or not understood
        passwords |= {password for _, _, password in hosts if password and len(password) >= MIN_VALUE}
    return passwords


@lru_cache(maxsize=8)
def _homes(home: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """How the home directory may be written, each with a pattern that respects the borders of a path's parts."""
    homes = []
    for path in dict.fromkeys(path.rstrip("/\\") for path in (home, os.path.realpath(home))):
        if len(path) < 4 or not os.path.isabs(path):
            continue  # `/`, or none
        # Not within another path, but behind the two slashes of a URL without a host.
        left, right = r"(?:(?<![\w.~/\\-])|(?<=://))", r"(?![\w-]|\.\w)"
        homes.append((path, re.compile(left + re.escape(path) + right)))
        encoded = quote(path, safe="")
        homes.append((encoded, re.compile(r"(?:(?<![\w.~-])|(?<=%[0-9A-F]{2}))" + re.escape(encoded) + right)))
    return tuple(homes)
