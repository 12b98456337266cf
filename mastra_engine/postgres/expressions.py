"""Expressions for querysets: the filters and orders of `compile.py`, and SQL that the ORM lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import (
    BooleanField,
    Expression,
    F,
    Field,
    Func,
    JSONField,
    QuerySet,
    Value,
)
from django.db.models.sql.compiler import SQLCompiler

from mastra_engine.filters.ast import RECORD_COLUMNS, Node
from mastra_engine.postgres import compile
from mastra_engine.postgres.compile import Sql

Build = Callable[[Mapping[str, str]], Sql]

#: What `compile.py` calls a record's columns, and the fields they are.
_RECORD = {name: name for name in ("data", *RECORD_COLUMNS)}


class Compiled(Expression):
    """SQL built from the names that the query gives to columns; `fields` says which those are."""

    def __init__(
        self,
        build: Build,
        output_field: Field[Any, Any],
        fields: Mapping[str, str] = MappingProxyType(_RECORD),
    ) -> None:
        super().__init__(output_field=output_field)
        self.build = build
        self.columns = list(fields)
        self.sources: list[Any] = [F(field) for field in fields.values()]

    def get_source_expressions(self) -> list[Any]:
        return self.sources

    def set_source_expressions(self, exprs: Iterable[Any]) -> None:
        self.sources = list(exprs)

    def as_sql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper
    ) -> tuple[str, tuple[Any, ...]]:
        names = [compiler.compile(source)[0] for source in self.sources]
        sql, params = self.build(dict(zip(self.columns, names, strict=True)))
        return sql, tuple(params)


def matching_document(node: Node, field: str) -> Compiled:
    """Return a condition on the document in a JSON field, for `filter()`."""
    return Compiled(
        lambda columns: compile.where(node, columns), BooleanField(), fields={"data": field}
    )


def merged(field: str, patch: dict[str, Any]) -> Expression:
    """Return the JSON object in a field with the keys of another put over its own."""
    document: JSONField = JSONField()
    return Func(
        F(field),
        Value(patch, output_field=document),
        template="(%(expressions)s)",
        arg_joiner=" || ",
        output_field=document,
    )


def chosen_once(field: str, values: QuerySet[Any]) -> Expression:
    """Return the condition that a field has one of some values, which are read only once.

    PostgreSQL may evaluate `IN (SELECT ... LIMIT n)` again for each row of a small table. Together
    with `FOR UPDATE SKIP LOCKED`, each evaluation returns other values, in total more than n.
    """
    return Func(
        F(field),
        ArraySubquery(values),
        template="%(expressions)s)",
        arg_joiner=" = ANY(",
        output_field=BooleanField(),
    )
