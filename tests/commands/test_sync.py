"""engine_sync: its output and its exit status."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from mastra_engine import MockMastraEngine, engine, engines, sync
from mastra_engine.registry import registry
from mastra_engine.testing.contract.sync_runs import Held

MOCK = {"BACKEND": "mastra_engine.MockMastraEngine", "URL": "mock://engine_sync"}


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _two_syncs() -> Iterator[None]:
    with registry.empty(), override_settings(MASTRA_ENGINE={"default": MOCK}):
        MockMastraEngine(url=MOCK["URL"]).reset()

        @sync(entity="Contacts", mode="full")
        def contacts(ctx: Any) -> Any:
            for number in (1, 2):
                yield [{"external_id": str(number), "data": {"team": ctx.params.get("team")}}]
                ctx.progress(number, 2)

        @sync(entity="Orders")
        def orders(ctx: Any) -> Any:
            yield [{"external_id": "1", "data": {}}]
            raise ConnectionError("no answer from https://shop.example/?token=s3cret")

        yield


def call(*arguments: str, out: StringIO | None = None) -> str:
    out = out or StringIO()
    call_command("engine_sync", *arguments, stdout=out)
    return out.getvalue()


def test_it_runs_a_sync_and_says_what_was_done() -> None:
    out = call("contacts", "--connection", "c", "--params", '{"team": "red"}')
    assert out == "2 created, 0 updated, 0 unchanged, 0 deleted.\n"
    (record, _) = engine.get_records(entity_name="Contacts", connection_id="c")
    assert record.data == {"team": "red"}


def test_a_terminal_sees_it_advance() -> None:
    out = call("contacts", "--connection", "c", out=Terminal())
    half, full = f"[{'#' * 10}{'.' * 10}]", f"[{'#' * 20}]"
    assert f"\r{half} 1 of 2 done: 1 created, 0 updated, 0 unchanged, 0 deleted." in out
    assert f"\r{full} 2 of 2 done: 2 created, 0 updated, 0 unchanged, 0 deleted." in out
    assert "2 created, 0 updated, 0 unchanged, 0 deleted.\n" in out


def test_a_dry_run_says_what_would_be_done() -> None:
    out = call("contacts", "--connection", "c", "--dry-run")
    assert out == "It would be: 2 created, 0 updated, 0 unchanged, 0 deleted.\n"
    assert engine.list_entities().items == []


def test_a_failed_run_is_an_error_without_secrets() -> None:
    with pytest.raises(CommandError) as caught:
        call("orders", "--connection", "c")
    assert " failed: ConnectionError in " in str(caught.value)
    assert ":orders:" in str(caught.value)
    assert "no answer from https://shop.example/?…" in str(caught.value)
    (run,) = engine.list_sync_runs()
    assert "1 created, 0 updated, 0 unchanged, 0 deleted." in str(caught.value)
    assert str(caught.value).endswith(f"engine_sync --retry {run.id}")


def test_it_queues_a_run() -> None:
    out = call("contacts", "--connection", "c", "--enqueue")
    (run,) = engine.list_sync_runs()
    assert out == f"Queued as {run.id}.\n"


def test_it_lists_syncs_and_runs() -> None:
    call("contacts", "--connection", "c")
    with pytest.raises(CommandError):
        call("orders", "--connection", "c")
    out = call("--list")
    assert "contacts: full sync into 'Contacts'" in out
    assert "orders: incremental sync into 'Orders'" in out
    assert "contacts 'c' succeeded" in out
    assert "orders 'c' failed" in out
    assert "orders" not in call("contacts", "--list")


def test_it_cancels_and_retries_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines["default"], "queue", Held())
    id = str(engine.enqueue_sync("contacts", connection_id="c").id)
    for option, texts, status in (
        ("--cancel", f"Cancelled {id}.\n", "cancelled"),
        ("--retry", f"Queued as {id}.\n", "queued"),
        ("--cancel", f"Cancelled {id}.\n", "cancelled"),
    ):
        assert call(option, id) == texts
        assert engine.get_sync_run(id=id).status == status
    call("contacts", "--connection", "c")
    with pytest.raises(CommandError, match="was run again since"):
        call("--retry", id)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--connection"),
        (("contacts",), "--connection"),
        (("nothing", "--connection", "c"), 'unknown sync "nothing"'),
        (("contacts", "--connection", "c", "--params", "{"), "--params"),
        (("contacts", "--connection", "c", "--params", "[1]"), "/params: must be a JSON object"),
        (("contacts", "--connection", "c", "--engine", "other"), 'unknown engine alias "other"'),
        (("contacts", "--connection", "c", "--enqueue", "--dry-run"), "not allowed"),
        (("--cancel", "1"), "/id: must be a UUID"),
        (
            ("--retry", "0196b7d2-2f4b-7c1e-9a53-0242ac120002"),
            "Sync run 0196b7d2-2f4b-7c1e-9a53-0242ac120002 does not exist",
        ),
    ],
    ids=str,
)
def test_mistakes_are_one_clear_message(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        call(*arguments)


def test_a_sync_is_paused_and_resumed() -> None:
    call("contacts", "--connection", "c")
    assert call("contacts", "--connection", "c", "--pause") == "contacts of 'c' is paused.\n"
    with pytest.raises(CommandError, match="paused"):
        call("contacts", "--connection", "c")
    assert call("contacts", "--connection", "c", "--resume") == "contacts of 'c' is idle.\n"
    assert "2 unchanged" in call("contacts", "--connection", "c")


def test_a_sync_that_was_never_run_cannot_be_paused() -> None:
    with pytest.raises(CommandError, match=r"contacts.*nowhere"):
        call("contacts", "--connection", "nowhere", "--pause")
    with pytest.raises(CommandError, match="--connection"):
        call("contacts", "--pause")
