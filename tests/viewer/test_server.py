"""The server: pages, pieces and pictures by URL, errors that say what is wrong, and nothing changed by looking."""

from __future__ import annotations

import gzip
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from oaml_callbacks.run_folder import layout
from oaml_callbacks.viewer.pages import page_names

from ..run_folders import learning, write_run
from .raw_runs import SAMPLES, evaluation, lines, raw_run, strict
from .serving import serving

OF_RUN = "run=abc123&set=eval&evaluation=eval@10&block=0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound run, a damaged one, and a file beside them that is nobody's business."""
    parent = tmp_path_factory.mktemp("place")
    runs = parent / "runs"
    write_run(runs, reports=learning(30, 2))
    damaged = {layout.RUN: "[", layout.PROGRESS: "{", layout.HISTORY: "x\n", SAMPLES: "{\n[]\n"}
    rows = lines(evaluation(), evaluation(20, set="up", samples="../../secret.png", answers="/etc/passwd"))
    raw_run(runs, {**damaged, layout.EVALUATIONS: rows}, "damaged")
    (parent / "secret.png").write_bytes(b"\x89PNG\r\n\x1a\nsecret")
    (runs / "abc123" / "link.png").symlink_to(parent / "secret.png")
    (runs / "up").symlink_to(parent)
    return runs


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with serving(folder) as address:
        yield address


def picture_of(url: str) -> str:
    path = httpx.get(f"{url}data/sample_block?{OF_RUN}").json()[0]["picture"]
    return f"run=abc123&path={path}"


def as_it_is(url: str, target: str) -> bytes:
    """The answer to a request whose path no client has tidied."""
    port = urlsplit(url).port
    with socket.create_connection(("127.0.0.1", port or 0), timeout=10) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode("latin-1"))
        return b"".join(iter(lambda: connection.recv(65536), b""))


class TestPages:
    def test_the_list_of_runs_is_the_first_page(self, url: str) -> None:
        answer = httpx.get(url)
        assert answer.text == httpx.get(f"{url}index.html").text
        assert answer.headers["content-type"] == "text/html; charset=utf-8"

    def test_every_file_of_the_pages_is_there(self, url: str) -> None:
        kinds = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
        with httpx.Client(base_url=url) as client:
            for name in page_names():
                answer = client.get(name)
                assert answer.status_code == 200, name
                assert answer.headers["content-type"].startswith(kinds[name.rpartition(".")[2]]), name

    def test_the_charts_library_is_plotlys_own(self, url: str) -> None:
        assert b"plotly" in httpx.get(f"{url}plotly.min.js").content[:2000].lower()

    @pytest.mark.parametrize(
        "name", ["nothing.html", "__init__.py", "__pycache__", "index", "INDEX.HTML", ".", "package.json"]
    )
    def test_nothing_else_is(self, url: str, name: str) -> None:
        answer = as_it_is(url, f"/{name}")
        assert answer.startswith(b"HTTP/1.1 404")
        assert b'{"error":"there is' in answer

    @pytest.mark.parametrize(
        "target",
        [
            "/../server.py",
            "/..%2fserver.py",
            "/%2e%2e/server.py",
            "/%2e%2e%2fserver.py",
            "/..\\server.py",
            "//etc/passwd",
            "/%2fetc%2fpasswd",
            "/index.html%00.png",
            "/index.html/",
            "/data/../index.html",
            "/data/%2e%2e%2frun?run=abc123",
            "/\xff\xfe",
            "/" + "x" * 9999,
        ],
    )
    def test_no_path_leads_out_of_them(self, url: str, target: str) -> None:
        answer = as_it_is(url, target)
        assert answer.split(b" ", 2)[1] in (b"400", b"404", b"307")
        assert b"def " not in answer
        assert b"root:" not in answer

    def test_the_icon_that_browsers_ask_for_is_the_pages(self, url: str) -> None:
        answer = httpx.get(f"{url}favicon.ico", follow_redirects=True)
        assert answer.headers["content-type"] == "image/svg+xml"


class TestPieces:
    @pytest.mark.parametrize(
        "name", ["runs", "run", "history", "samples", "ids", "sample_block", "verdicts", "answers", "track"]
    )
    def test_each_is_there_by_its_url(self, url: str, name: str) -> None:
        answer = httpx.get(f"{url}data/{name}?{OF_RUN}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        assert strict(answer.content)

    @pytest.mark.parametrize(
        ("query", "said"),
        [
            ("data/nothing?run=abc123", "there is no piece nothing"),
            ("data/run", "there is no run "),
            ("data/run?run=gone", "there is no run gone in runs"),
            ("data/run?run=../runs/abc123", "there is no run ../runs/abc123"),
            ("data/run?run=up/runs/abc123", "there is no run up/runs/abc123"),
            ("data/run?run=%00%ff", "there is no run"),
            ("data/samples?run=abc123&set=web", "the run has no evaluation set web"),
            ("data/verdicts?run=abc123&evaluation=eval@11", "the run has no evaluation eval@11"),
            ("data/track?run=abc123&set=eval&block=x", "block must be a number from 0 on, found x"),
            ("picture?run=abc123&path=gone.png", "gone.png isn't there"),
            ("picture?run=gone&path=a.png", "there is no run gone"),
            ("data", "there is no page data"),
            ("data/runs/more", "there is nothing at this address"),
        ],
    )
    def test_what_is_not_there_is_named(self, url: str, query: str, said: str) -> None:
        answer = httpx.get(url + query)
        assert answer.status_code == 404
        assert said in answer.json()["error"]

    def test_an_error_repeats_no_markup_as_such(self, url: str) -> None:
        answer = httpx.get(f"{url}data/run?run=<script>alert(1)</script>")
        assert answer.headers["content-type"] == "application/json"

    def test_of_a_damaged_run_each_is_there_and_says_what_is_wrong(self, url: str) -> None:
        for name in ("run", "history", "samples", "ids", "sample_block", "verdicts", "answers", "track"):
            answer = httpx.get(f"{url}data/{name}?run=damaged&set=eval&evaluation=eval@10&block=0")
            assert answer.status_code == 200, answer.text
            strict(answer.content)
        problems = httpx.get(f"{url}data/run?run=damaged").json()["problems"]
        assert len(problems) == 5
        assert httpx.get(f"{url}data/history?run=damaged").json()["problems"]

    def test_no_file_outside_is_read_for_a_hostile_run(self, url: str) -> None:
        for query in ("samples?run=damaged&set=up", "answers?run=damaged&evaluation=up@20&block=0"):
            answer = httpx.get(f"{url}data/{query}")
            assert answer.status_code == 200
            assert "root:" not in answer.text

    def test_a_run_may_be_asked_for_as_current(self, url: str) -> None:
        assert httpx.get(f"{url}data/run?run=current").json()["key"] == "abc123"

    def test_a_run_that_is_written_meanwhile_is_shown_as_it_is_now(self, tmp_path: Path) -> None:
        run = raw_run(tmp_path, {layout.HISTORY: lines({"train/global_step": 1, "train/loss": 2.0})})
        with serving(tmp_path) as address:
            first = httpx.get(f"{address}data/history?run=raw")
            with open(run / layout.HISTORY, "a") as file:
                file.write(lines({"train/global_step": 2, "train/loss": 1.0}))
            now = httpx.get(f"{address}data/history?run=raw", headers={"If-None-Match": first.headers["etag"]})
            assert (first.json()["rows"], now.status_code, now.json()["rows"]) == (1, 200, 2)

    def test_a_run_that_is_deleted_meanwhile_is_an_error_and_no_crash(self, tmp_path: Path) -> None:
        run = raw_run(tmp_path, {layout.RUN: "{}", layout.HISTORY: lines({"train/global_step": 1, "train/loss": 2.0})})
        with serving(tmp_path) as address:
            assert httpx.get(f"{address}data/history?run=raw").json()["rows"] == 1
            (run / layout.HISTORY).unlink()
            (run / layout.RUN).unlink()
            answer = httpx.get(f"{address}data/history?run=raw")
            assert (answer.status_code, answer.json()) == (404, {"error": f"there is no run raw in {tmp_path.name}"})
            assert httpx.get(f"{address}data/runs").status_code == 200


class TestNothingSentTwice:
    @pytest.mark.parametrize("query", [f"data/history?{OF_RUN}", "viewer.html", "plotly.min.js"])
    def test_what_the_browser_has_is_not_sent_again(self, url: str, query: str) -> None:
        first = httpx.get(url + query)
        again = httpx.get(url + query, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]

    def test_one_of_several_tags_is_enough(self, url: str) -> None:
        tag = httpx.get(f"{url}data/history?{OF_RUN}").headers["etag"]
        several = {"If-None-Match": f'"other", W/{tag}'}
        assert httpx.get(f"{url}data/history?{OF_RUN}", headers=several).status_code == 304

    def test_another_tag_is_not(self, url: str) -> None:
        assert httpx.get(f"{url}viewer.html", headers={"If-None-Match": '"other"'}).status_code == 200

    def test_data_are_asked_for_anew_each_time(self, url: str) -> None:
        assert httpx.get(f"{url}data/history?{OF_RUN}").headers["cache-control"] == "private, no-cache"

    def test_pictures_may_be_kept_for_an_hour(self, url: str) -> None:
        answer = httpx.get(f"{url}picture?{picture_of(url)}")
        assert answer.headers["cache-control"] == "private, max-age=3600"


class TestCompression:
    @pytest.mark.parametrize("query", [f"data/answers?{OF_RUN}", "viewer.js"])
    def test_who_takes_gzip_gets_it(self, url: str, query: str) -> None:
        plain = httpx.get(url + query, headers={"Accept-Encoding": "identity"})
        with httpx.stream("GET", url + query, headers={"Accept-Encoding": "br, gzip"}) as answer:
            sent = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert gzip.decompress(sent) == plain.content
        assert len(sent) < len(plain.content)

    def test_caches_are_told_that_there_are_two(self, url: str) -> None:
        assert httpx.get(f"{url}data/answers?{OF_RUN}").headers["vary"] == "Accept-Encoding"


class TestPictures:
    def test_a_samples_picture_and_its_thumbnail(self, url: str) -> None:
        for kind in ("picture", "thumbnail"):
            answer = httpx.get(f"{url}{kind}?{picture_of(url)}")
            assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
            assert answer.content.startswith(b"\xff\xd8\xff")

    @pytest.mark.parametrize("kind", ["picture", "thumbnail"])
    @pytest.mark.parametrize(
        "path",
        [
            "../../secret.png",
            "../secret.png",
            "..%2f..%2fsecret.png",
            "%2e%2e%2f%2e%2e%2fsecret.png",
            "%252e%252e%252fsecret.png",
            "..%5c..%5csecret.png",
            "/secret.png",
            "/etc/passwd",
            "link.png",
            "a%00.png",
            "oaml/run.json",
            "oaml",
            "training_log.json",
            "",
            "x" * 9999 + ".png",
        ],
    )
    def test_nothing_else_is_given_as_one(self, url: str, kind: str, path: str) -> None:
        answer = as_it_is(url, f"/{kind}?run=abc123&path={path}")
        assert answer.split(b" ", 2)[1] == b"404"
        assert b"PNG" not in answer
        assert b"started_at" not in answer

    def test_an_absolute_path_is_none(self, url: str, folder: Path) -> None:
        assert httpx.get(f"{url}picture", params={"run": "abc123", "path": str(folder.parent / "secret.png")}).is_error


def test_nothing_is_changed_by_looking(tmp_path: Path) -> None:
    write_run(tmp_path, reports=learning(5, 2))
    raw_run(tmp_path, {layout.RUN: "[", SAMPLES: "{", layout.EVALUATIONS: lines(evaluation())}, "damaged")

    def files() -> dict[str, tuple[int, int, int]]:
        found = {path: path.lstat() for path in sorted(tmp_path.rglob("*"))}
        return {str(path): (one.st_size, one.st_mtime_ns, one.st_ino) for path, one in found.items()}

    before = files()
    with serving(tmp_path) as address, httpx.Client(base_url=address) as client:
        picture = picture_of(address)
        for query in (OF_RUN, OF_RUN.replace("abc123", "damaged"), "run=gone"):
            for name in ("runs", "run", "history", "samples", "ids", "sample_block", "verdicts", "answers", "track"):
                client.get(f"data/{name}?{query}")
        for path in (
            "",
            "viewer.html",
            f"picture?{picture}",
            f"thumbnail?{picture}",
            "picture?run=abc123&path=../a.png",
        ):
            client.get(path)
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            client.request(method, "data/run?run=abc123", content=b"{}")
    assert files() == before


def test_the_server_says_nothing_of_where_it_runs(url: str, folder: Path) -> None:
    for query in ("data/runs", "data/run?run=gone", f"data/run?{OF_RUN}", "picture?run=abc123&path=../x.png"):
        assert str(folder.parent) not in httpx.get(url + query).text


@pytest.mark.parametrize("module", ["server", "export", "bundle"])
def test_none_of_the_training_side_is_imported(module: str) -> None:
    heavy = ("torch", "transformers", "peft", "wandb", "plotly", "pandas", "numpy")
    code = f"import sys, oaml_callbacks.viewer.{module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
