"""A database that any earlier version created migrates to the newest, with data in every table."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.test import Client
from django.urls import reverse

from mastra_engine import engine
from mastra_engine.exceptions import IdempotencyConflict
from mastra_engine.models import Embedding, IndexProgress, SyncPage
from tests.commands.old_rows import ENTITY, IDEMPOTENCY_RECORD, RUNS, rows_at

APP = "mastra_engine"
NAMES = sorted(name for app, name in MigrationLoader(None).disk_migrations or {} if app == APP)
ACTIONS = ("add", "change", "delete", "view")


def migrate(name: str) -> None:
    call_command("migrate", APP, name, verbosity=0)
    ContentType.objects.clear_cache()


def upgrade() -> None:
    call_command("engine_migrate", verbosity=0, stdout=StringIO())
    ContentType.objects.clear_cache()


def number(name: str) -> int:
    return int(name[:4])


def fill(name: str) -> set[str]:
    """Insert rows into every table as it is after a migration; return the tables' names."""
    rows = list(rows_at(number(name)))
    with connection.cursor() as cursor:
        for row in rows:
            cursor.execute(row.sql)
    return {row.table for row in rows}


def tables() -> set[str]:
    """Return the names of the engine's tables, without the app's name and without partitions."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
        )
        names = [name for (name,) in cursor.fetchall()]
    return {name.removeprefix(f"{APP}_") for name in names if name.startswith(APP)}


def count(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {APP}_{table}")
        (rows,) = cursor.fetchone()
    return int(rows)


def query(sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


@pytest.mark.parametrize("name", NAMES)
def test_every_earlier_state_keeps_its_rows(old: None, name: str) -> None:
    migrate(name)
    assert fill(name) == tables()  # a new table needs rows here as well
    upgrade()
    check_reads(number(name))
    check_admin()
    check_writes_and_cascades(number(name))


def check_reads(since: int) -> None:
    """Read through the engine everything that was inserted."""
    records = engine.get_records_by_entity_name(name="Contacts", connection_id="crm-1")
    assert [(record.external_id, record.data["name"]) for record in records] == [
        ("c1", "Ada"),
        ("c2", "Bob"),
    ]
    changes = engine.get_changes(entity_id=records[0].entity_id)
    assert [(change.rev, change.action) for change in changes.items] == [
        (1, "added"),
        (2, "added"),
        (3, "deleted"),
    ]
    if since >= 2:
        nearest = engine.vectors.query(index_name="docs", query_vector=[0.9, 0.1, 0])
        assert [match.id for match in nearest] == ["v1", "v2"]
        words = engine.vectors.query(
            index_name="docs", query_vector=[1, 0, 0], query_text="boat", hybrid=True
        )
        assert {match.id for match in words} == {"v1", "v2"}
    if since >= 21:
        (fact,) = engine.facts.list_facts(resource_id="ann")
        assert (fact.subject, fact.object) == ("Ann", "sleds")
        assert [source.message_id for source in engine.facts.sources(id=fact.id)] == ["m1"]
    if since >= 3:
        view = engine.memory.get_memory(thread_id="t1")
        assert [message.content[0]["text"] for message in view.messages] == ["Hi", "Yes?"]
        window = engine.memory.get_context_window(thread_id="t1", max_tokens=6)
        assert [message.content[0]["text"] for message in window] == ["Yes?"]
        assert engine.memory.expire_messages(before="2001-01-01T00:00:00Z") == 0
        memory = engine.memory.get_working_memory(resource_id="ann")
        assert (memory.content, memory.data) == ("likes sleds", {"likes": ["sleds"]})
        with pytest.raises(IdempotencyConflict):
            engine.memory.save_memory(
                thread_id="t1",
                messages=[{"role": "user", "content": "other"}],
                idempotency_key="turn-1",
            )
    if since >= 4:
        runs = {str(run.id): run for run in engine.list_sync_runs(sync="contacts")}
        assert [runs[id].status for id in RUNS] == ["succeeded", "failed"]
        assert runs[RUNS[1]].checkpoint == {"next": 2}
        state = engine.get_sync("contacts", connection_id="crm-1")
        assert (state.status, state.mode, state.checkpoint) == ("failed", "full", {"next": 2})
        assert str(state.last_run_id) == RUNS[1]
        assert state.last_succeeded_at is not None
        pages = SyncPage.objects.filter(run_id=RUNS[1]).order_by("number")
        revs = [(page.number, bytes(page.unchanged_revs or b"")) for page in pages]
        assert revs == [(1, b"\x01"), (2, b"\x02")]
    if since >= 6:
        progress = IndexProgress.objects.get(entity_id=ENTITY)
        assert (progress.rev, progress.complete, progress.vector_index.name) == (2, True, "docs")
    if since >= 7:
        ((response,),) = query(
            f"SELECT response FROM {APP}_idempotencyrecord WHERE id = '{IDEMPOTENCY_RECORD}'"
        )
        assert bytes(response) == b"{}"
    if since >= 18:
        item = engine.state.get(namespace=("ann", "prefs"), key="ui")
        assert item is not None
        assert (item.value, item.version) == ({"theme": "dark"}, 2)
        assert len(engine.state.search(namespace_prefix=("ann",), query="dark")) == 1


def check_admin() -> None:
    """Open the list of each table and the page of each of its rows."""
    client = Client(raise_request_exception=True)
    client.force_login(User.objects.create_superuser("owner"))
    for model in apps.get_app_config(APP).get_models():
        name = model._meta.model_name
        listed = {"vector_index__id__exact": 1} if model is Embedding else {}
        if listed and not model._default_manager.exists():
            continue
        assert client.get(reverse(f"admin:{APP}_{name}_changelist"), listed).status_code == 200
        for row in model._default_manager.all():
            address = reverse(f"admin:{APP}_{name}_change", args=[quote(str(row.pk))])
            assert client.get(address).status_code == 200, address


def check_writes_and_cascades(since: int) -> None:
    """Write to the upgraded tables; the database itself deletes the rows of an owner."""
    entity = engine.get_entity(name="Contacts", connection_id="crm-1")
    assert entity is not None
    written = engine.upsert_records(
        records=[{"external_id": "c4", "data": {}}], entity_id=entity.id
    )
    assert written.created == 1
    if since >= 2:
        other = engine.get_or_create_entity(name="Deals", connection_id="crm-1")[0]
        IndexProgress.objects.create(entity_id=other.id, vector_index_id=1)  # its sequence is there
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {APP}_entity")
        cursor.execute(f"DELETE FROM {APP}_thread")
    for table in (
        "record",
        "sync",
        "syncrun",
        "syncpage",
        "indexprogress",
        "message",
        "idempotentappend",
    ):
        assert count(table) == 0, table
    assert query(f"SELECT count(*) FROM {APP}_workingmemory") == [(1 if since >= 3 else 0,)]


def test_every_step_back_keeps_the_rows_of_the_tables_that_stay(old: None) -> None:
    migrate(NAMES[-1])
    fill(NAMES[-1])
    for name in reversed(NAMES[:-1]):
        migrate(name)
        rows = {item.table: 0 for item in rows_at(number(name))}
        assert tables() == set(rows)
        assert all(count(table) for table in rows), name
    upgrade()
    check_reads(since=1)


def test_permissions_follow_renamed_models(old: None) -> None:
    migrate("0009")
    user, group = User.objects.create_user("user"), Group.objects.create(name="group")
    old_names = ("answer", "append", "bookmark")
    codenames_held = Permission.objects.filter(
        codename__in=[f"{action}_{name}" for action in ACTIONS for name in old_names]
    )
    assert codenames_held.count() == 12
    user.user_permissions.set(codenames_held)
    group.permissions.set(codenames_held)
    upgrade()
    new_names = ("idempotencyrecord", "idempotentappend", "indexprogress")
    codenames = {f"{action}_{name}" for action in ACTIONS for name in new_names}
    assert {item.codename for item in user.user_permissions.all()} == codenames
    assert {item.codename for item in group.permissions.all()} == codenames
    assert User.objects.get(pk=user.pk).has_perm("mastra_engine.view_indexprogress")
    names = {item.name for item in group.permissions.all()}
    assert "Can view idempotency record" in names
    check_permissions_are_those_of_the_models()

    migrate("0009")
    assert user.user_permissions.filter(codename="view_bookmark", content_type__model="bookmark")
    upgrade()
    assert {item.codename for item in user.user_permissions.all()} == codenames
    check_permissions_are_those_of_the_models()


def test_permissions_created_since_the_models_were_renamed_are_merged(old: None) -> None:
    migrate("0009")
    early, late, both = (User.objects.create_user(name) for name in ("early", "late", "both"))
    for user in (early, both):
        user.user_permissions.add(Permission.objects.get(codename="view_answer"))
    migrate("0010")
    for user in (late, both):
        user.user_permissions.add(Permission.objects.get(codename="view_idempotencyrecord"))
    upgrade()
    for user in (early, late, both):
        codenames = [item.codename for item in user.user_permissions.all()]
        assert codenames == ["view_idempotencyrecord"], user
    check_permissions_are_those_of_the_models()


def check_permissions_are_those_of_the_models() -> None:
    own = Permission.objects.filter(content_type__app_label=APP)
    expected = [
        (model._meta.model_name, codename, name)
        for model in apps.get_app_config(APP).get_models()
        for codename, name in [
            *((f"{item}_{model._meta.model_name}", None) for item in ACTIONS),
            *model._meta.permissions,
        ]
    ]
    rows = own.values_list("content_type__model", "codename", "name")
    assert sorted((model, codename) for model, codename, _ in rows) == sorted(
        (str(model), codename) for model, codename, _ in expected
    )
    names = {codename: name for _, codename, name in rows}
    assert all(names[codename] == name for _, codename, name in expected if name)


def test_the_first_form_of_the_constraint_on_revisions_is_replaced(old: None) -> None:
    """It had no condition; the planner then looks records up by the wrong index."""
    migrate("0001")
    query_none(
        "DROP INDEX mastra_engine_record_rev;"
        "ALTER TABLE mastra_engine_record"
        " ADD CONSTRAINT mastra_engine_record_rev UNIQUE (entity_id, rev)"
    )
    fill("0001")
    upgrade()
    ((definition,),) = query(
        "SELECT indexdef FROM pg_indexes WHERE indexname = 'mastra_engine_record_rev'"
    )
    assert definition.startswith("CREATE UNIQUE INDEX")
    assert definition.endswith("WHERE (rev >= 0)")
    check_reads(since=1)
    migrate("zero")
    assert not tables()


def query_none(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def test_a_project_without_permissions_migrates(
    project: Any, make_database: Callable[..., str]
) -> None:
    """`django.contrib.auth` is not needed by the engine's tables."""
    url = make_database()
    project.must("engine_migrate", DATABASE_URL=url, WITHOUT_AUTH="1")
