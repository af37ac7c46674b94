"""The best configuration of a search, as a file that `oaml train` takes as it is."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ..run_folder.files import replace_file
from ..yaml_lines import NUMBER, parse_value, read_yaml
from .trial_values import full_name

_WIDTH = 10**6  # of a line, so that none is broken


class _Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper, with quotes around text that a configuration's reader would take for a number: `1e-4`."""


_Dumper.add_implicit_resolver(*NUMBER)
# On one line, whatever it is: only between double quotes are the ends of lines spelled.
_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style='"' if "".join(text.splitlines()) != text else None
    ),
)


def write_best(
    path: Path,
    config: Path,
    overrides: Sequence[str],
    values: Mapping[str, Any],
    *,
    heading: Sequence[str],
    output_dir: Path,
) -> None:
    """Write a training configuration with other values.

    What it reads is named relative to where it lies; what a training with it writes goes to a folder of its own.

    Args:
        path: The file to write.
        config: The training configuration.
        overrides: What the sweep's command changes of it: `key=value`.
        values: What the search has found, by the parameters' names.
        heading: Lines of a comment above all.
        output_dir: Where a training with it writes.
    """
    content = read_yaml(config).values
    before = {section: dict(keys) if isinstance(keys, dict) else keys for section, keys in content.items()}
    comments: dict[tuple[str, str], str] = {}
    _rebase(content, config.parent, path.parent)
    for override in overrides:
        name, _, text = override.partition("=")
        section, key = _place(name)
        _put(content, section, key, _typed(section, key, parse_value(text), path.parent))
        comments[section, key] = "set by the sweep's command"
    for name, value in values.items():
        section, key = _place(name)
        _put(content, section, key, _typed(section, key, value, path.parent))
        was = before.get(section)
        known = f"; was {_inline(was[key])}" if isinstance(was, dict) and key in was else ""
        comments[section, key] = f"found by the search{known}"
    _put(content, "training", "output_dir", str(output_dir))
    if isinstance(content.get("lora"), dict):
        content["lora"].pop("weights_path", None)
    lines = [*(f"# {line}".rstrip() for line in heading), ""]
    for section, keys in content.items():
        lines += _section(section, keys, comments)
    replace_file(path, "\n".join(lines).rstrip() + "\n")


def _section(section: str, keys: Any, comments: Mapping[tuple[str, str], str]) -> list[str]:
    if not isinstance(keys, dict) or not keys:
        return [f"{_inline(section)}: {_inline(keys)}", ""]
    lines = [f"{_inline(section)}:"]
    for key, value in keys.items():
        comment = comments.get((section, key))
        lines.append(f"  {_inline(key)}: {_inline(value)}" + (f"  # {comment}" if comment else ""))
    return [*lines, ""]


def _inline(value: Any) -> str:
    text = yaml.dump(value, Dumper=_Dumper, width=_WIDTH, default_flow_style=True, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def _place(name: str) -> tuple[str, str]:
    section, _, key = full_name(name.strip()).partition(".")
    return section, key


def _put(content: dict[str, Any], section: str, key: str, value: Any) -> None:
    if not isinstance(content.get(section), dict):
        content[section] = {}
    into = content[section]
    *above, last = key.split(".")  # a setting inside a mapping, such as training.lr_scheduler_kwargs.num_cycles
    for name in above:
        if not isinstance(into.get(name), dict):
            into[name] = {}
        into = into[name]
    into[last] = value


def _rebase(content: dict[str, Any], old: Path, new: Path) -> None:
    """Name what the file reads from where the new one lies."""
    model, data = content.get("model"), content.get("data")
    if isinstance(model, dict) and isinstance(name := model.get("name"), str):
        beside = old / Path(name).expanduser()
        if beside.is_dir():
            model["name"] = _seen_from(beside, new)
        elif Path(name).is_dir():
            model["name"] = _seen_from(Path(name), new)
    if isinstance(data, dict):
        for key, value in data.items():
            if isinstance(value, str):
                data[key] = _seen_from(old / Path(value).expanduser(), new)


def _typed(section: str, key: str, value: Any, folder: Path) -> Any:
    """A path that was typed is relative to the working directory."""
    is_path = section == "data" or (section, key) == ("model", "name")
    if is_path and isinstance(value, str) and (section == "data" or Path(value).expanduser().is_dir()):
        return _seen_from(Path(value).expanduser(), folder)
    return value


def _seen_from(path: Path, folder: Path) -> str:
    """`path` relative to `folder`; absolute where they have nothing in common."""
    there, here = os.path.abspath(path), os.path.abspath(folder)
    try:
        if os.path.commonpath([there, here]) == os.path.abspath(os.sep):
            return there
        relative = Path(os.path.relpath(there, here)).as_posix()
    except ValueError:  # another drive
        return there
    return relative if relative.startswith("..") else f"./{relative}"
