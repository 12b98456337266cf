"""Which engine an alias means, and what is said when it means none."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any, get_args, get_type_hints

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections, router
from django.test import override_settings

from mastra_engine import (
    MastraEngine,
    MockMastraEngine,
    PostgresEngine,
    Reranker,
    engine,
    engines,
)
from mastra_engine.checks import check_engines
from mastra_engine.conf import database, database_from_url
from mastra_engine.exceptions import EngineConfigError, EngineError, EntityExists
from mastra_engine.handler import NUMBERS

MOCK = {"default": {"BACKEND": "mastra_engine.MockMastraEngine", "URL": "mock://handler"}}


def check_ids(databases: list[str] | None = None) -> list[str]:
    result = [message.id or "" for message in run_checks(databases=databases)]
    return [id for id in result if "mastra" in id]


def test_without_settings_there_is_one_on_the_default_database() -> None:
    assert isinstance(engines["default"], PostgresEngine)
    assert list(engines) == ["default"]
    assert check_ids() == []


def test_the_default_engine_is_looked_up_when_used() -> None:
    with override_settings(MASTRA_ENGINE=MOCK):
        engine.create_entity(name="Contacts", connection_id="user_123")
        assert isinstance(engines["default"], MockMastraEngine)
        assert len(engine.list_entities()) == 1
    assert isinstance(engines["default"], PostgresEngine)


def test_threads_share_a_mock() -> None:
    with override_settings(MASTRA_ENGINE=MOCK):
        create = {"name": "Contacts", "connection_id": "user_123"}
        thread = threading.Thread(target=engine.create_entity, kwargs=create)
        thread.start()
        thread.join()
        assert len(engine.list_entities()) == 1


def test_mocks_share_by_url_while_one_is_alive() -> None:
    one, same, other = (MockMastraEngine(url=f"mock://{name}") for name in ("x", "x", "y"))
    one.create_entity(name="Contacts", connection_id="user_123")
    assert len(same.list_entities()) == 1
    assert len(other.list_entities()) == 0
    del one, same
    assert len(MockMastraEngine(url="mock://x").list_entities()) == 0


def test_a_caught_exception_keeps_no_mock_alive() -> None:
    def create_twice() -> None:
        mock = MockMastraEngine(url="mock://caught")
        mock.create_entity(name="Contacts", connection_id="user_123")
        with pytest.raises(EntityExists) as caught:  # its frames know the mock, and each other
            mock.create_entity(name="Contacts", connection_id="user_123")
        assert caught.tb is not None

    create_twice()
    create_twice()


def test_a_call_that_was_awaited_keeps_no_mock_alive() -> None:
    async def create() -> None:
        mock = MockMastraEngine(url="mock://awaited")
        await mock.acreate_entity(name="Contacts", connection_id="user_123")
        with pytest.raises(EntityExists):
            await mock.acreate_entity(name="Contacts", connection_id="user_123")

    for _ in range(15):
        asyncio.run(create())


@pytest.mark.parametrize(
    "setting",
    [
        {"default": {"BACKEND": "nowhere.Engine"}},
        {"default": {"BACKEND": "mastra_engine.Nothing"}},
        {"default": {}},
        {"default": {"BACKEND": "mastra_engine.PostgresEngine", "TYPO": 1}},
        {"default": "mastra_engine.PostgresEngine"},
        ["mastra_engine.PostgresEngine"],
        {"other": {"BACKEND": "mastra_engine.MockMastraEngine"}},
        {"default": {"BACKEND": "mastra_engine.MockMastraEngine", "URL": "postgres://x"}},
        {"default": {"BACKEND": "mastra_engine.MockMastraEngine", "EMBEDDER": "nowhere.Embedder"}},
        {"default": {"BACKEND": "mastra_engine.MockMastraEngine", "EMBEDDER": len}},
        {"default": {"BACKEND": "mastra_engine.MockMastraEngine", "RERANKER": len}},
        {"default": {"BACKEND": "mastra_engine.MockMastraEngine", "TOKENIZER": 4}},
        {"default": {"BACKEND": "mastra_engine.PostgresEngine", "LOCK_TIMEOUT": "5s"}},
        {"default": {"BACKEND": "mastra_engine.PostgresEngine", "SYNC_LEASE": float("nan")}},
        {"default": {"BACKEND": "mastra_engine.MockMastraEngine", "INDEX_LEASE": -1}},
        {"default": {"BACKEND": "mastra_engine.MockMastraEngine", "SYNC_HISTORY": 1.5}},
        {"default": {"BACKEND": "mastra_engine.MockMastraEngine", "RETENTION_DAYS": -1}},
    ],
    ids=str,
)
def test_a_bad_setting_is_a_config_error(setting: Any) -> None:
    with override_settings(MASTRA_ENGINE=setting):
        with pytest.raises(EngineConfigError) as caught:
            engines["default"]
        if setting != {"other": {"BACKEND": "mastra_engine.MockMastraEngine"}}:
            assert check_ids() == ["mastra_engine.E001"]
    assert isinstance(caught.value, ImproperlyConfigured)
    assert isinstance(caught.value, EngineError)


@pytest.mark.parametrize("backend", [MockMastraEngine, PostgresEngine])
def test_every_number_among_the_options_is_checked(backend: type[MastraEngine]) -> None:
    hints = get_type_hints(backend.__init__)
    numbers = {
        name.upper() for name, hint in hints.items() if {int, float} & {hint, *get_args(hint)}
    }
    assert numbers
    assert numbers <= NUMBERS.keys()


@pytest.mark.parametrize("library", ["wordllama", "openai"])
def test_a_plug_in_without_its_library_is_checked(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    plug_in = {"wordllama": "WordLlamaEmbedder", "openai": "OpenAIEmbedder"}[library]
    path = f"mastra_engine.embedders.{plug_in}"
    with override_settings(MASTRA_ENGINE={"default": {**MOCK["default"], "EMBEDDER": path}}):
        assert check_ids() == ["mastra_engine.E001"]


@pytest.mark.parametrize("backend", ["MockMastraEngine", "PostgresEngine"])
@pytest.mark.parametrize(
    "reranker",
    [Reranker, Reranker(), "mastra_engine.Reranker"],
    ids=["class", "object", "path"],
)
def test_a_reranker_is_plugged_in(backend: str, reranker: Any) -> None:
    options = {"BACKEND": f"mastra_engine.{backend}", "RERANKER": reranker}
    with override_settings(MASTRA_ENGINE={"default": options}):
        assert isinstance(engines["default"].vectors.reranker, Reranker)
        if isinstance(reranker, Reranker):
            assert engines["default"].vectors.reranker is reranker


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"TOKENISER": len}, 'did you mean "TOKENIZER"?'),
        ({"EMBEDER": None}, 'did you mean "EMBEDDER"?'),
        ({"BACKENDS": 1}, 'did you mean "BACKEND"?'),
        ({"TASKS": {"queue": "slow"}}, 'did you mean "queue_name"?'),
    ],
)
def test_an_unknown_option_is_answered_with_the_nearest(
    options: dict[str, Any], advice: str
) -> None:
    with (
        override_settings(MASTRA_ENGINE={"default": {**MOCK["default"], **options}}),
        pytest.raises(EngineConfigError) as caught,
    ):
        engines["default"]
    assert advice in str(caught.value)


def test_an_unknown_alias_is_answered_with_the_nearest() -> None:
    with (
        override_settings(MASTRA_ENGINE=MOCK),
        pytest.raises(EngineConfigError, match='unknown engine alias "defualt"; did you mean'),
    ):
        engines["defualt"]


def test_a_missing_database_is_checked() -> None:
    backend = {"BACKEND": "mastra_engine.PostgresEngine", "DATABASE": "elsewhere"}
    with override_settings(MASTRA_ENGINE={"default": backend}):
        assert check_ids() == ["mastra_engine.E002"]


@pytest.mark.parametrize(
    ("database", "state"),
    [({}, "not configured"), ({"ENGINE": "django.db.backends.sqlite3"}, "sqlite")],
)
def test_another_kind_of_database_is_checked(
    monkeypatch: pytest.MonkeyPatch, database: dict[str, str], state: str
) -> None:
    configured = connections.configure_settings({"default": {}, state: database})[state]
    monkeypatch.setitem(connections.settings, state, configured)
    backend = {"BACKEND": "mastra_engine.PostgresEngine", "DATABASE": state}
    with override_settings(MASTRA_ENGINE={"default": backend}):
        (message,) = check_engines()
    assert message.id == "mastra_engine.E003"
    assert message.msg.endswith(f"the database '{state}' is {state}.")


@pytest.mark.parametrize(
    ("engine", "places"),
    [
        ({"BACKEND": "mastra_engine.PostgresEngine"}, {"default": True, "other": False}),
        ({"BACKEND": "mastra_engine.MockMastraEngine"}, {"default": False, "other": False}),
    ],
    ids=["postgres", "mock"],
)
def test_the_router_keeps_the_tables_where_engines_are(
    monkeypatch: pytest.MonkeyPatch, engine: Any, places: dict[str, bool]
) -> None:
    sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    other = connections.configure_settings({"default": {}, "other": sqlite})["other"]
    monkeypatch.setitem(connections.settings, "other", other)
    connections["other"].features.supports_json_field = True  # or Django's checks ask it
    with override_settings(MASTRA_ENGINE={"default": engine}):
        assert check_ids() == ["mastra_engine.W001"]
        with override_settings(DATABASE_ROUTERS=["mastra_engine.routers.EngineRouter"]):
            assert check_ids() == []
            assert {db: router.allow_migrate(db, "mastra_engine") for db in places} == places
            assert router.allow_migrate("other", "auth")
    del connections["other"]


@pytest.mark.django_db
def test_the_test_server_passes_its_checks() -> None:
    assert check_ids(["default"]) == []


@override_settings(USE_TZ=False)
def test_times_without_a_zone_are_checked() -> None:
    assert check_ids() == ["mastra_engine.E007"]


@pytest.mark.django_db
def test_an_old_pgvector_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mastra_engine.checks.OLDEST_PGVECTOR", (99,))
    monkeypatch.setattr("mastra_engine.checks.OLDEST_POSTGRES", 990000)
    assert check_ids(["default"]) == ["mastra_engine.E004", "mastra_engine.E006"]


@pytest.mark.django_db
def test_a_server_that_gets_no_tables_may_be_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mastra_engine.checks.OLDEST_POSTGRES", 990000)
    engine = {"BACKEND": "mastra_engine.MockMastraEngine"}
    with override_settings(MASTRA_ENGINE={"default": engine}):
        assert check_ids(["default"]) == ["mastra_engine.E004"]
        with override_settings(DATABASE_ROUTERS=["mastra_engine.routers.EngineRouter"]):
            assert check_ids(["default"]) == []


@pytest.mark.django_db
def test_a_pgvector_that_is_not_found_is_checked() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA extensions")
        cursor.execute("ALTER EXTENSION vector SET SCHEMA extensions")
        assert check_ids(["default"]) == ["mastra_engine.E011"]
        cursor.execute("SET LOCAL search_path = public, extensions")
        assert check_ids(["default"]) == []


@pytest.mark.django_db(transaction=True)
def test_checks_leave_no_connection_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django's test runner checks, then forks: processes would share those of a pool."""
    closed: list[str] = []
    monkeypatch.setattr(connection, "close_pool", lambda: closed.append("pool"), raising=False)
    connection.ensure_connection()
    assert check_ids(["default"]) == []
    assert (connection.connection is not None, closed) == (True, [])
    connection.close()
    assert check_ids(["default"]) == []
    assert (connection.connection, closed) == (None, ["pool"])


def test_database_from_url() -> None:
    config = database_from_url("postgresql://me:p%40ss@db.example:6543/agents?sslmode=require")
    assert config == {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "agents",
        "USER": "me",
        "PASSWORD": "p@ss",
        "HOST": "db.example",
        "PORT": "6543",
        "OPTIONS": {"sslmode": "require"},
    }
    with pytest.raises(EngineConfigError) as caught:
        database_from_url("postgresql://me:secret@[/")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "postgresql://db.example"])
def test_a_url_has_to_name_a_database(url: str) -> None:
    with pytest.raises(EngineConfigError, match="does not name a database"):
        database_from_url(url)


def test_database_reads_the_environment_then_dotenv(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DB_URL")
    assert database(tmp_path) == {"ENGINE": "django.db.backends.dummy"}
    (tmp_path / ".env").write_text("DB_URL=postgresql:///from_file\n")
    assert database(tmp_path)["NAME"] == "from_file"
    monkeypatch.setenv("DB_URL", "postgresql:///from_environment")
    assert database(tmp_path)["NAME"] == "from_environment"


def test_engines_by_url_keep_the_password_out_of_the_alias() -> None:
    one = PostgresEngine(url="postgresql://me:secret@localhost/agents")
    assert "secret" not in one.session.alias
    assert connections.settings[one.session.alias]["NAME"] == "agents"
    one.close()
