"""Records as a table: its columns are the fields that their data has, its cells are filters."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from django import forms
from django.http import QueryDict
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from mastra_engine.admin.conditions import OPERATORS, conditions, flat, narrowed, typed
from mastra_engine.admin.forms import FilterField, PageForm
from mastra_engine.exceptions import InvalidFilter
from mastra_engine.filters.parsing import parse_fields
from mastra_engine.types import Record

#: The most columns that are offered, and those that are shown unless the user chooses.
OFFERED, SHOWN = 100, 6
#: The levels of nested objects of which each field is a column.
_LEVELS = 3
#: The longest name of a column, and the longest text of a cell that links to a filter.
_LONGEST = 200
#: The longest filter that cells add a condition to: each cell has a link with the whole.
_LONGEST_FILTER = 2_000
#: The columns of a record that are compared with text.
_OF_TEXT = ("@external_id", "@created_at", "@updated_at")

_MISSING = object()


class RecordsForm(PageForm):
    """The filter and the order of an entity's records; a condition is added to the filter."""

    filter = FilterField(
        required=False,
        label=_("Filter"),
        help_text=_('JSON, such as {"state": "open", "priority": {"$gte": 3}}'),
    )
    field = forms.CharField(required=False, label=_("Field"))
    operator = forms.ChoiceField(required=False, label=_("Condition"), choices=OPERATORS)
    value = forms.CharField(required=False, label=_("Value"))
    sort = forms.CharField(
        required=False,
        label=_("Order"),
        help_text=_("A field, such as priority; -priority sorts in descending order"),
    )

    def __init__(self, data: QueryDict, documents: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(data.dict())
        self.documents = documents
        self.fields["field"].widget.attrs["list"] = "me-fields"

    def clean_filter(self) -> Any:
        filters = self.cleaned_data["filter"]
        return {} if filters is None else filters

    def clean_sort(self) -> list[dict[str, str]]:
        field: str = self.cleaned_data["sort"]
        if not field:
            return []
        return [{"field": field.lstrip("-"), "direction": "desc" if field[0] == "-" else "asc"}]

    def clean(self) -> dict[str, Any]:
        """Add the condition to the filter, and show it there."""
        cleaned = self.cleaned_data
        field, operator = cleaned.get("field"), cleaned.get("operator") or "eq"
        if field and "filter" in cleaned:
            value = typed(cleaned.get("value", ""), self._examples(field))
            cleaned["filter"] = narrowed(cleaned["filter"], field, operator, value)
            filters = json.dumps(cleaned["filter"], ensure_ascii=False)
            self.data = {**self.data, "filter": filters, "field": "", "value": ""}
        return cleaned

    def _examples(self, field: str) -> list[Any]:
        return [""] if field in _OF_TEXT else [_at(data, field) for data in self.documents]


class Cell(NamedTuple):
    """A value of a record, with the address of the records that have it too, or none."""

    text: str
    url: str = ""


class Link(NamedTuple):
    """A text with the address of another table; `marked` says whether it is the one shown."""

    text: str
    url: str
    marked: bool = False


class Table:
    """The table of records that the parameters of an address describe.

    `documents` are a sample of the data, from which the columns are known.
    """

    def __init__(
        self, data: QueryDict, documents: Sequence[Mapping[str, Any]], *, limit: int = SHOWN
    ) -> None:
        self.form = RecordsForm(data, documents)
        self.observed = observed_columns(documents)
        selected = [path for path in data.getlist("columns") if is_column(path)]
        self.columns = list(dict.fromkeys(selected))[:OFFERED] or self.observed[:limit]
        self._query: dict[str, Any] = {"columns": selected, "sort": data.get("sort", "")}

    @cached_property
    def options(self) -> dict[str, Any]:
        """The options of `get_records`; the form is valid."""
        cleaned = self.form.cleaned_data
        return {"filters": cleaned["filter"], "sort": cleaned["sort"], "fields": self.columns}

    @property
    def choices(self) -> list[tuple[str, bool]]:
        """The columns that the user may choose, and whether they are shown."""
        offered = dict.fromkeys([*self.columns, *self.observed])
        return [(path, path in self.columns) for path in offered]

    @property
    def conditions(self) -> list[Link]:
        """The conditions of the filter, each with the address of the table without it."""
        return [Link(text, self.address(filter=rest)) for text, rest in conditions(self._filter)]

    @property
    def orders(self) -> list[Link]:
        """The orders that an index has."""
        orders = [
            ("", _("External ID")),
            ("-@rev", _("Latest change")),
            ("@rev", _("First change")),
        ]
        sort = self._query["sort"]
        return [Link(str(text), self.address(sort=by), by == sort) for by, text in orders]

    def cells(self, record: Record) -> list[Cell]:
        """Return the values of a record in the columns."""
        return [self._cell(record, path) for path in self.columns]

    def address(self, **changes: Any) -> str:
        """Return the query of an address with some parameters replaced, and empty ones left out."""
        query = {"filter": self._filter, **self._query, **changes}
        query["filter"] = json.dumps(query["filter"]) if query["filter"] else ""
        return f"?{urlencode({name: value for name, value in query.items() if value}, doseq=True)}"

    @cached_property
    def _filter(self) -> Any:
        return self.form.cleaned_data.get("filter") or {}

    @cached_property
    def _narrows(self) -> bool:
        return len(json.dumps(self._filter)) <= _LONGEST_FILTER

    def _cell(self, record: Record, path: str) -> Cell:
        value = _at(record.data, path)
        if value is _MISSING:
            return Cell("\N{EN DASH}")
        text = flat(value)
        if isinstance(value, dict | list) or len(text) > _LONGEST or not self._narrows:
            return Cell(text)
        return Cell(text, self.address(filter=narrowed(self._filter, path, "eq", value)))


def observed_columns(documents: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the fields of documents as dotted paths, the most frequent first.

    Fields of nested objects are columns of their own. Keys that a filter cannot name are left out.
    """
    frequency = Counter(path for document in documents for path in _paths(document))
    ordered = sorted(frequency, key=lambda path: (-frequency[path], path.count("."), path))
    return [path for path in ordered[: 2 * OFFERED] if is_column(path)][:OFFERED]


def is_column(path: str) -> bool:
    """Say whether a path names a field as filters do."""
    try:
        parse_fields([path])
    except InvalidFilter:
        return False
    return len(path) <= _LONGEST


def row_of(record: Record, columns: Sequence[str]) -> Iterator[Any]:
    """Yield the values of a record in some columns, None for missing ones."""
    for path in columns:
        value = _at(record.data, path)
        yield None if value is _MISSING else value


def _paths(document: Mapping[str, Any], before: str = "", level: int = 1) -> Iterator[str]:
    for key, value in document.items():
        if "." in key:
            continue
        if isinstance(value, dict) and value and level < _LEVELS:
            yield from _paths(value, f"{before}{key}.", level + 1)
        else:
            yield f"{before}{key}"


def _at(data: Any, path: str) -> Any:
    """Return the value of a field, or the array that its path meets; `_MISSING` without one."""
    for key in path.split("."):
        if isinstance(data, list):
            return data
        if not isinstance(data, dict) or key not in data:
            return _MISSING
        data = data[key]
    return data
