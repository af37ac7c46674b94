"""What is a secret and what only sounds like one; and the home directory."""

from __future__ import annotations

import os
import string
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import GenerationConfig, Qwen2_5_VLConfig, Qwen3VLConfig, TrainingArguments

from oaml_callbacks.secret_names import secret_strength
from oaml_callbacks.secrets import HIDDEN, redacted, redacted_arguments, redacted_text

HEX_KEY = "0123456789abcdef0123456789abcdef01234567"
COMMIT = "5f2912f9131277e896e21c3d0179f204731a7c4f"

SECRET_NAMES = """
    token hub_token hubToken HF_TOKEN use_auth_token push_to_hub_token wandb_token access_token api-token session.token
    user_token API_KEY apikey apiKey OPENAI_API_KEY x-api-key WANDB_API_KEY private_key access_key accessKey
    AWS_SECRET_ACCESS_KEY aws_access_key_id secret client_secret password passwd db_password PGPASSWORD passphrase
    Authorization proxy-authorization credential credentials auth http_auth db_pass cookie set-cookie
"""

INNOCENT_NAMES = """
    num_tokens max_new_tokens pad_token pad_token_id eos_token eos_token_id bos_token image_token image_token_id
    video_token_id vision_start_token_id decoder_start_token_id tokenizer token_accuracy special_tokens
    additional_special_tokens token_type_ids tokens_per_second average_tokens_across_devices num_key_value_heads key
    keys label_names seed author authors dataloader_pin_memory forward_pass passed bypass signature_columns
    include_num_input_tokens_seen credentials_file HF_TOKEN_PATH password_length secret_name tokenizer_name tokens
    remove_unused_columns compass num_passes SSH_AUTH_SOCK group_by_length monkey hotkey
"""


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_a_name_that_says_secret_hides_its_value(name: str) -> None:
    assert redacted({name: "some-value"}) == {name: HIDDEN}


@pytest.mark.parametrize("name", INNOCENT_NAMES.split())
def test_a_name_that_only_sounds_so_hides_nothing(name: str) -> None:
    assert secret_strength(name) is None
    assert redacted({name: "some-value"}) == {name: "some-value"}


@pytest.mark.parametrize(
    "config",
    [
        Qwen3VLConfig().to_dict(),
        Qwen2_5_VLConfig().to_dict(),
        GenerationConfig(eos_token_id=[1, 2], suppress_tokens=[3]).to_dict(),  # type: ignore[no-untyped-call]
        TrainingArguments(output_dir="out", report_to="none").to_dict(),  # type: ignore[no-untyped-call]
    ],
    ids=["Qwen3-VL", "Qwen2.5-VL", "generation", "arguments"],
)
def test_the_configurations_of_this_field_stay_as_they_are(config: dict[str, Any]) -> None:
    assert redacted(config) == config


@pytest.mark.parametrize(
    "value",
    [None, True, False, "", "<|im_end|>", "<HUB_TOKEN>", "[PAD]", "none"],
)
def test_what_stands_for_no_secret_stays_under_any_name(value: Any) -> None:
    assert redacted({"hub_token": value, "password": value}) == {"hub_token": value, "password": value}


def test_a_number_under_token_is_a_count_and_under_password_a_password() -> None:
    assert redacted({"token": 5, "password": 5}) == {"token": 5, "password": HIDDEN}


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("https://user:pw@host/x", "https://***@host/x"),
        ("clone https://sometoken@host/x.git", "clone https://***@host/x.git"),
        ("postgresql://u:p/ss:w@host:5432/db", "postgresql://***@host:5432/db"),
        ("redis://:hunter2@h (see)", "redis://***@h (see)"),
        ("GET https://h/x?token=abc&n=5&X-Amz-Signature=ff", "GET https://h/x?token=***&n=5&X-Amz-Signature=***"),
        ("https://h/#access_token=abc", "https://h/#access_token=***"),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("authorization=token abcdef", "authorization=***"),
        ("{'Authorization': 'Basic dXNlcjpwdw==', 'a': 1}", "{'Authorization': '***', 'a': 1}"),
        ("sent Bearer abcdef0123456789", "sent Bearer ***"),
        ('-H "X-Api-Key: abc"', '-H "X-Api-Key: ***"'),
        ("api_key=abc, b=2", "api_key=***, b=2"),
        ("login(password='hunter 2', user='me')", "login(password='***', user='me')"),
        ('{"client_secret": "abc", "n": 1}', '{"client_secret": "***", "n": 1}'),
        (r"{\"password\": \"abc\"}", r"{\"password\": \"***\"}"),
        ("python t.py --api-key abc --lr 1", "python t.py --api-key *** --lr 1"),
        ("HF_TOKEN=abcdefg python t.py", "HF_TOKEN=*** python t.py"),
        ("password: hunter2.", "password: ***."),
        ('password="not closed', 'password="***'),
    ],
)
def test_a_secret_in_text_is_hidden_where_its_place_says_what_it_is(text: str, cleaned: str) -> None:
    assert redacted_text(text) == cleaned


@pytest.mark.parametrize(
    "token",
    [
        "hf_" + "aBcDeFgHiJ" * 3,
        "hf_" + "a" * 34,
        "sk-proj-abc123DEF456ghi789",
        "sk-ant-api03-abcdefghijkl",
        "ghp_" + "a1" * 18,
        "github_pat_" + "11AAAA_" * 5,
        "glpat-" + "a1b2c3d4e5f6g7h8i9j0",
        "xoxb-123456789012-abcdef",
        "AKIAIOSFODNN7EXAMPLE",
        "AIza" + "Sy_0" * 9,
        "wandb_v1_" + "Ab0" * 10,
        "local-" + HEX_KEY,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMIIE, and cut off",
    ],
)
def test_a_token_of_a_known_shape_is_hidden_wherever_it_stands(token: str) -> None:
    assert redacted_text(f"It said {token}") == "It said ***"
    assert redacted({"deep": [{"er": (token,)}], token: None}) == {"deep": [{"er": (HIDDEN,)}], HIDDEN: None}


@pytest.mark.parametrize(
    "text",
    [
        f"commit {COMMIT}",
        "hf_hub_download and hf_quantizer",
        "sk-learn-compatible estimators",
        "the bearer certificates and basic information",
        "The next token: click",
        "eos_token='<|im_end|>', pad_token_id=151643, max_new_tokens=64",
        "https://github.com/owner/name@main and https://host:8080/a@b and me@example.org",
        "ssh://git@github.com/owner/name",
        "https://h/p?run=abc&page=2",
        "LoraConfig(token=None, use_auth_token=True)",
        "CLICK(x=0.47, y=0.51)",
        "task-specific-instructions-of-2026 mask-1234567890123456789",
        '{"name": "computer_use", "arguments": {"action": "left_click", "coordinate": [966, 546]}}',
    ],
)
def test_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert redacted_text(text) == text


def test_values_of_secret_variables_are_hidden_wherever_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", HEX_KEY)
    monkeypatch.setenv("DB_PASSWORD", "p@ss word/1")
    assert redacted_text(f"key {HEX_KEY}, commit {COMMIT}") == f"key ***, commit {COMMIT}"
    assert redacted_text("is p@ss word/1 or p%40ss%20word%2F1") == "is *** or ***"


def test_a_variable_is_known_from_the_moment_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_SECRET", raising=False)
    assert redacted_text("a-value-of-its-own") == "a-value-of-its-own"
    monkeypatch.setenv("SOME_SECRET", "a-value-of-its-own")
    assert redacted_text("a-value-of-its-own") == HIDDEN
    monkeypatch.delenv("SOME_SECRET")
    assert redacted_text("a-value-of-its-own") == "a-value-of-its-own"


def test_short_values_of_variables_are_words_and_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SECRET", "click")
    assert redacted_text("click here") == "click here"


def test_the_working_directorys_variable_is_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PWD", "/some/where")
    assert redacted_text("/some/where/x") == "/some/where/x"


def test_the_keys_in_netrc_are_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text(f"machine api.wandb.ai\n  login user\n  password {HEX_KEY}\n")
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert redacted_text(f"key {HEX_KEY}") == "key ***"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("/home/planted/data/x.png", "~/data/x.png"),
        ("'/home/planted'", "'~'"),
        ("in /home/planted.", "in ~."),
        ("a:/home/planted/b", "a:~/b"),
        ("file:///home/planted/x", "file://~/x"),
        ("viewer?dir=%2Fhome%2Fplanted%2Fout", "viewer?dir=~%2Fout"),
        ("/home/planted2/x /home/planted-old/x /home/planted.old/x", None),
        ("/mnt/home/planted/x https://host/home/planted/x", None),
    ],
)
def test_the_home_directory_becomes_a_tilde_and_its_neighbours_dont(
    text: str, cleaned: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/planted")
    assert redacted_text(text) == (cleaned or text)


def test_a_home_that_is_the_root_is_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/")
    assert redacted_text("/data/x") == "/data/x"


def test_a_command_lines_arguments_are_told_apart() -> None:
    given = ["--api-key", "abc", "--token=abc", "--lr", "1e-4", "--password", "--num_tokens", "5", "https://u:p@h"]
    assert redacted_arguments(given) == [
        *("--api-key", HIDDEN, "--token=***", "--lr", "1e-4"),
        *("--password", "--num_tokens", "5", "https://***@h"),
    ]
    assert redacted({"argv": given})["argv"] == redacted_arguments(given)


@dataclass
class Options:
    rank: int = 8
    api_key: str = "abc"
    modules: list[str] = field(default_factory=lambda: ["q_proj"])


class Shown:
    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


class Unshowable:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_objects_are_gone_through_or_taken_at_their_text() -> None:
    plain = Shown("nothing")
    given = {"options": Options(), "a": Shown("https://u:p@h"), "b": plain, "c": Unshowable(), "d": {1, 2}}
    cleaned = redacted(given)
    assert cleaned["options"] == {"rank": 8, "api_key": HIDDEN, "modules": ["q_proj"]}
    assert cleaned["a"] == "https://***@h"
    assert cleaned["b"] is plain
    assert cleaned["c"] == "[Unshowable]"
    assert cleaned["d"] == {1, 2}


def test_everything_below_a_secrets_name_is_hidden() -> None:
    given = {"credentials": {"user": "me", "keys": ["a", "b"], "on": True}}
    assert redacted(given) == {"credentials": {"user": HIDDEN, "keys": [HIDDEN, HIDDEN], "on": True}}


def test_what_is_given_stays_as_it_is() -> None:
    inner = {"api_key": "abc"}
    redacted({"a": [inner]})
    assert inner == {"api_key": "abc"}


def test_what_holds_itself_comes_to_an_end() -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    assert "levels deep" in str(redacted(endless))


def test_half_a_character_can_be_written_afterwards() -> None:
    assert redacted_text("a\ud83db").encode() == "a\ufffdb".encode()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=10,
)


@given(st.text(), st.text(), values)
def test_a_known_value_is_nowhere_in_what_comes_out(before: str, after: str, other: Any) -> None:
    known = "planted-value-0"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLANTED_SECRET", known)
        text = f"{before}{known}{after}"
        assert known not in repr(redacted({text: [text, {"x": (text, other)}], "other": other}))


@given(values)
def test_any_value_can_be_gone_through_and_then_be_written(value: Any) -> None:
    repr(redacted(value)).encode()


@given(st.text(string.ascii_letters + string.digits + " .,!()\n", max_size=200))
def test_plain_prose_is_never_changed(text: str) -> None:
    if not any(mark in text for mark in ("AKIA", "ASIA", "AIza", "eyJ", "SG.", "earer", "asic", "ya29.")):
        assert redacted_text(text) == text


@given(st.text(string.ascii_letters + string.digits + "!$%^*()_+,.;~/?#[]-", min_size=1), st.text())
def test_no_password_in_a_url_survives(password: str, after: str) -> None:
    planted = f"Qz{password}zQ"
    assert planted not in redacted_text(f"see https://user:{planted}@host/path {after}")


@pytest.mark.parametrize(
    "part",
    [
        *(
            "a",
            "a.",
            "token=",
            "token:",
            "'password':",
            "--token ",
            "-----BEGIN PRIVATE KEY-----",
            "hf_",
            "eyJaaaaaaaaa.",
        ),
        *("sk-", "bearer ", "?a=b", "://a:", "://a@", "xox-", "sk_a_", '\\"token\\"', "/home/planted", "a-", "AIza"),
    ],
)
def test_long_text_takes_a_time_that_grows_with_its_length_alone(part: str) -> None:
    text = part * (400_000 // len(part))
    start = time.process_time()
    redacted_text(text)
    assert time.process_time() - start < 2


def test_a_table_of_cells_takes_no_time_to_speak_of() -> None:
    """Some 10 µs a cell of 500 characters: the bound is for a machine that is busy."""
    cell = "The quick brown fox jumps over the lazy dog. CLICK(x=0.42, y=0.5) " * 8
    start = time.process_time()
    for _ in range(1000):
        redacted_text(cell)
    assert time.process_time() - start < 0.5


def test_the_homes_own_variable_is_read_each_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert redacted_text(os.path.join(str(tmp_path), "x")) == "~/x"
