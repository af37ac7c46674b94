"""A report as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence

from ..compared.runs import ACCURACY, DISTANCE, RunEvaluation
from ..durations import duration
from . import chart as chart_parts
from . import gallery as gallery_parts
from . import words
from .content import HIGH, LOW, PARSED, SAMPLES, Content, RunShown
from .curves import charts
from .gallery import gallery
from .one_page import esc, link, one_page

KEPT_ROWS = 12
"""Rows of a table that isn't parted on paper."""

STYLE = """
.lead { font-size: 1.12rem; line-height: 1.45; overflow-wrap: anywhere; }
.made { margin-top: 6px; }
.figures { display: flex; flex-wrap: wrap; gap: 12px; }
.figures div { flex: 1 1 8.5rem; }
.figures dt { color: var(--muted); font-size: 0.82rem; }
.figures dd { font-size: 1.5rem; font-variant-numeric: tabular-nums; font-weight: 650; line-height: 1.2;
              margin: 2px 0; }
.figures small { color: var(--muted); display: block; font-size: 0.8rem; font-weight: 400; }
.first th, .first td { background: color-mix(in srgb, var(--accent-soft) 60%, transparent); }
.runs td small { white-space: nowrap; }
.runs .end { max-width: 12rem; overflow-wrap: anywhere; }
.runs .chip { border-radius: 10px; white-space: normal; }
.runs .key { margin-right: 6px; vertical-align: middle; }
.runs td small, .runs th small { color: var(--muted); display: block; font-weight: 400; }
.notes { margin-top: 10px; padding-left: 1.2em; }
.command { background: var(--panel-2); border-radius: 6px; display: block; margin-top: 5px; padding: 7px 10px; }
.links { list-style: none; padding: 0; }
.links li { overflow-wrap: anywhere; padding: 3px 0; }
.links a + a { margin-left: 10px; }
main > .message { margin: 20px 0 0; }
.shown { margin-bottom: 8px; }
.keys { margin-bottom: 10px; }
@media (max-width: 700px) {
  .runs, .runs tbody { display: block; }
  .runs .end { max-width: 100%; }
  .runs thead { clip-path: inset(50%); position: absolute; }
  .runs tr { border-top: 1px solid var(--line); display: flex; flex-wrap: wrap; gap: 2px 16px; padding: 8px 6px; }
  .runs th, .runs td, .runs th.number, .runs td.number { border: 0; padding: 0; text-align: left; }
  .runs tbody th { flex: 1 1 100%; }
  .runs td[data-label]::before { color: var(--muted); content: attr(data-label) " "; }
  .runs td small { display: inline; margin-left: 5px; }
  .runs .first th, .runs .first td { background: none; }
  .runs tr.first { background: var(--accent-soft); border-radius: 6px; }
}
@media print { .runs { font-size: 0.78rem; } .runs th, .runs td { padding: 5px 6px; }
               .figures dd { font-size: 1.3rem; } }
"""


def html_report(content: Content, *, samples: int = gallery_parts.MAX_SHOWN) -> str:
    """A report as a page that holds all it needs.

    Args:
        content: What it says.
        samples: Answers of the best run that are shown with their screenshots, at most.

    Returns:
        HTML. It opens from a disk, in a frame and on paper, and loads nothing.
    """
    parts = [
        _head(content),
        _figures(content),
        _section("Over the training", charts(content)),
        *(_section(_of_set("Latest evaluations", content, split), _table(content, split)) for split in content.sets),
        _section("What it looks like", _gallery(content, samples)),
        _section("Best adapters", _adapters(content)),
        _section("Look closer", _links(content)),
        _section("How this is measured", _method(content)),
    ]
    if not content.sets:
        parts.insert(3, _section("Runs", _table(content, content.main)))
    return one_page(
        content.title,
        "\n".join(filter(None, parts)),
        style=chart_parts.STYLE + gallery_parts.STYLE + STYLE,
    )


def _section(title: str, inside: str) -> str:
    return f"<section><h2>{esc(title)}</h2>\n{inside}</section>" if inside else ""


def _of_set(title: str, content: Content, split: str) -> str:
    return title if len(content.sets) == 1 else f"{title}: {split}"


def _head(content: Content) -> str:
    said = f"{content.outcome()} {content.doubt()}".rstrip()
    notes = "".join(f"<li>{esc(note)}</li>" for note in content.notes)
    return (
        f"<header><h1>{esc(content.title)}</h1>"
        f'<p class="muted small made">{esc(words.day(content.made_at))} · '
        f"{esc(words.times(len(content.runs), 'training run'))} · written by oaml-callbacks</p></header>"
        f'<p class="lead">{esc(said).replace(" %", "&nbsp;%")}</p>'
        + (f'<div class="message problem"><ul class="notes">{notes}</ul></div>' if notes else "")
    )


def _figures(content: Content) -> str:
    evaluation = content.best_evaluation
    if content.best is None or evaluation is None:
        return ""
    metrics = evaluation.metrics
    base = content.best.sets[content.main].baseline
    base_metrics = base.metrics if base is not None else {}
    cells = [
        (
            "Accuracy",
            words.percent(metrics.get(ACCURACY)),
            f"95 %: {words.interval(metrics[LOW], metrics[HIGH])}" if LOW in metrics and HIGH in metrics else "",
        ),
        ("Base model", words.percent(base_metrics.get(ACCURACY)), "the same samples, untrained") if base else None,
        (
            "Distance",
            words.decimals(metrics.get(DISTANCE)),
            f"of the screen; base model {words.decimals(base_metrics.get(DISTANCE))}" if base else "of the screen",
        ),
        ("Readable answers", words.percent(metrics.get(PARSED)), ""),
        ("Samples", words.whole(metrics.get(SAMPLES)), "" if content.main == "eval" else content.main),
    ]
    return (
        '<dl class="figures">'
        + "".join(
            f'<div class="panel keep"><dt>{esc(name)}</dt><dd>{esc(value)}</dd><small>{esc(note)}</small></div>'
            for name, value, note in filter(None, cells)
        )
        + "</dl>"
    )


# The table ----------------------------------------------------------------------------------------------------------


def _table(content: Content, split: str) -> str:
    columns = ["Run", "Accuracy", "95 % interval", "Distance", "Readable", "Samples", "Base model", "Best", "Training"]
    head = "".join(
        f'<th scope="col"{" class=number" if place and name != "Training" else ""}>{esc(name)}</th>'
        for place, name in enumerate(columns)
    )
    rows = "".join(_row(content, shown, split) for shown in _ordered(content, split))
    kept = "panel keep" if len(content.runs) <= KEPT_ROWS else "panel"
    return (
        f'<div class="{kept}"><div class="scroll"><table class="runs">'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></div>"
    )


def _ordered(content: Content, split: str) -> list[RunShown]:
    """The most accurate first; then those that can't be compared, then those without an evaluation."""

    def place(shown: RunShown) -> tuple[bool, bool, float, int]:
        one = shown.sets.get(split)
        accuracy = one.best.metrics[ACCURACY] if one is not None and one.best is not None else None
        return accuracy is None, one is not None and one.comparable is False, -(accuracy or 0.0), shown.number

    return sorted(content.runs, key=place)


def _row(content: Content, shown: RunShown, split: str) -> str:
    run, one = shown.run, shown.sets.get(split)
    last = one.last if one is not None else None
    metrics = last.metrics if last is not None else {}
    state, kind = shown.state
    key = chart_parts.key(shown.number)
    other = one is not None and one.comparable is False and last is not None
    mark = '<small><span class="chip warning">other evaluation set</span></small>' if other else ""
    chip = f'<span class="chip {kind}">{esc(state)}</span>' if kind != "right" else esc(state)
    cells = [
        ("accuracy", words.percent(metrics.get(ACCURACY)), f"step {words.whole(last.step)}" if last else ""),
        ("interval", words.interval(metrics.get(LOW), metrics.get(HIGH)), ""),
        ("distance", words.decimals(metrics.get(DISTANCE)), ""),
        ("readable", words.percent(metrics.get(PARSED)), ""),
        ("samples", words.whole(metrics.get(SAMPLES)), ""),
        ("base model", words.percent(_accuracy(one.baseline if one else None)), ""),
        ("best", words.percent(_accuracy(one.best if one else None)), _step(one.best if one else None)),
    ]
    told = "".join(
        f'<td class="number" data-label="{esc(label)}">{esc(value)}{_small(note)}</td>' for label, value, note in cells
    )
    first = ' class="first"' if shown is content.best and split == content.main and len(content.runs) > 1 else ""
    settings = _settings(shown)
    return (
        f'<tr{first}><th scope="row">{key if len(content.runs) > 1 else ""}{esc(shown.name)}'
        f"<small>{esc(settings)}</small>{mark}</th>{told}"
        f"<td class=end>{chip}<small>{esc(duration(run.seconds))}</small></td></tr>"
    )


def _small(text: str) -> str:
    return f"<small>{esc(text)}</small>" if text else ""


def _accuracy(evaluation: RunEvaluation | None) -> float | None:
    return evaluation.metrics.get(ACCURACY) if evaluation is not None else None


def _step(evaluation: RunEvaluation | None) -> str:
    return f"step {words.whole(evaluation.step)}" if evaluation is not None else ""


def _settings(shown: RunShown) -> str:
    """What tells runs apart, briefly."""
    config = shown.run.config
    known = [
        _model(config.get("model")),
        *(
            f"{name} {words.figure(value)}"
            for key, name in (("learning_rate", "lr"), ("lora_r", "r"), ("lora_alpha", "alpha"))
            if isinstance(value := config.get(key), (int, float)) and not isinstance(value, bool)
        ),
    ]
    return ", ".join(filter(None, known))


def _model(value: object) -> str:
    """A model's name; of one on a disk, its folder's."""
    name = str(value or "")
    return (name.rstrip("/").rpartition("/")[2] if name[:1] in ("/", ".", "~") else name)[:60]


# The rest -----------------------------------------------------------------------------------------------------------


def _gallery(content: Content, samples: int) -> str:
    evaluation = content.best_evaluation
    if content.best is None or evaluation is None:
        return ""
    found = gallery(content.best.run, evaluation, most=samples)
    if found is None:
        return ""
    return found.html(f"{content.best.name} at step {words.whole(evaluation.step)}")


def _adapters(content: Content) -> str:
    rows = [
        f"<li>{esc(shown.name)}{esc(_at_best(content, shown))}"
        f'<code class="command">oaml adapter pull {esc(shown.adapter)}</code></li>'
        for shown in _ordered(content, content.main)
        if shown.adapter
    ]
    if not rows:
        return ""
    return (
        '<div class="panel"><p class="small">The LoRA adapters of the best evaluations, as W&amp;B artifacts.</p>'
        f'<ul class="links">{"".join(rows)}</ul></div>'
    )


def _at_best(content: Content, shown: RunShown) -> str:
    one = shown.sets.get(content.main)
    best = one.best if one is not None else None
    return f", {words.percent(_accuracy(best))} at {_step(best)}" if best is not None else ""


def _links(content: Content) -> str:
    rows, local = [], False
    for shown in content.runs:
        run = shown.run
        named = [("W&B", run.url), ("viewer", run.viewer_url), ("dashboard", run.dashboard_url)]
        there = [link(url, name) for name, url in named if url]
        local = local or any(url and words.is_local(url) for _, url in named)
        if there:
            rows.append(f"<li>{esc(shown.name)}: {' '.join(there)}</li>")
    if not rows:
        return ""
    note = (
        '<p class="muted small">Links to localhost open on the machine where <code>oaml view</code> runs.</p>'
        if local
        else ""
    )
    return f'<div class="panel"><ul class="links">{"".join(rows)}</ul>{note}</div>'


def _method(content: Content) -> str:
    said: Sequence[str] = (
        "The model answers each sample by generation, as in use, and a sample counts as right where the click lies in "
        "the target's box; edges count, and an answer that can't be read is wrong. A target without a box is a point "
        "with a tolerance.",
        "The interval is Wilson's at 95 %: how far chance alone could have moved the share. The distance is the mean "
        "from the click to the target's centre, x over the screen's width and y over its height, over the samples "
        "with a readable click. The base model is the same model with the adapter switched off.",
        "Runs are ranked by their best evaluation, accuracy first, then the smaller distance; the best of many is a "
        "little flattered by chance. Runs evaluated on other samples or by other rules, by the evaluation set's "
        "fingerprint, are marked and not ranked.",
    )
    return f'<div class="small muted">{"".join(f"<p>{esc(text)}</p>" for text in said)}</div>'
