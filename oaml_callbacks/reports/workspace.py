"""A saved W&B workspace whose panels are laid out for grounding."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from urllib.parse import quote, urlsplit

from ..clean_text import one_line
from ..keys import STEP_KEY
from . import panels
from .content import ReportError
from .wandb_access import TIMEOUT, asked, modules, require_account

NAME = "Grounding"
MAX_NAME = 128
_REFUSED = ("So", "Sk", "Sm", "Sc", "Cs", "Cc")
"""Categories of letters that W&B doesn't take in a workspace's name."""

OTHERWISE = "--dry-run prints what would be saved, without W&B."

COLUMNS = (
    "run:displayName",
    "summary:best/grounding_accuracy",
    "summary:best/grounding_distance",
    "summary:best/global_step",
    "summary:baseline/grounding_accuracy",
    "summary:outcome",
    "summary:viewer_url",
    "summary:dashboard_url",
)
"""Of the list of runs: who is the best, and the links that open a run."""

LINKS = """### Open a run

`viewer_url` and `dashboard_url`, in the list of runs at the left and in each run's summary, open it in `oaml view`:
every evaluated click with its screenshot, and the live dashboard. Links to localhost open on the machine where
`oaml view` runs; on another one, `ssh -L 8080:localhost:8080 MACHINE oaml view`.

- Which run is better, on the same samples: `oaml compare RUN RUN`
- A page or a W&B report to show to others: `oaml report RUNS --title T`
- The best adapter: `oaml adapter pull ENTITY/PROJECT/NAME:best`
"""


@dataclass(frozen=True)
class Where:
    """The workspace's entity and project; an empty entity only where nothing is saved."""

    entity: str
    project: str


def workspace_spec(where: Where, *, name: str = NAME) -> dict[str, Any]:
    """What would be saved, as W&B takes it. Asks nobody.

    Args:
        where: Its project.
        name: What it is called.

    Raises:
        ReportError: The package's extra is missing, or the name can't be one.
    """
    made = _made(where, name, modules())
    return {
        "entity": where.entity or None,
        "project": where.project,
        "name": name,
        "spec": made._to_model().spec.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def save_workspace(where: Where, *, name: str = NAME, seconds: float = TIMEOUT) -> str:
    """Save the workspace as a new view of its project.

    Args:
        where: Its project; without an entity that of the API key.
        name: What it is called.
        seconds: How long W&B may take.

    Returns:
        Its address.

    Raises:
        ReportError: There is no such project, W&B can't be asked, or doesn't save it.
    """
    _check_name(name)
    require_account(OTHERWISE)
    found = modules()

    def save() -> str:
        import wandb

        entity = where.entity or wandb.Api().default_entity
        if not entity:
            raise ReportError("whose project it is isn't known: --entity says so.")
        _check_project(entity, where.project)
        made = _made(Where(entity, where.project), name, found)
        made.save()
        return _address(made)

    return asked(save, "the workspace", otherwise=OTHERWISE, seconds=seconds)


def _check_project(entity: str, project: str) -> None:
    import wandb

    names = [found.name for found in wandb.Api().projects(entity)]
    if project not in names:
        raise ReportError(
            f"{one_line(entity)} has no project {one_line(project)} at W&B; a run makes it. There are: "
            f"{', '.join(map(one_line, names[:10])) or 'none'}."
        )


def _check_name(name: str) -> None:
    bad = next((letter for letter in name if unicodedata.category(letter) in _REFUSED), None)
    if bad is not None or not name.strip() or len(name) > MAX_NAME:
        why = f"has {bad!r} in it" if bad is not None else f"has {len(name)} characters"
        raise ReportError(f"the workspace's name {why}; W&B takes 1 to {MAX_NAME} letters, no emoji and no symbols.")


def _made(where: Where, name: str, found: tuple[ModuleType, ModuleType, ModuleType]) -> Any:
    _check_name(name)
    reports, workspaces, _ = found
    section = workspaces.Section
    return workspaces.Workspace(
        entity=where.entity,
        project=where.project,
        name=name,
        settings=workspaces.WorkspaceSettings(x_axis=STEP_KEY, max_runs=panels.MAX_RUNS),
        runset_settings=workspaces.RunsetSettings(pinned_columns=list(COLUMNS)),
        sections=[
            section(
                name="Grounding",
                is_open=True,
                pinned=True,
                layout_settings=workspaces.SectionLayoutSettings(columns=3, rows=2),
                panels=[
                    panels.accuracy(reports),
                    panels.distance(reports),
                    panels.against_base(reports),
                    *panels.others(reports),
                ],
            ),
            section(
                name="Answers",
                is_open=True,
                layout_settings=workspaces.SectionLayoutSettings(columns=1, rows=1),
                panels=[panels.graded_samples(reports)],
            ),
            section(
                name="Training",
                is_open=True,
                layout_settings=workspaces.SectionLayoutSettings(columns=4, rows=1),
                panels=[
                    panels.loss(reports),
                    panels.evaluation_loss(reports),
                    panels.rate(reports),
                    panels.gradients(reports),
                ],
            ),
            section(
                name="Links",
                is_open=True,
                layout_settings=workspaces.SectionLayoutSettings(columns=1, rows=1),
                panels=[reports.MarkdownPanel(markdown=LINKS)],
            ),
        ],
    )


def _address(made: Any) -> str:
    parts = urlsplit(made.url)
    return (
        f"{parts.scheme}://{parts.netloc}/{quote(made.entity, safe='')}/{quote(made.project, safe='')}?{parts.query}"
    )
