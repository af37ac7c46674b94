"""A run's configuration: openadapt-ml's nested YAML form, this package's sections, and overrides `section.key=value`.

All mistakes are reported together, each with its line and the nearest name that would have been right.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Field, PrivateAttr, ValidationError

from .config_sections import (
    SECTIONS,
    DataSection,
    DemoDataSection,
    EarlyStopping,
    GroundingSection,
    LoraSection,
    ModelSection,
    Section,
    SyntheticDataSection,
    WandbSection,
    training_section,
)
from .errors import UserError
from .suggest import did_you_mean, nearest
from .yaml_lines import Document, Key, YamlError, parse_value, read_yaml


class ConfigError(UserError):
    """A configuration that cannot be used: says where, what was found, what was expected, and what to do."""


class RunConfig(Section):
    """One training run. Read from a file by [`load_config`]."""

    model: ModelSection
    lora: LoraSection = LoraSection()
    training: dict[str, Any] = Field(default_factory=dict)
    """What was given of `training:`, `early_stop_*` aside: fields of `transformers.TrainingArguments`."""
    early_stopping: EarlyStopping = EarlyStopping()
    data: DataSection = DataSection()
    demo_data: DemoDataSection | None = None
    synthetic_data: SyntheticDataSection | None = None
    wandb: WandbSection = WandbSection()
    grounding: GroundingSection = GroundingSection()

    _folder: Path = PrivateAttr(default=Path())

    def input_path(self, path: str) -> Path:
        """`path` of `data:` as a path that can be opened from here."""
        return self._folder / Path(path).expanduser()

    def model_source(self) -> str:
        """What to give `from_pretrained`: the folder of that name beside the file or here, else the name itself.

        Raises:
            ConfigError: The name is written as a path (`./`, `../`, `/`, `~`), and there is no such folder.
        """
        beside = self.input_path(self.model.name)
        for folder in (beside, Path(self.model.name)):
            if folder.is_dir():
                return str(folder)
        if self.model.name.startswith((".", "/", "~")):
            raise ConfigError(f"model.name: there is no folder {beside}. Expected a checkpoint's folder or a Hub id.")
        return self.model.name

    def as_given(self) -> dict[str, Any]:
        """The whole configuration with its defaults, as plain values, paths as they were written, and no token."""
        values = self.model_dump(exclude_none=True)
        values["training"] = {k: v for k, v in values["training"].items() if not k.endswith("_token")}
        values["training"] |= values.pop("early_stopping")
        return values

    def notices(self) -> list[str]:
        """A sentence for each setting that was read and has no effect here."""
        notices = []
        if self.training.get("max_seq_length") is not None:
            notices.append("training.max_seq_length has no effect: a conversation with pictures isn't cut off.")
        if self.lora.finetune_vision_layers:
            notices.append("lora.finetune_vision_layers has no effect: name the vision layers in lora.target_modules.")
        return notices


@dataclass
class _Given:
    """The values as given, where each came from, and what is wrong with them."""

    file: Path
    document: Document
    overrides: dict[Key, str] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)

    def problem(self, key: Key, what: str) -> None:
        """Note a mistake at `key`, with the line of the nearest enclosing key that has one."""
        for length in range(len(key), 0, -1):
            if override := self.overrides.get(key[:length]):
                return self.override_problem(override, f"{'.'.join(key)}: {what}")
            if line := self.document.lines.get(key[:length]):
                return self.problems.append((line, f"{self.file}, line {line}: {'.'.join(key)}: {what}"))
        return self.problems.append((0, f"{self.file}: {'.'.join(key)}: {what}"))

    def override_problem(self, override: str, what: str) -> None:
        """Note a mistake in an override, to be told after the file's."""
        self.problems.append((10**9 + len(self.problems), f"{override} (command line): {what}"))


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read and check a configuration file.

    Args:
        path: A YAML file in openadapt-ml's form.
        overrides: `section.key=value`, or `key=value` where one section alone has the key; values are read as YAML,
            and win over the file's.

    Raises:
        ConfigError: The file can't be read, or something in it or in the overrides is wrong: all mistakes, one a line.
    """
    path = Path(path)
    try:
        given = _Given(path, read_yaml(path))
    except OSError as error:
        raise ConfigError(f"{path}: the configuration can't be read: {error.strerror}") from None
    except YamlError as error:
        raise ConfigError(str(error)) from None
    for key, first in given.document.repeated:
        given.problem(key, f"this key is given twice, first in line {first}; keep one of them")
    for override in overrides:
        _apply_override(given, override)
    sections = _check(given)
    if given.problems:
        raise ConfigError("\n".join(text for _, text in sorted(given.problems)))
    config = RunConfig(**sections)
    config._folder = path.parent
    return config


def training_fields() -> frozenset[str]:
    """The names that `training:` may have, those of the installed transformers."""
    return frozenset(training_section().model_fields)


def is_switch(field: str) -> bool:
    """Whether this field of `training:` is true or false."""
    hint = training_section().model_fields[field].annotation
    return hint is bool or set(get_args(hint)) == {bool, NoneType}


def _check(given: _Given) -> dict[str, Any]:
    values = given.document.values
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name != "training" and name not in SECTIONS:
            names = _holders(name) or nearest(name, _sections()) or _nearest_anywhere(name)
            given.problem((name,), f"there is no such section{did_you_mean(names)}")
            continue
        section = training_section() if name == "training" else SECTIONS[name]
        if value is not None and not isinstance(value, Mapping):
            given.problem((name,), f"expected a mapping of settings, found {_found(value)}")
            continue
        try:
            checked[name] = section.model_validate(value or {})
        except ValidationError as error:
            _note_errors(given, name, section, error)
    if "model" not in values:
        given.problem(("model", "name"), _MISSING)
    if (training := checked.get("training")) is not None:
        fields = training.model_dump(exclude_unset=True)
        stop = {name: fields.pop(name) for name in EarlyStopping.model_fields if name in fields}
        checked |= {"training": fields, "early_stopping": EarlyStopping(**stop)}
    return checked


_MISSING = "this key is needed and isn't there"


def _note_errors(given: _Given, section: str, model: type[BaseModel], errors: ValidationError) -> None:
    told: set[Key] = set()
    for error in errors.errors():
        name = str(error["loc"][0])
        key = (section, name)
        if key in told:  # each member of a union says what it expected
            continue
        told.add(key)
        if error["type"] == "extra_forbidden":
            own = [f"{section}.{match}" for match in nearest(name, model.model_fields)]
            names = [*own, *_holders(name)] or _nearest_anywhere(name)
            given.problem(key, f"there is no such key{did_you_mean(names)}")
        elif error["type"] == "missing":
            given.problem(key, _MISSING)
        else:
            hint = model.model_fields[name].annotation
            value = given.document.values[section][name]
            expected = _describe(hint)
            if error["type"].startswith(("greater_", "less_")):
                expected += error["msg"].removeprefix("Input should be")
            names = nearest(value, _choices(hint)) if isinstance(value, str) else []
            given.problem(key, f"expected {expected}, found {_found(value)}{did_you_mean(names)}")


def _sections() -> list[str]:
    return [*SECTIONS, "training"]


def _fields(section: str) -> frozenset[str]:
    return training_fields() if section == "training" else frozenset(SECTIONS[section].model_fields)


def _holders(key: str) -> list[str]:
    """The dotted paths of this key, one for each section that has it."""
    return [f"{section}.{key}" for section in _sections() if key in _fields(section)]


def _nearest_anywhere(key: str) -> list[str]:
    matches = nearest(key, {name for section in _sections() for name in _fields(section)})
    return _holders(matches[0]) if matches else []


def _apply_override(given: _Given, override: str) -> None:
    dotted, _, text = override.partition("=")
    key = tuple(dotted.strip().split("."))
    if len(key) == 1 and key[0] not in _sections():
        holders = _holders(key[0])
        if len(holders) != 1:
            what = f"{len(holders)} sections have this key; write one of {', '.join(holders)}"
            if not holders:
                what = f"no section has this key{did_you_mean(_nearest_anywhere(key[0]))}"
            return given.override_problem(override, f"{key[0]}: {what}")
        key = tuple(holders[0].split("."))
    try:
        value = parse_value(text)
    except YamlError as error:
        return given.override_problem(override, f"{error}; put quotes around text that YAML reads as more than text")
    is_path = key[:1] == ("data",) or (key == ("model", "name") and Path(text).expanduser().is_dir())
    if is_path and isinstance(value, str):
        # What is typed in a shell is relative to where it is typed; the file's paths are relative to the file.
        value = os.path.abspath(Path(value).expanduser())
    into = given.document.values
    for name in key[:-1]:
        if not isinstance(into.get(name), dict):
            into[name] = {}
        into = into[name]
    into[key[-1]] = value
    given.overrides[key] = override
    return None


_TYPES = {
    int: "a whole number", float: "a number", str: "text", bool: "true or false", list: "a list", dict: "a mapping"
}  # fmt: skip


def _describe(hint: Any) -> str:
    if choices := _choices(hint):
        return "one of " + ", ".join(choices)
    if get_origin(hint) in (Union, UnionType):
        members = [member for member in get_args(hint) if member is not NoneType]
        if float in members:  # it takes whole numbers too
            members.remove(int)
        return " or ".join(_describe(member) for member in members)
    if get_origin(hint) is list and get_args(hint) == (str,):
        return "a list of texts"
    return _TYPES.get(get_origin(hint) or hint, str(hint))


def _choices(hint: Any) -> list[str]:
    if get_origin(hint) is Literal:
        return [str(choice) for choice in get_args(hint)]
    if get_origin(hint) in (Union, UnionType):
        return [choice for member in get_args(hint) for choice in _choices(member)]
    return []


def _found(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"{str(value).lower()} (true or false)"
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({_TYPES.get(type(value), type(value).__name__)})"
