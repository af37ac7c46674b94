"""The model card of an adapter: a section for a person in README.md, beside what PEFT and others wrote there."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .. import keys
from ..clean_text import error_text, one_line
from ..links import LinkError, check_url
from ..run_folder.files import replace_file
from .adapter_files import CARD
from .facts import CardFacts, is_folder

logger = logging.getLogger(__name__)

BEGIN = "<!-- oaml-callbacks: what follows is written anew at each save -->"
END = "<!-- oaml-callbacks: end -->"

TASK = "image-text-to-text"
"""What the Hub calls a model that answers to a picture and a text."""

TAGS = ("gui-grounding", "lora", "oaml-callbacks")

DATASET_TYPE = "oaml-callbacks"
"""By this our results are known among a card's others (`model-index`), and replaced."""

MAX_CARD = 2**20
"""Characters of a README that is read and kept."""

_MARKDOWN = re.compile(r"([\\`*\[\]|~$]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z]))")
_LINKED = {"://": "&#58;//", "www.": "www&#46;", "@": "&#64;"}  # what is a link without any markup
_SETTINGS = {
    "r": "LoRA rank",
    "lora_alpha": "LoRA alpha",
    "lora_dropout": "LoRA dropout",
    "bias": "biases trained",
    "target_modules": "adapted modules",
}
_BASE_TAG = "base_model:adapter:"
_HUB_ID = re.compile(r"[0-9A-Za-z_][\w.-]{0,95}(/[0-9A-Za-z_][\w.-]{0,95})?", re.ASCII)
_SECTION = re.compile(rf"{re.escape(BEGIN)}.*?{re.escape(END)}\n*", re.DOTALL)
_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)


def card_text(facts: CardFacts, existing: str | None = None) -> str:
    """A model card with the facts, and with all of an existing one but the facts of before.

    Its front matter is what the Hub reads: base model, library, task, tags, results. A base that is a folder is left
    out there, since the Hub refuses it.

    Args:
        facts: What is known.
        existing: The text of the README.md that is there, such as PEFT's.
    """
    front, text = _apart(existing or "")
    kept = _SECTION.sub("", text).lstrip("\n")
    section = f"{BEGIN}\n{section_text(facts)}\n{END}\n"
    text = f"{section}\n{kept}" if kept.strip() else section
    if front is None:  # none that could be read: it stays as it is
        return f"{(existing or '')[: len(existing or '') - len(text_of(existing or ''))]}\n{text}"
    return f"---\n{_as_yaml(_merged(front, facts))}---\n\n{text}"


def write_card(folder: Path, facts: CardFacts) -> None:
    """Write the card beside an adapter, keeping what its README.md has.

    Raises:
        OSError: It can't be read or written.
    """
    path = folder / CARD
    existing = None
    if path.exists():
        if path.stat().st_size > MAX_CARD:
            raise OSError(f"{CARD} has more than {MAX_CARD:,} bytes")
        existing = path.read_text(encoding="utf-8", errors="replace")
    replace_file(path, card_text(facts, existing))


def section_text(facts: CardFacts) -> str:
    """The facts as Markdown, without front matter. Names of others are shown as text, whatever they are."""
    base = markdown(facts.base_model) if facts.base_model else "a vision-language model"
    at = f", after {facts.step:,} steps" + (f" ({facts.epoch:.3g} epochs)" if facts.epoch is not None else "")
    lines = [
        f"# {markdown(facts.run_name or facts.run_id or 'A LoRA adapter')}",
        "",
        f"A LoRA adapter for {base}{at} of fine-tuning to click on screens.",
        "",
        "## How well it clicks",
        "",
        *_figures(facts),
        "",
        "## Load it",
        "",
        "```python",
        f"model = AutoModelForImageTextToText.from_pretrained({_base(facts)})",
        'model = PeftModel.from_pretrained(model, ".")  # this folder, or the name of its repository',
        "```",
        "",
        "## Training",
        "",
        "| setting | value |",
        "| --- | --- |",
        *(f"| {markdown(name)} | {markdown(_shown(value))} |" for name, value in _settings(facts)),
    ]
    links = _links(facts)
    if links:
        lines += ["", " · ".join(links)]
    return "\n".join(lines)


def markdown(text: str) -> str:
    """`text` as Markdown that shows it, on one line: no markup, no HTML, no link in it acts."""
    plain = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    plain = _MARKDOWN.sub(r"\\\1", plain)
    for linked, spelled in _LINKED.items():
        plain = plain.replace(linked, spelled)
    return plain


# Inside --------------------------------------------------------------------------------------------------------------


def _figures(facts: CardFacts) -> list[str]:
    figures, baseline = facts.evaluated.figures, facts.baseline
    accuracy = figures.get(keys.GROUNDING_ACCURACY)
    if accuracy is None:
        return ["It was not measured at this step."]
    low, high = figures.get(keys.GROUNDING_ACCURACY_LOW), figures.get(keys.GROUNDING_ACCURACY_HIGH)
    interval = f" (95 % interval {low:.3f}–{high:.3f})" if low is not None and high is not None else ""  # noqa: RUF001
    rows = [
        "| | this adapter | base model |",
        "| --- | --- | --- |",
        f"| accuracy: clicks in the target's box | **{accuracy:.3f}**{interval} | {_figure(baseline, 'accuracy')} |",
        f"| distance to the target, share of the screen | {_figure(figures, 'distance')} | "
        f"{_figure(baseline, 'distance')} |",
        f"| readable answers | {_figure(figures, 'parsed')} | – |",  # noqa: RUF001
    ]
    samples = figures.get(keys.GROUNDING_SAMPLES)
    measured = f"Measured by generation on {f'{samples:,.0f}' if samples is not None else 'the'} samples of the set "
    measured += markdown(facts.evaluated.split)
    if facts.fingerprint:
        measured += f" (fingerprint `{re.sub('[^0-9A-Za-z]', '', facts.fingerprint)}`)"
    return [*rows, "", f"{measured}. An unreadable answer counts as a miss."]


def _figure(figures: Mapping[str, float], name: str) -> str:
    value = figures.get(f"grounding_{name}")
    return "–" if value is None or not math.isfinite(value) else f"{value:.3f}"  # noqa: RUF001  # an en dash marks an empty cell


def _settings(facts: CardFacts) -> list[tuple[str, Any]]:
    lora = [(_SETTINGS.get(name, name), value) for name, value in facts.lora.items() if value is not None]
    return [*lora, *((name.replace("_", " "), value) for name, value in facts.training.items())]


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _literal(text: str) -> str:
    # As Python has it too; without `<`, which might begin what ends this section.
    return json.dumps(one_line(text), ensure_ascii=False).replace("<", "\\u003c")


def _base(facts: CardFacts) -> str:
    revision = f", revision={_literal(facts.base_revision)}" if facts.base_revision else ""
    return f"{_literal(facts.base_model or 'the base model')}{revision}"


def _links(facts: CardFacts) -> list[str]:
    names = {"run_url": "W&B run", keys.VIEWER_URL: "Viewer", keys.DASHBOARD_URL: "Dashboard"}
    links = []
    for key, name in names.items():
        url = facts.links.get(key)
        try:
            # A viewer on the reader's own machine isn't theirs: the card may be published.
            if url and (key == "run_url" or not is_local(check_url(key, url))):
                links.append(f"[{name}]({_in_brackets(check_url(key, url))})")
        except LinkError:
            continue
    return links


def is_local(url: str) -> bool:
    """Whether a URL leads to the machine that it is opened on."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _in_brackets(url: str) -> str:
    """A URL that ends no Markdown link early, and is no HTML."""
    for character in "()<>`\"'|\\":
        url = url.replace(character, f"%{ord(character):02X}")
    return url


# Front matter --------------------------------------------------------------------------------------------------------


def text_of(card: str) -> str:
    """What of a card follows its front matter."""
    found = _FRONT_MATTER.match(card)
    return card[found.end() :] if found else card


def _apart(card: str) -> tuple[dict[str, Any] | None, str]:
    """A card's front matter, empty without one and `None` if it can't be read, and its text."""
    found = _FRONT_MATTER.match(card)
    if found is None:
        return {}, card
    import yaml

    try:
        front = yaml.safe_load(found[1])
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        logger.debug("The card's front matter stays as it is: %s", error_text(error))
        return None, card[found.end() :]
    if front is not None and not isinstance(front, dict):
        return None, card[found.end() :]
    return front or {}, card[found.end() :]


def _merged(front: Mapping[str, Any], facts: CardFacts) -> dict[str, Any]:
    merged = dict(front)
    base = facts.base_model
    if base and _HUB_ID.fullmatch(base) and not is_folder(base):
        merged["base_model"] = base
    elif not isinstance(given := merged.get("base_model"), list) and (given is None or not _is_hub_id(given)):
        merged.pop("base_model", None)
    merged["library_name"] = "peft"
    if merged.get("pipeline_tag", "text-generation") == "text-generation":  # PEFT's guess for every causal model
        merged["pipeline_tag"] = TASK
    tags = merged.get("tags") or []
    tags = [tags] if isinstance(tags, str) else [str(tag) for tag in tags]
    # PEFT puts the base's name here too; where it is a folder, it is a place on this machine.
    tags = [tag for tag in tags if not tag.startswith(_BASE_TAG) or _is_hub_id(tag.removeprefix(_BASE_TAG))]
    merged["tags"] = [*tags, *(tag for tag in TAGS if tag not in tags)]
    index = _index(merged.get("model-index"), facts)
    if index:
        merged["model-index"] = index
    else:
        merged.pop("model-index", None)
    return merged


def _is_hub_id(given: Any) -> bool:
    return isinstance(given, str) and bool(_HUB_ID.fullmatch(given)) and not is_folder(given)


def _index(existing: Any, facts: CardFacts) -> list[Any]:
    """The results, in the Hub's form: ours beside those of others."""
    models = [model for model in existing if isinstance(model, dict)] if isinstance(existing, list) else []
    kept = []
    for model in models:
        results = model.get("results")
        others = [one for one in results if not _is_ours(one)] if isinstance(results, list) else []
        if others:
            kept.append({**model, "results": others})
    figures = facts.evaluated.figures
    named = {"accuracy": keys.GROUNDING_ACCURACY, "distance": keys.GROUNDING_DISTANCE}
    metrics = [
        {"type": kind, "name": name.replace("_", " "), "value": round(float(figures[name]), 6)}
        for kind, name in named.items()
        if name in figures and math.isfinite(figures[name])
    ]
    if not metrics:
        return kept
    which = (facts.fingerprint or "")[:12] or "own set"
    dataset = {"name": f"{one_line(facts.evaluated.split)} ({which})", "type": DATASET_TYPE}
    result = {"task": {"type": TASK, "name": "GUI grounding"}, "dataset": dataset, "metrics": metrics}
    name = one_line(facts.run_name or facts.run_id or "adapter")
    if kept:
        return [{**kept[0], "results": [*kept[0]["results"], result]}, *kept[1:]]
    return [{"name": name, "results": [result]}]


def _is_ours(result: Any) -> bool:
    dataset = result.get("dataset") if isinstance(result, dict) else None
    return isinstance(dataset, dict) and dataset.get("type") == DATASET_TYPE


def _as_yaml(front: Mapping[str, Any]) -> str:
    import yaml

    return str(yaml.safe_dump(dict(front), sort_keys=False, allow_unicode=True, width=1000))
