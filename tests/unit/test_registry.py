"""Declarations: what is kept, what is refused, and when Django finds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from django.apps import AppConfig, apps

from mastra_engine import index_records, sync
from mastra_engine.exceptions import EngineConfigError, InvalidInput, SyncNotFound
from mastra_engine.registry import registry


@pytest.fixture(autouse=True)
def _none_declared() -> Iterator[None]:
    with registry.empty():
        yield


def source(name: str, module: str = "crm.syncs") -> Callable[[Any], list[Any]]:
    """A function as a module would define it."""

    def function(_context: Any) -> list[Any]:
        return []

    function.__name__ = function.__qualname__ = name
    function.__module__ = module
    return function


def test_a_function_is_declared_under_its_name_and_stays_as_it_is() -> None:
    contacts = source("contacts")
    assert sync(entity="Contacts", mode="full", max_delete_ratio=0.5)(contacts) is contacts
    declared = registry.sync("contacts")
    assert (declared.name, declared.entity, declared.mode) == ("contacts", "Contacts", "full")
    assert declared.function is contacts
    assert declared.origin == "crm.syncs.contacts"


def test_a_name_may_be_given() -> None:
    sync(entity="Contacts", name="crm contacts")(source("contacts"))
    assert list(registry.syncs) == ["crm contacts"]


def test_an_unknown_name_is_not_found() -> None:
    with pytest.raises(SyncNotFound, match='unknown sync "contacts"'):
        registry.sync("contacts")


def test_a_reloaded_module_declares_anew() -> None:
    sync(entity="Contacts")(source("contacts"))
    again = sync(entity="People")(source("contacts"))
    assert registry.sync("contacts").function is again
    assert registry.sync("contacts").entity == "People"


def test_two_functions_cannot_have_one_name() -> None:
    sync(entity="Contacts")(source("contacts"))
    with pytest.raises(EngineConfigError, match=r"crm\.syncs\.contacts and shop\.syncs\.contacts"):
        sync(entity="Contacts")(source("contacts", "shop.syncs"))
    assert registry.sync("contacts").origin == "crm.syncs.contacts"


def test_what_a_function_declares_is_replaced_and_replaces() -> None:
    sync(entity="Contacts")(source("contacts"))
    index_records(entity="Contacts", index="contacts", text=body)

    @sync(entity="People")
    def contacts(_context: Any) -> list[Any]:
        return []

    index_records(entity="Contacts", index="contacts", text=lambda data: data["name"])
    assert registry.sync("contacts").function is contacts
    assert registry.indexes["Contacts", "contacts"].text is not body
    sync(entity="Contacts")(source("contacts", "shop.syncs"))
    assert registry.sync("contacts").entity == "Contacts"


@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        ({"entity": ""}, "/entity"),
        ({"entity": "a\0"}, "/entity"),
        ({"name": "\ud800"}, "/name"),
        ({"mode": "partial"}, "/mode"),
        ({"key": 5}, "/key"),
        ({"max_delete_ratio": 0.5}, "/max_delete_ratio"),
        ({"mode": "full", "max_delete_ratio": 2}, "/max_delete_ratio"),
        ({"allow_empty": True}, "/allow_empty"),
        ({"mode": "full", "allow_empty": "yes"}, "/allow_empty"),
        ({"max_attempts": 0}, "/max_attempts"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        sync(**{"entity": "Contacts", **options})(source("contacts"))
    assert caught.value.path == pointer
    assert not registry.syncs


def test_what_cannot_check_parameters_is_refused() -> None:
    with pytest.raises(EngineConfigError, match="JSON Schema"):
        sync(entity="Contacts", params=int)(source("contacts"))


def test_async_functions_are_refused() -> None:
    async def coroutine(_context: Any) -> None: ...

    async def generator(_context: Any) -> Any:
        yield

    for function in (coroutine, generator):
        with pytest.raises(EngineConfigError, match="async"):
            sync(entity="Contacts")(function)


# Indexes


def body(data: dict[str, Any]) -> str:
    return str(data["body"])


def test_an_index_is_declared_at_once() -> None:
    index_records(entity="Docs", index="docs", text=body, chunk=str.split)
    declared = registry.indexes["Docs", "docs"]
    assert (declared.text, declared.metadata, declared.chunk) == (body, None, str.split)


def test_an_index_may_be_declared_above_a_sync() -> None:
    @index_records(entity="Docs", index="docs", text=body)
    @sync(entity="Docs")
    def docs(_context: Any) -> list[Any]:
        return []

    assert registry.sync("docs").function is docs
    assert list(registry.indexes) == [("Docs", "docs")]


def test_an_index_declared_in_two_places_is_refused() -> None:
    index_records(entity="Docs", index="docs", text=body)
    index_records(entity="Docs", index="docs", text=body)
    with pytest.raises(EngineConfigError, match="of the entity 'Docs' is declared twice"):
        index_records(entity="Docs", index="docs", text=source("text"))


@pytest.mark.parametrize("field", ["entity", "index"])
def test_an_index_needs_names(field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        index_records(**{"entity": "Docs", "index": "docs", "text": body, field: ""})
    assert caught.value.path == f"/{field}"


# Discovery


def test_the_syncs_of_every_installed_app_are_imported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    package = tmp_path / "crm_app"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "syncs.py").write_text(
        "from mastra_engine import sync\n"
        "@sync(entity='Contacts')\n"
        "def crm_contacts(ctx): return []\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = ModuleType("crm_app")
    module.__path__ = [str(package)]
    crm = AppConfig("crm_app", module)
    crm.path = str(package)
    monkeypatch.setitem(apps.app_configs, "crm_app", crm)
    apps.get_app_config("mastra_engine").ready()
    assert registry.sync("crm_contacts").origin == "crm_app.syncs.crm_contacts"
