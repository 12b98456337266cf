"""Database URLs: what is read from them, and that errors do not repeat their passwords."""

from __future__ import annotations

from io import StringIO
from typing import Any
from unittest import mock
from urllib.parse import quote, unquote

import pytest
from django.core.management import CommandError, call_command
from hypothesis import example, given
from hypothesis import strategies as st

from mastra_engine import PostgresEngine
from mastra_engine.conf import INVALID_URL, database, database_from_url
from mastra_engine.exceptions import EngineConfigError

#: They mark the ends of a password, so that a part of it is recognized anywhere.
BEGIN, END = "Zq9", "Xk7"
TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("@/?#%&=:[]'\"\\ +,"))
PASSWORDS = TEXT.map(lambda text: f"{BEGIN}{text}{END}")
PLACES = [
    "postgres://ann:{}@db.example:5432/shop",
    "postgresql://ann:{}@db.example/shop?sslmode=require",
    "postgresql://ann:{}@db.example",
    "postgresql://:{}@/shop",
    "postgres://ann:1/{}@db.example:5432/shop",
    "postgres://ann:1/?user={}@db.example:5432/shop",
    "postgres://ann:1/x?user={}@db.example",
    "postgres://ann@db.example/shop?password={}",
    "mysql://ann:{}@db.example/shop",
    "host=db.example dbname=shop password={}",
]


def is_hidden(text: str) -> bool:
    return BEGIN not in text and END not in text


def read(url: str) -> tuple[dict[str, Any], str]:
    """Return the settings of a URL, or the message of the error."""
    try:
        return database_from_url(url), ""
    except EngineConfigError as error:
        return {}, str(error)


@given(place=st.sampled_from(PLACES), password=PASSWORDS)
@example(place=PLACES[0], password=f"{BEGIN}@{END}")
@example(place=PLACES[0], password=f"{BEGIN}/{END}")
@example(place=PLACES[0], password=f"{BEGIN}%{END}")
@example(place=PLACES[1], password=f"{BEGIN}a@b/c?sslmode=d@{END}")
def test_a_password_is_read_or_hidden(place: str, password: str) -> None:
    url = place.format(password)
    config, message = read(url)
    assert is_hidden(message)
    assert "\n" not in message
    if message:
        return
    visible = {name: value for name, value in config.items() if name != "PASSWORD"}
    assert is_hidden(str(visible)), "a part of the password is taken for something else"
    if place == PLACES[0]:
        assert config["PASSWORD"] == unquote(password)
        assert (config["HOST"], config["PORT"], config["NAME"]) == ("db.example", "5432", "shop")


@given(password=TEXT.filter(lambda text: "\0" not in text))
def test_an_encoded_password_is_read(password: str) -> None:
    config = database_from_url(f"postgres://ann:{quote(password, safe='')}@[::1]:5432/shop")
    assert config.get("PASSWORD", "") == password


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgres://ann:p@ss@db/shop", "more than one @"),
        ("postgres://ann:p/ss@db/shop", "an @ after the first /"),
        ("postgres://ann:p%zz@db/shop", "invalid percent-encoded token"),
        ("postgres://ann:p%00@db/shop", "forbidden value %00"),
        ("postgres://ann:%ff@db/shop", "not UTF-8"),
        ("postgres://ann:\udcff@db/shop", "not UTF-8"),
        ("postgres://ann:a\0b@db/shop", "NUL"),
        ("postgres://ann:p w@db/shop", "unexpected spaces"),
        ("postgres://ann:p@[::1/shop", 'matching "]"'),
        ("postgres://ann:p@db:port/shop", "port is not a number"),
        ("postgres://ann:p@db:0/shop", "port is not a number"),
        ("postgres://ann:p@db:70000/shop", "port is not a number"),
        ("postgres://ann:p@a:1,b:x/shop", "port is not a number"),
        ("host=db port=x dbname=shop", "port is not a number"),
        ("postgres://ann:p@db/shop?sslmod=x", "invalid URI query parameter"),
        ("mysql://ann:p@db/shop", "does not begin with postgres://"),
        ("host=db dbname=shop pass=x", "invalid connection option"),
        ("host=db dbname=shop password='x", "unterminated quoted string"),
        ("secret", 'missing "="'),
    ],
)
def test_the_reason_is_named(url: str, reason: str) -> None:
    with pytest.raises(EngineConfigError, match="cannot be parsed") as caught:
        database_from_url(url)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgres:///shop",
        "postgres:///shop?user=me@corp",
        "postgres://a:1,b:2/shop",
        "postgres://ann:p?x@db/shop",
        "postgres://ann@db/shop?user=me@corp",
        "host=db dbname=shop user=me@corp password=p@s/s",
    ],
)
def test_other_addresses_are_valid(url: str) -> None:
    assert database_from_url(url)["NAME"] == "shop"


@pytest.mark.parametrize("command", ["engine_status", "engine_migrate", "engine_add", "engine_up"])
def test_commands_say_why_in_one_sentence(command: str, tmp_path: Any, db: None) -> None:
    url = PLACES[0].format(f"{BEGIN}/{END}")
    (tmp_path / ".env").write_text("MASTRA_ENGINE_SERVER=embedded\n")
    options: dict[str, Any] = {}
    if command in ("engine_add", "engine_up"):
        options = {"dir": str(tmp_path), "allow_production": True}
    with (
        mock.patch.dict("os.environ", {"DB_URL": url}),
        pytest.raises(CommandError, match="there is an @ after the first /") as caught,
    ):
        call_command(command, stdout=StringIO(), **options)
    assert is_hidden(str(caught.value))


def test_settings_can_be_imported_with_a_wrong_url(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DB_URL")
    (tmp_path / ".env").write_text(f"DB_URL='{PLACES[0].format(f'{BEGIN}@{END}')}'\n")
    entry = database(tmp_path)
    assert entry["ENGINE"] == INVALID_URL
    assert "more than one @" in entry["OPTIONS"]["problem"]
    assert is_hidden(str(entry))


def test_every_use_of_an_invalid_url_says_why(settings: Any) -> None:
    from django.db import connections

    problem = "The database URL cannot be parsed: it is not UTF-8"
    entry = {"ENGINE": INVALID_URL, "OPTIONS": {"problem": problem}}
    configured = connections.configure_settings({"default": {}, "invalid": entry})
    connections.settings["invalid"] = configured["invalid"]
    try:
        for use in (
            connections["invalid"].cursor,
            connections["invalid"].ensure_connection,
            PostgresEngine(database="invalid").list_entities,
        ):
            with pytest.raises(EngineConfigError, match="it is not UTF-8"):
                use()
        (error,) = PostgresEngine(database="invalid").check()
        assert (error.id, problem in error.msg) == ("mastra_engine.E003", True)
    finally:
        del connections["invalid"]
        del connections.settings["invalid"]
