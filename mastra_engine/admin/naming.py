"""Lists and pages of rows that show the columns which refer to rows by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin
from django.core.exceptions import FieldDoesNotExist
from django.http import HttpRequest
from django.utils.safestring import SafeString

from mastra_engine.admin.names import REFERENCES, Names, Reference
from mastra_engine.admin.reading import ReadOnlyAdmin
from mastra_engine.admin.wording import term


class NamingAdmin(ReadOnlyAdmin):
    """A table that shows its primary key, and its columns in `REFERENCES`, as names."""

    #: The column by which names are sorted in a small table.
    names_sorted_by: str | None = None

    def reference(self, row: Any) -> Reference:
        """Return the reference to a row, by which it is named."""
        return str(self.opts.model_name), row.pk

    def names(self, request: HttpRequest, references: Iterable[Reference]) -> Names:
        """Return the names of rows, in one statement for each of their models."""
        names = Names(request, self.admin_site.name)
        names.read(references)
        return names

    def get_list_display(self, request: HttpRequest) -> Any:
        """Show the columns that refer to rows, and the key of the row, by name."""
        return [
            self._name_column(request, column) if self._refers(column) else column
            for column in super().get_list_display(request)
        ]

    def get_list_display_links(self, request: HttpRequest, list_display: Any) -> Any:
        """Link the first column that is not a name, unless the row has its own name."""
        own = [column for column in list_display if getattr(column, "is_own", False)]
        if own or self.list_display_links is None:
            return None
        return [column for column in list_display if not callable(column)][:1]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Read the names of all rows of a page of the list together."""
        changelist = super().get_changelist_instance(request)
        columns = [str(column) for column in self.list_display if self._refers(column)]
        rows = list(changelist.result_list)
        names = self.names(
            request, [self._reference(row, column) for row in rows for column in columns]
        )
        for row in rows:
            row.names = names
        changelist.result_list = rows
        return changelist

    def named_values(
        self, request: HttpRequest, row: Any, columns: Iterable[str]
    ) -> dict[str, Any]:
        """Return the values of columns of a row, names for those that refer to rows."""
        values = {column: self._value(row, column) for column in columns}
        references = {
            column: (REFERENCES[column], key)
            for column, key in values.items()
            if column in REFERENCES and key is not None
        }
        names = self.names(request, references.values())
        return values | {column: names[reference] for column, reference in references.items()}

    def label_of(self, column: str) -> tuple[Any, Any]:
        """Return the label and the help text of a column: a field, or a method of this class."""
        try:
            field: Any = self.opts.get_field(column)
        except FieldDoesNotExist:
            return getattr(self, column).short_description, ""
        return field.verbose_name, field.help_text

    def _value(self, row: Any, column: str) -> Any:
        value = getattr(row, column) if hasattr(row, column) else getattr(self, column)(row)
        return term(value) if column in self.terms else value

    def _refers(self, column: Any) -> bool:
        return column in REFERENCES or column == self.opts.pk.name

    def _reference(self, row: Any, column: str) -> Reference:
        """Return the reference of a column of a row; its primary key refers to the row itself."""
        if column == self.opts.pk.name:
            return self.reference(row)
        return REFERENCES[column], self._value(row, column)

    def _name_column(self, request: HttpRequest, column: str) -> Callable[[Any], SafeString | None]:
        is_own = column == self.opts.pk.name
        label = self.opts.verbose_name if is_own else self.label_of(column)[0]
        # The order of names tells of them.
        ordering = self.names_sorted_by if is_own and self.reads(request, self.model) else None

        @admin.display(description=label, ordering=ordering)
        def name(row: Any) -> SafeString | None:
            reference = self._reference(row, column)
            return None if reference[1] is None else row.names[reference].__html__()

        name.__name__, name.is_own = column, is_own  # type: ignore[attr-defined]
        return name
