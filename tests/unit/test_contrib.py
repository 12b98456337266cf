"""Adapters for agent frameworks that are not installed."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest

from mastra_engine import optional_deps
from mastra_engine.exceptions import EngineConfigError


@pytest.mark.parametrize("extra", ["haystack", "langchain", "llama_index"])
def test_importing_an_adapter_without_its_framework_names_the_extra(
    extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"mastra_engine.contrib.{extra}"
    monkeypatch.setattr(optional_deps, "find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(EngineConfigError) as caught:
        import_module(module)
    command = f"pip install 'django-mastra-engine[{extra}]'"
    assert str(caught.value) == f"{module} needs {command}"


@pytest.mark.parametrize("name", ["DjangoCheckpointer", "EngineStore"])
def test_importing_a_class_of_the_app_without_its_framework_names_the_extra(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = import_module("mastra_engine.contrib.langgraph")  # as INSTALLED_APPS does
    monkeypatch.setattr(optional_deps, "find_spec", lambda name: None)
    with pytest.raises(EngineConfigError, match=r"pip install 'django-mastra-engine\[langgraph\]'"):
        getattr(app, name)
    with pytest.raises(AttributeError, match="has no attribute"):
        app.missing  # noqa: B018
