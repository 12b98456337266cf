"""The default engine at a prompt: completion, help, class, equality and representation."""

from __future__ import annotations

import copy
import pydoc

from django.test import override_settings

from mastra_engine import MastraEngine, MockMastraEngine, PostgresEngine, engine, engines
from mastra_engine.registry import registry

MOCK = {"default": {"BACKEND": "mastra_engine.MockMastraEngine", "URL": "mock://prompt"}}


def test_completion_offers_the_methods_and_the_services() -> None:
    offered = set(dir(engine))
    assert {"create_entity", "acreate_entity", "memory", "vectors", "alias"} <= offered
    assert {"session", "owns_connection"} <= offered


def test_completion_works_while_the_settings_are_not_valid() -> None:
    with override_settings(MASTRA_ENGINE={"default": {"BACKEND": "nowhere.Engine"}}):
        assert "create_entity" in dir(engine)


def test_help_shows_the_methods_with_their_docs() -> None:
    visible = pydoc.render_doc(engine, renderer=pydoc.plaintext)
    assert "create_entity(" in visible
    assert "Create an entity" in visible


def test_the_default_engine_is_an_engine() -> None:
    assert isinstance(engine, MastraEngine)
    assert isinstance(engine, PostgresEngine)
    assert not isinstance(engine, MockMastraEngine)
    with override_settings(MASTRA_ENGINE=MOCK):
        assert isinstance(engine, MockMastraEngine)
        assert not isinstance(engine, PostgresEngine)


def test_it_is_hashable_and_equals_the_engine_that_it_stands_for() -> None:
    assert engine == engines["default"]
    assert engines["default"] == engine
    assert {engine: 1}[engines["default"]] == 1
    assert engine != MockMastraEngine()
    assert copy.copy(engine).alias == "default"


def test_it_shows_its_alias_its_backend_and_its_database() -> None:
    visible = repr(engine)
    assert visible == repr(engines["default"])
    assert "PostgresEngine" in visible
    assert "alias='default'" in visible
    assert "database='default'" in visible
    assert f"name={engine.session.connection.settings_dict['NAME']!r}" in visible  # type: ignore[attr-defined]
    with override_settings(MASTRA_ENGINE=MOCK):
        assert repr(engine) == "<MockMastraEngine alias='default' url='mock://prompt'>"
        scoped = engine.within(resource_ids=["b", "a"])
        assert repr(scoped).endswith("resource_ids=['a', 'b']>")
        assert "resource_ids=['a', 'b']" in repr(scoped.memory)


def test_representations_name_what_matters() -> None:
    with override_settings(MASTRA_ENGINE=MOCK):
        assert repr(engine.memory) == "<Memory index='memory' embedder=None>"
        assert repr(engine.vectors) == "<Vectors embedder=None reranker=None>"
        assert repr(engines) == "<EngineHandler of 'default'>"
        assert repr(engine.queue) == "<TaskQueue of 'default'>"
    assert repr(registry).startswith("<Registry syncs=[")


def test_attributes_are_set_on_the_engine_that_it_stands_for() -> None:
    with override_settings(MASTRA_ENGINE=MOCK):
        engine.label = "mine"  # type: ignore[attr-defined]
        assert engines["default"].label == "mine"  # type: ignore[attr-defined]
        del engine.label  # type: ignore[attr-defined]
        assert not hasattr(engine, "label")
