"""The tests' own server, against the real SDK: what is sent to it is there, and what is wrong with it is wrong."""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener, urlopen

import pytest

from .loopback import API_KEY, ENTITY, PROJECT, Kind, Loopback, Run, loopback, own_process

pytestmark = pytest.mark.newest_only  # of other packages it is about wandb alone

if TYPE_CHECKING:
    import wandb


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for the test's runs, with none of W&B's variables set."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    import wandb

    wandb.teardown()


@pytest.fixture
def server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """A server that this process's runs are sent to."""
    import wandb

    with loopback() as started:
        for name, value in started.environment().items():
            monkeypatch.setenv(name, value)
        yield started
        started.mend()
        wandb.teardown()


def settings(**given: Any) -> wandb.Settings:
    import wandb

    # Seconds, not their defaults of 15: the SDK takes whole ones alone.
    fast = {"x_file_stream_retry_wait_min_seconds": 1, "x_file_stream_transmit_interval": 1}
    return wandb.Settings(console="off", x_disable_stats=True, **{**fast, **given})


def send(losses: list[int], **init: Any) -> None:
    import wandb

    with wandb.init(settings=settings(), **init) as run:
        for loss in losses:
            run.log({"loss": loss})


def segment(losses: list[int], **init: Any) -> Path:
    """A part of a run on disk; gives its folder."""
    import wandb

    with wandb.init(mode="offline", settings=settings(), **init) as run:
        for loss in losses:
            run.log({"loss": loss})
        return Path(run.dir).parent


def sync(server: Loopback, *segments: Path, **environment: str) -> str:
    """Send parts of runs as a user does; gives what was printed."""
    variables = {**os.environ, **server.environment(), "WANDB_SILENT": "false", **environment}
    command = [sys.executable, "-m", "wandb", "sync", *map(str, segments)]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=True).stderr


def rows(run: Run) -> list[tuple[int, int]]:
    return [(row["_step"], row["loss"]) for row in run.history]


def ask(
    server: Loopback, path: str = "/graphql", *, operation: str = "Viewer", key: str = API_KEY, timeout: float = 10
) -> Any:
    """One request as the SDK makes it; gives the decoded answer."""
    body = {"query": f"query {operation} {{ x }}", "variables": {"name": "r"}} if path == "/graphql" else {}
    headers = {"Authorization": f"Basic {base64.b64encode(f'api:{key}'.encode()).decode()}"} if key else {}
    request = Request(server.url + path, json.dumps(body).encode(), headers)
    with build_opener(ProxyHandler({})).open(request, timeout=timeout) as response:
        return json.loads(response.read())


# Runs ----------------------------------------------------------------------------------------------------------------


def test_a_run_arrives_as_it_was_logged(server: Loopback) -> None:
    """Rows, configuration, summary, names and the end are what the script said."""
    import wandb

    named: dict[str, Any] = {"name": "first", "group": "night", "tags": ["lora"], "notes": "short"}
    with wandb.init(id="a", config={"rank": 8}, settings=settings(), **named) as run:
        for loss in (5, 4, 3):
            run.log({"loss": loss})
        run.summary["best"] = 3
        run.alert("Done", "It is over.")
    sent = server.runs["a"]
    assert (sent.entity, sent.project, sent.path) == (ENTITY, PROJECT, f"{ENTITY}/{PROJECT}/a")
    assert rows(sent) == [(0, 5), (1, 4), (2, 3)]
    assert rows(sent) == [(row["_step"], row["loss"]) for row in server.history]
    assert sent.config == {"rank": 8}
    assert (sent.summary["loss"], sent.summary["best"]) == (3, 3)
    assert (sent.name, sent.group, sent.tags, sent.notes) == ("first", "night", ["lora"], "short")
    assert (sent.state, sent.exit_code, sent.deleted) == ("finished", 0, False)
    assert [alert["title"] for alert in sent.alerts] == ["Done"]
    assert abs(sent.heartbeat - time.time()) < 60


def test_a_run_that_failed_says_so(server: Loopback) -> None:
    """An exit code other than 0 is `failed`; after a notice of preemption it is `preempted`."""
    import wandb

    wandb.init(id="failed", settings=settings()).finish(exit_code=3)
    with wandb.init(id="preempted", settings=settings()) as run:
        run.mark_preempting()
        wait_until(lambda: server.runs["preempted"].state == "preempting")
        run.finish(exit_code=1)
    assert (server.runs["failed"].state, server.runs["failed"].exit_code) == ("failed", 3)
    assert server.runs["preempted"].state == "preempted"


def test_runs_of_one_id_in_two_projects_are_two(server: Loopback) -> None:
    """Where the id alone says too little, the path is asked for."""
    send([1], id="a")
    send([2], id="a", project="other")
    assert rows(server.runs[f"{ENTITY}/{PROJECT}/a"]) == [(0, 1)]
    assert rows(server.runs[f"{ENTITY}/other/a"]) == [(0, 2)]
    with pytest.raises(KeyError, match="several projects"):
        server.runs["a"]


def test_a_resumed_run_goes_on(server: Loopback) -> None:
    """Its rows and steps follow those that are there, and its configuration is added to."""
    import wandb

    send([5, 4], id="a", config={"rank": 8})
    with wandb.init(id="a", resume="must", config={"alpha": 16}, settings=settings()) as run:
        assert run.resumed
        run.log({"loss": 3})
    assert rows(server.runs["a"]) == [(0, 5), (1, 4), (2, 3)]
    assert server.runs["a"].config == {"rank": 8, "alpha": 16}
    assert server.runs["a"].exit_codes == [0, 0]


def test_a_rewound_run_has_each_step_once(server: Loopback) -> None:
    """Rows after the step are gone, and the next row has the next step."""
    import wandb

    send([5, 4, 3, 2], id="a", config={"rank": 8})
    with wandb.init(resume_from="a?_step=1", settings=settings()) as run:
        assert [row["_step"] for row in server.runs["a"].history] == [0, 1]
        assert server.runs["a"].summary["loss"] == 4
        run.log({"loss": 30})
        assert run.step == 3
        run.log({"loss": 20})
    assert rows(server.runs["a"]) == [(0, 5), (1, 4), (2, 30), (3, 20)]
    assert server.runs["a"].rewinds == [1]
    assert server.runs["a"].config == {"rank": 8}


@pytest.mark.parametrize(
    ("point", "refuses", "said"),
    [("a?_step=0", True, "Cannot query field"), ("b?_step=0", False, "not found"), ("a?_step=9", False, "no step 9")],
    ids=["refused", "no run", "no step"],
)
def test_a_rewind_that_cannot_be_is_an_error(server: Loopback, point: str, refuses: bool, said: str) -> None:
    """A server without rewinds, a run and a step that aren't there: `init` fails, and nothing is changed."""
    import wandb

    send([5, 4], id="a")
    server.refuses_rewind = refuses
    with pytest.raises(wandb.errors.CommError, match=said):
        wandb.init(resume_from=point, settings=settings())
    assert rows(server.runs["a"]) == [(0, 5), (1, 4)]


def test_a_deleted_run_keeps_its_id(server: Loopback) -> None:
    """Its id is answered 409; the SDK tries that again until `init_timeout`."""
    import wandb

    send([5], id="a")
    server.delete_run("a")
    with pytest.raises(wandb.errors.CommError, match="409"):
        wandb.init(id="a", resume="allow", settings=settings(init_timeout=1.5))
    assert {request.status for request in server.requests if request.operation == "UpsertBucket"} == {200, 409}


def test_the_public_api_reads_runs(server: Loopback) -> None:
    """State, last step, configuration, summary and rows; a run that isn't there, or not any more, is an error."""
    import wandb

    send([5, 4], id="a", config={"rank": 8})
    server.crash_run("a")
    run = wandb.Api().run(f"{ENTITY}/{PROJECT}/a")
    assert (run.state, run.lastHistoryStep, run.config, run.summary["loss"]) == ("crashed", 1, {"rank": 8}, 4)
    assert run.historyLineCount == 2
    assert run.heartbeatAt.startswith(time.strftime("%Y-", time.gmtime()))
    assert [row["loss"] for row in run.history(pandas=False)] == [5, 4]
    assert [row["loss"] for row in run.history(keys=["loss"], pandas=False)] == [5, 4]
    assert [row["loss"] for row in run.scan_history()] == [5, 4]
    assert [row["loss"] for row in run.scan_history(min_step=1)] == [4]
    assert [found.id for found in wandb.Api().runs(f"{ENTITY}/{PROJECT}")] == ["a"]
    with pytest.raises(wandb.errors.CommError, match="Could not find"):
        wandb.Api().run(f"{ENTITY}/{PROJECT}/b")
    run.delete()
    assert server.runs["a"].deleted
    with pytest.raises(wandb.errors.CommError, match="Could not find"):
        wandb.Api().run(f"{ENTITY}/{PROJECT}/a")


# Runs on disk --------------------------------------------------------------------------------------------------------


def test_parts_of_a_run_are_synced_in_the_order_of_their_starts(folder: Path) -> None:
    """The rows follow each other, whatever the order on the command line; the steps begin again."""
    first = segment([5, 4], id="a", project=PROJECT)
    second = segment([3, 2], id="a", project=PROJECT)
    with loopback() as server:
        sync(server, second, first)
        assert rows(server.runs["a"]) == [(0, 5), (1, 4), (0, 3), (1, 2)]
        assert "No runs to sync" in sync(server, first, second)
        assert len(server.runs["a"].history) == 4


def test_parts_that_are_synced_with_resume_have_steps_that_go_on(folder: Path) -> None:
    """`WANDB_RESUME=allow`, set for `wandb sync`, is what makes one run of two parts."""
    first = segment([5, 4], id="a", project=PROJECT, config={"rank": 8})
    second = segment([3, 2], id="a", project=PROJECT, config={"alpha": 16})
    with loopback() as server:
        sync(server, first, second, WANDB_RESUME="allow")
        assert rows(server.runs["a"]) == [(0, 5), (1, 4), (2, 3), (3, 2)]
        assert server.runs["a"].config == {"rank": 8, "alpha": 16}


def test_a_part_that_rewinds_rewinds_when_it_is_synced(folder: Path) -> None:
    """Each step is there once, however often the part is sent."""
    first = segment([5, 4, 3], id="a", project=PROJECT)
    second = segment([30, 20], resume_from="a?_step=1", project=PROJECT)
    with loopback() as server:
        sync(server, first)
        for _ in range(2):
            sync(server, second)
            assert rows(server.runs["a"]) == [(0, 5), (1, 4), (2, 30), (3, 20)]
            next(second.glob("*.synced")).unlink()


def test_a_part_is_marked_as_synced_although_its_rows_were_refused(folder: Path) -> None:
    """The SDK's mark says nothing of the rows: they were not taken, and are not sent again."""
    part = segment([5, 4], id="a", project=PROJECT)
    with loopback() as server:
        server.fault("404", where="file_stream")
        assert "Fatal error while uploading data" in sync(server, part)
        server.mend()
        assert "No runs to sync" in sync(server, part)
        assert server.runs["a"].history == []


# Faults --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["500", "429", "401", "403", "404", "413"])
def test_a_status_is_answered_until_it_is_mended(kind: Kind) -> None:
    """Every request gets it; 429 says when to come again."""
    with loopback() as server:
        server.fault(kind)
        with pytest.raises(HTTPError) as raised:
            ask(server)
        assert raised.value.code == int(kind)
        assert raised.value.headers["Retry-After"] == ("1" if kind == "429" else None)
        server.mend()
        assert ask(server)["data"]["viewer"]["entity"] == ENTITY
        assert [request.status for request in server.requests] == [int(kind), 200]


def test_a_server_that_hangs_accepts_and_says_nothing() -> None:
    """The client's own limit ends the wait; when it is mended, who still waits loses the connection."""
    with loopback() as server:
        server.fault("hang")
        with pytest.raises(TimeoutError):
            ask(server, timeout=0.3)
        threading.Timer(0.3, server.mend).start()
        with pytest.raises(http.client.RemoteDisconnected):
            ask(server, timeout=10)
        assert ask(server)


def test_a_dropped_answer_is_cut_off() -> None:
    """What was asked is done, and only half of the answer comes."""
    with loopback() as server:
        server.fault("drop")
        with pytest.raises((http.client.HTTPException, ValueError)):
            ask(server, operation="UpsertBucket")
        assert list(server.runs) == ["r"]


def test_garbage_is_no_json() -> None:
    """Its status says that all is well."""
    with loopback() as server:
        server.fault("garbage")
        with pytest.raises(ValueError, match="Expecting value"):
            ask(server)


def test_a_server_that_refuses_comes_back_on_the_same_port() -> None:
    """Connections are refused at once or after so many requests, open ones are cut."""
    with loopback() as server:
        ask(server)
        for after in (0, 1):
            server.fault("refuse", after=after)
            for _ in range(after):
                ask(server)
            if after:
                with pytest.raises((URLError, ConnectionError)):
                    ask(server)
                time.sleep(0.2)
            with pytest.raises(URLError, match="refused"):
                ask(server)
            server.mend()
            ask(server)


def test_a_fault_concerns_what_it_names() -> None:
    """Kinds of requests or GraphQL operations; some may pass first, and it ends after so many."""
    with loopback() as server:
        server.fault("500", where={"storage", "CreateArtifact"})
        server.fault("403", where="Viewer", after=1, count=2)
        seen = []
        for path, operation in [("/storage/x", ""), ("/graphql", "CreateArtifact"), *[("/graphql", "Viewer")] * 4]:
            try:
                ask(server, path, operation=operation)
            except HTTPError as error:
                seen.append(error.code)
            else:
                seen.append(200)
        assert seen == [500, 500, 200, 403, 403, 200]
        with pytest.raises(ValueError, match="Unknown kind"):
            server.fault("flood")  # type: ignore[arg-type]


def test_lines_that_are_sent_again_are_there_once(server: Loopback) -> None:
    """The SDK repeats what it got no whole answer for; the lines' numbers say that they are the same."""
    import wandb

    with wandb.init(id="a", settings=settings()) as run:
        run.log({"loss": 5})
        wait_until(lambda: len(server.runs["a"].history) == 1)
        server.fault("drop", where="file_stream", count=2)
        run.log({"loss": 4})
        wait_until(lambda: len(server.runs["a"].history) == 2)
        taken = server.runs["a"].streams
    assert server.runs["a"].streams >= taken + 2
    assert rows(server.runs["a"]) == [(0, 5), (1, 4)]


@pytest.mark.parametrize("kind", ["refuse", "500", "429", "hang"])
def test_rows_of_an_outage_arrive_when_it_is_over(server: Loopback, kind: Kind) -> None:
    """What was logged meanwhile is kept by the SDK."""
    import wandb

    with wandb.init(id="a", settings=settings()) as run:
        run.log({"loss": 5})
        wait_until(lambda: len(server.runs["a"].history) == 1)
        server.fault(kind)
        run.log({"loss": 4})
        time.sleep(1.5)  # longer than the stream's interval
        assert len(server.runs["a"].history) == 1
        server.mend()
    assert rows(server.runs["a"]) == [(0, 5), (1, 4)]


# The door ------------------------------------------------------------------------------------------------------------


def test_the_key_is_checked() -> None:
    """A missing one and another are answered 401, unless any will do."""
    with loopback() as server:
        for key in ("", "b" * 40):
            with pytest.raises(HTTPError, match="401"):
                ask(server, key=key)
    with loopback(any_key=True) as server:
        ask(server, key="")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the certificate is made by openssl")
def test_its_certificate_is_unknown() -> None:
    """Who checks certificates doesn't talk to it."""
    with loopback(tls=True, any_key=True) as server:
        with pytest.raises(URLError, match="CERTIFICATE_VERIFY_FAILED"):
            ask(server)
        unchecked = ssl.create_default_context()
        unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
        with urlopen(Request(f"{server.url}/graphql", b"{}"), timeout=10, context=unchecked) as response:
            assert response.status == 200


def test_a_server_in_its_own_process_is_controlled_from_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes runs, breaks, and can be asked what it has while nobody else can reach it."""
    with own_process() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        send([5, 4], id="a", config={"rank": 8})
        server.fault("refuse")
        with pytest.raises(URLError, match="refused"):
            urlopen(f"{server.url}/graphql", timeout=10)
        assert rows(server.runs["a"]) == [(0, 5), (1, 4)]
        assert server.runs["a"].config == {"rank": 8}
        assert "UpsertBucket" in server.state()["operations"]
        server.mend()
        server.fault("500", where={"graphql"}, count=1)
        with pytest.raises(HTTPError, match="500"):
            urlopen(Request(f"{server.url}/graphql", b"{}"), timeout=10)
        server.delete_run("a")
        assert server.runs["a"].deleted
        with pytest.raises(HTTPError, match="400"):
            server.fault("flood")  # type: ignore[arg-type]


def wait_until(what: Any) -> None:
    deadline = time.monotonic() + 10
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)
