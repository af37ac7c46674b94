"""YAML as configuration files use it: the line of every key is known, a key may stand once, and `5e-4` is a number."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .errors import UserError

Key = tuple[str, ...]
"""Where a value stands: the names of the mappings' keys on the way to it; for an item of a list its index, from 0."""


class YamlError(UserError):
    """Text that is no YAML, or a document that is no mapping: says where and why."""


@dataclass
class Document:
    """A YAML file's mapping.

    Args:
        values: What it holds.
        lines: The line of each key and of each list's item, from 1.
        repeated: `(key, line of the first)` for each key that stands twice in one mapping; `lines` has the second's.
    """

    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[Key, int] = field(default_factory=dict)
    repeated: list[tuple[Key, int]] = field(default_factory=list)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, with YAML 1.2's numbers: 1.1 wants a dot and a signed exponent, and reads 5e-4 as text."""


NUMBER = ("tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789"))
"""What is read as a number, and written in quotes where it's text: arguments of PyYAML's `add_implicit_resolver`."""

_Loader.add_implicit_resolver(*NUMBER)


def read_yaml(path: Path) -> Document:
    """Read a file that holds one YAML mapping.

    Raises:
        OSError: The file can't be read.
        YamlError: It is no YAML, or no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise YamlError(f"{path} is not UTF-8 text (byte {error.start})") from None
    loader = _Loader(text)
    document = Document()
    try:
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            found = {type(None): "nothing", yaml.ScalarNode: "a single value"}.get(type(node), "a list")
            raise YamlError(f"{path}: expected sections such as 'model:', found {found}")
        # Before construction, which writes merged keys (<<) into the nodes.
        _note_lines(node, (), document, set())
        document.values = loader.construct_document(node)
    except yaml.YAMLError as error:
        raise YamlError(f"{path}{_reason(error)}") from None
    except RecursionError:
        raise YamlError(f"{path} is nested too deeply") from None
    except ValueError as error:  # a number of thousands of digits, a 31st of February
        raise YamlError(f"{path}: {error}") from None
    finally:
        loader.dispose()
    document.values = {
        str(name): {str(key): item for key, item in section.items()} if isinstance(section, dict) else section
        for name, section in document.values.items()
    }
    return document


def parse_value(text: str) -> Any:
    """Read one value, as it would stand behind a key.

    Raises:
        YamlError: It is no YAML value.
    """
    try:
        return yaml.load(text, _Loader)  # a SafeLoader
    except yaml.YAMLError as error:
        raise YamlError(f"{text!r} is no YAML value{_reason(error)}") from None
    except (RecursionError, ValueError) as error:
        raise YamlError(f"{text[:60]!r} is no YAML value: {error}") from None


def _note_lines(node: yaml.MappingNode, above: Key, document: Document, seen: set[int]) -> None:
    seen.add(id(node))  # an alias may lead back to a mapping it stands in
    first: dict[str, int] = {}
    for key_node, value_node in node.value:
        name, line = str(_as_constructed(key_node)), key_node.start_mark.line + 1
        key = (*above, name)
        if name in first:
            document.repeated.append((key, first[name]))
        first.setdefault(name, line)
        document.lines[key] = line
        _note_below(value_node, key, document, seen)


def _note_below(node: yaml.Node, key: Key, document: Document, seen: set[int]) -> None:
    if id(node) in seen:
        return
    if isinstance(node, yaml.MappingNode):
        _note_lines(node, key, document, seen)
    elif isinstance(node, yaml.SequenceNode):
        seen.add(id(node))
        for index, item in enumerate(node.value):
            at = (*key, str(index))
            document.lines[at] = item.start_mark.line + 1
            _note_below(item, at, document, seen)


def _as_constructed(key_node: yaml.Node) -> Any:
    """A key as the document will have it: `on` is true, in YAML 1.1."""
    if key_node.tag != "tag:yaml.org,2002:bool":
        return key_node.value
    return str(key_node.value).lower() in ("yes", "true", "on")


def _reason(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    return f"{where}: {getattr(error, 'problem', None) or error}"
