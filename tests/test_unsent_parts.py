"""Which of a run's several parts the server lacks, as far as their files and W&B's logs tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from oaml_callbacks.core_log import CORE_LOG, CoreLog
from oaml_callbacks.sync import UNSENT, has_hole, unsent_parts, unsent_rest

from .run_parts import RUN, part, rewinds_to, steps, tells, write_parts

pytestmark = pytest.mark.newest_only  # of other packages it is about wandb alone


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parts(tmp_path_factory.mktemp("made"))


def test_offline_parts_are_sent_as_they_are(made: Path, tmp_path: Path) -> None:
    """Each of them, oldest first, but for those that were sent already."""
    parts = [part(made, tmp_path, prefix=f"offline-run-{number}") for number in range(3)]
    assert unsent_parts(parts) == parts
    (parts[1] / f"run-{RUN}.wandb.synced").touch()
    assert unsent_parts(parts) == [parts[0], parts[2]]
    assert unsent_parts([]) == []


def test_what_came_before_an_online_part_is_on_the_server(made: Path, tmp_path: Path) -> None:
    """When the run was online again, earlier rests were sent, or written again."""
    offline = part(made, tmp_path)
    rest = tells(part(made, tmp_path, prefix="run-2"), 2)
    last = tells(part(made, tmp_path, prefix="run-3", killed=True), 5)
    assert unsent_parts([offline, rest, last]) == []
    assert unsent_parts([offline, rest]) == [rest / UNSENT]
    assert steps(rest / UNSENT) == [2, 3, 4]


def test_an_online_part_that_never_reached_the_server_hides_nothing(made: Path, tmp_path: Path) -> None:
    """Nor do offline ones: each is sent."""
    rest = tells(part(made, tmp_path, prefix="run-1"), 3)
    silent, offline = part(made, tmp_path, prefix="run-2"), part(made, tmp_path, prefix="offline-run-3")
    assert unsent_parts([rest, silent, offline]) == [rest / UNSENT, silent, offline]


def test_the_server_can_settle_what_nobody_knows(made: Path, tmp_path: Path) -> None:
    """Rows were on their way when the connection was lost: rewound if nobody can be asked, else sent from there on."""
    folder = tells(part(made, tmp_path, prefix="run-1", killed=True), 2, dropped=4)
    assert unsent_parts([folder]) == [folder / UNSENT]
    assert (steps(folder / UNSENT), rewinds_to(folder / UNSENT)) == ([2, 3, 4], [1])
    unsent_parts([folder], last=2)
    assert (steps(folder / UNSENT), rewinds_to(folder / UNSENT)) == ([3, 4], [])


def test_an_answer_of_somebody_else_is_settled_by_nobody(made: Path, tmp_path: Path) -> None:
    """Later rows may be there while these are not: the run is rewound to the last that is there for sure."""
    folder = tells(part(made, tmp_path, prefix="run-1", killed=True), 2)
    assert not has_hole([folder])
    tells(folder, 2, answered_by_others=3)
    assert has_hole([folder, part(made, tmp_path)])
    unsent_parts([folder], last=4)
    assert (steps(folder / UNSENT), rewinds_to(folder / UNSENT)) == ([2, 3, 4], [1])


@pytest.mark.parametrize(
    ("arrived", "dropped", "last", "left"),
    [
        pytest.param(0, 0, None, [0, 1, 2, 3, 4], id="nobody knows of any"),
        pytest.param(0, 0, 2, [3, 4], id="more are there than was told"),
        pytest.param(0, 3, -1, [0, 1, 2, 3, 4], id="what was on its way is not there"),
        pytest.param(0, 3, 1, [2, 3, 4], id="some of it is"),
        pytest.param(2, 4, None, [2, 3, 4], id="nobody can be asked"),
        pytest.param(2, 4, 4, [], id="all are"),
    ],
)
def test_what_is_left_of_a_run_that_has_ended(
    made: Path, tmp_path: Path, arrived: int, dropped: int, last: int | None, left: list[int]
) -> None:
    """The server's word counts for the first rows too, before which there is none that it could be rewound to."""
    folder = tells(part(made, tmp_path, prefix="run-1"), arrived, dropped=dropped)
    log = CoreLog(folder / CORE_LOG)
    log.read()
    (own,) = unsent_rest([], folder, log, last)
    assert steps(own) == left


def test_what_was_before_it_is_looked_at_again(made: Path, tmp_path: Path) -> None:
    """It may have arrived since, and is left as it was where nobody can be asked."""
    earlier, own = part(made, tmp_path, prefix="run-1", killed=True), part(made, tmp_path, name="later")
    assert unsent_rest([earlier], own, None, -1) == [earlier, own]
    assert unsent_rest([earlier], own, None, 4) == [own]
    assert unsent_rest([earlier / UNSENT], own, None, None) == [earlier / UNSENT, own]
    assert unsent_rest([earlier / UNSENT], own, None, 1) == [earlier / UNSENT, own]
    assert steps(earlier / UNSENT) == [2, 3, 4]
