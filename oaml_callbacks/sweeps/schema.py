"""A sweep file held against W&B's own JSON schema, with messages for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..clean_text import cut
from ..suggest import did_you_mean, nearest
from ..yaml_lines import Document

if TYPE_CHECKING:
    from jsonschema import Draft7Validator
    from jsonschema.exceptions import ValidationError

    from .sweep_file import Fault

SCHEMA = Path(__file__).with_name("wandb_schema.json")
"""W&B's, as its package `sweeps` 0.3.0 has it. That package itself wants an old numpy, and isn't needed."""

_TYPES = {
    "object": "a mapping", "array": "a list", "string": "text", "number": "a number", "integer": "a whole number",
    "boolean": "true or false",
}  # fmt: skip
_FOUND = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", type(None): "nothing"}


@lru_cache(maxsize=1)
def wandb_schema() -> Mapping[str, Any]:
    """W&B's JSON schema of a sweep file."""
    schema: Mapping[str, Any] = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return schema


def schema_faults(document: Document) -> list[Fault]:
    """What the schema says against a file, each with its line.

    Raises:
        SweepError: `jsonschema` isn't installed.
    """
    from .sweep_file import Fault, SweepError

    if find_spec("jsonschema") is None:
        raise SweepError('sweeps need the package\'s extra: pip install "oaml-callbacks[sweep]"')
    found: dict[tuple[tuple[str, ...], str], Fault] = {}
    for key, what in _problems(document.values):
        line = next((document.lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in document.lines), 0)
        found.setdefault((key, what), Fault(line, ".".join(key), what))
    return list(found.values())


def _problems(values: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    told: set[str] = set()
    parameters = values.get("parameters")
    for name, given in parameters.items() if isinstance(parameters, dict) else ():
        if isinstance(given, dict) and "parameters" in given:  # the schema takes them
            told.add(name)
            yield from _parameter_problems(("parameters", name), given)
    for error in _validator(wandb_schema()).iter_errors(values):
        key = tuple(str(part) for part in error.absolute_path)
        if len(key) >= 2 and key[0] == "parameters" and error.validator == "anyOf":
            # W&B's schema only says that the parameter is none of its nineteen forms.
            if key[1] not in told:
                told.add(key[1])
                yield from _parameter_problems(key[:2], values["parameters"][key[1]])
        else:
            yield from _told(key, error)


def _parameter_problems(key: tuple[str, ...], given: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    if not isinstance(given, dict):
        yield key, f"expected a mapping, such as {{values: [4, 8]}} or {{min: 1, max: 9}}, found {_found(given)}"
        return
    if "parameters" in given:
        # The schema takes nested parameters, and `oaml train` would get one mapping for a whole section.
        inner = given["parameters"]
        names = ", ".join(f"{key[1]}.{name}" for name in inner) if isinstance(inner, dict) and inner else "lora.r"
        yield key, f"parameters aren't nested here: `oaml train` takes dotted names. Write {names}"
        return
    form = _form(given)
    if form is None:
        distributions = sorted(name for name in _forms() if name != "param_dict")
        if "distribution" in given:
            name = given["distribution"]
            hint = did_you_mean(nearest(str(name), distributions))
            expected = hint or f"; expected one of {', '.join(distributions)}"
            yield (*key, "distribution"), f"there is no distribution {_found(name)}{expected}"
        else:
            known = ("value", "values", "min", "max", "distribution", "probabilities", "mu", "sigma", "q")
            hint = did_you_mean([match for name in given for match in nearest(str(name), known)])
            keys = ", ".join(map(str, given)) or "nothing"
            yield key, f"expected value, values, or min and max; found {cut(keys, 80)}{hint}"
        return
    problems = [
        problem
        for error in _validator({**form, "definitions": wandb_schema()["definitions"]}).iter_errors(given)
        for problem in _told((*key, *(str(part) for part in error.absolute_path)), error)
    ]
    yield from problems or [(key, "this is none of the forms that W&B knows of a parameter")]


def _form(given: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What the schema says of the form that was meant."""
    forms = _forms()
    if "distribution" in given:
        return forms.get(str(given["distribution"]))
    if "value" in given:
        return forms["constant"]
    if "values" in given:
        return forms["categorical_w_probabilities" if "probabilities" in given else "categorical"]
    if "min" in given or "max" in given:
        whole = all(_is_whole(given.get(end, 0)) for end in ("min", "max"))
        return forms["int_uniform" if whole else "uniform"]
    return None


@lru_cache(maxsize=1)
def _forms() -> dict[str, Mapping[str, Any]]:
    """The schema of each distribution, by its name."""
    forms = {}
    for name, definition in wandb_schema()["definitions"].items():
        if name.startswith("param_"):
            form = definition.get("anyOf", [definition])[-1]  # of `uniform` four, that differ in nothing
            for distribution in form["properties"].get("distribution", {}).get("enum", []):
                forms[distribution] = form
    return forms


def _told(key: tuple[str, ...], error: ValidationError) -> Iterator[tuple[tuple[str, ...], str]]:
    """An error of `jsonschema` in our words: the key that it is about, and what is wrong."""
    expected, found = error.validator_value, error.instance
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        for name in found:
            if name not in known:
                yield (*key, str(name)), f"there is no such key here{did_you_mean(nearest(str(name), known))}"
    elif error.validator == "pattern":
        yield (*key, str(found)), "expected a name of letters, digits, _ . and -, that begins with a letter"
    elif error.validator == "oneOf" and error.context:
        for inner in error.context:
            yield from _told((*key, *(str(part) for part in inner.relative_path)), inner)
    elif error.validator == "anyOf" and key == ("early_terminate",):
        yield key, "min_iter is needed, or max_iter and s"
    elif error.validator == "required":
        missing = [name for name in expected if name not in found]
        yield key, f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} needed and missing"
    else:
        yield key, _expected(error.validator, expected, found) or cut(error.message, 200)


def _expected(kind: str, expected: Any, found: Any) -> str | None:
    """`expected …, found …` of a single value."""
    if kind == "enum":
        names = [str(name) for name in expected]
        hint = did_you_mean(nearest(str(found), names)) if len(names) > 1 else ""
        which = f"one of {', '.join(names)}" if len(names) > 1 else names[0]
        return f"expected {which}, found {_found(found)}{hint}"
    if kind == "type":
        return f"expected {_TYPES[expected]}, found {_found(found)}"
    if kind in ("minimum", "exclusiveMinimum"):
        return f"expected {'at least' if kind == 'minimum' else 'more than'} {expected}, found {_found(found)}"
    if kind in ("minItems", "minProperties"):
        return f"expected {expected} or more, found {len(found)}"
    return None


def _validator(schema: Mapping[str, Any]) -> Draft7Validator:
    from jsonschema import Draft7Validator

    return Draft7Validator(schema)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _found(value: Any) -> str:
    kind = _FOUND.get(type(value))
    if value is None or isinstance(value, (dict, list)):
        return str(kind)
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return f"{cut(text, 60)} ({kind})" if kind else cut(text, 60)
