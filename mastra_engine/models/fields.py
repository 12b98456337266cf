"""Parts that several models share: names, ids, arrays, decoding of JSON, conversion to values."""

from __future__ import annotations

import json
from typing import Any, TypeVar
from uuid import UUID

from django.contrib.postgres.fields import ArrayField as PostgresArrayField
from django.core.checks import CheckMessage
from django.db import models
from django.utils.text import capfirst
from uuid_utils.compat import uuid7

from mastra_engine.validation.jsonb import loads

T = TypeVar("T")


class EngineModel(models.Model):
    """A table of the engine; pages call a row by its model and its key, never by its content."""

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{capfirst(self._meta.verbose_name)} {self.pk}"


def as_value(row: models.Model, kind: type[T]) -> T:
    """Return a row as a value: each of its fields is filled from the column of the same name."""
    return kind(**{name: getattr(row, name) for name in kind.__slots__})  # type: ignore[attr-defined]


def new_id() -> UUID:
    """Return a UUID of version 7 (RFC 9562), which sorts by the time of its creation."""
    return uuid7()


class ArrayField(PostgresArrayField):  # type: ignore[type-arg]
    """An array, in projects without `django.contrib.postgres` in INSTALLED_APPS too.

    From Django 6.1 on a check demands that app. It registers lookups and types that no array of
    these models uses.
    """

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """Return the messages of Django's field but the one about the app."""
        return [message for message in super().check(**kwargs) if message.id != "postgres.E005"]

    def deconstruct(self) -> Any:
        """Return Django's field: the column is the same."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.contrib.postgres.fields.ArrayField", args, kwargs


class Decoder(json.JSONDecoder):
    """Decode `jsonb` faster than the standard library does, and keep floats as floats."""

    def __init__(self, **_: Any) -> None:
        super().__init__()

    def decode(self, s: str, _w: Any = None) -> Any:
        return loads(s)
