"""The base of all pages of the engine in Django's admin.

`EngineAdmin` is the base of every ModelAdmin here. It has the look of django-unfold where that is
installed, otherwise of the stock admin. It reads the tables, and acts only through the engine.

An additional page is a `View` in a ModelAdmin's `views`; the method of its name responds:

    class IndexAdmin(EngineAdmin):
        views = (View("playground", "playground/", label="Search", content="embedding"),)

        def playground(self, request):
            return self.page(request, "playground.html", title="Search", hits=[])

Its URL name is `admin:mastra_engine_playground`. A view with a label is listed on the app's index
page. The template extends `admin/mastra_engine/page.html`, fills the block `page`, and has
`reads` in its context: `reads.message` says whether the user may read messages. Exceptions of the
engine become an error page.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import Any, NamedTuple, TypeAlias, cast

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from mastra_engine.admin.addresses import admin_url
from mastra_engine.admin.beginnings import read_beginnings
from mastra_engine.admin.bounds import bounded
from mastra_engine.admin.names import embedding_key
from mastra_engine.admin.naming import NamingAdmin
from mastra_engine.admin.paging import counted
from mastra_engine.admin.reading import Reads, database
from mastra_engine.exceptions import Conflict, EngineError, InvalidInput, NotFound
from mastra_engine.validation.inputs import count
from mastra_engine.web import APP, non_atomic

#: A text, which may be translated when it is shown.
Text: TypeAlias = "str | Promise"


@dataclass(frozen=True, slots=True)
class View:
    """A page in addition to Django's: `path` is below the model's, `name` is the method's.

    The user needs the permission to view the model, the permission that `needs` names for an
    action, and for a view with `content` the permissions to read that model's content. A view with
    a label is listed on the app's index page.
    """

    name: str
    path: str
    label: Text = ""
    content: str = ""
    needs: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A link of a page; `danger` marks actions that delete or cancel."""

    label: Text
    url: str
    danger: bool = False


class Fact(NamedTuple):
    """A value that a page shows under a label, with an explanation where the label needs one."""

    label: Text
    value: Any
    help: Text = ""


class EngineAdmin(NamingAdmin):
    """Lists and pages of a table, read-only, with a bounded number of queries of bounded cost."""

    class Media:
        css = {"all": (f"{APP}/admin.css",)}

    views: tuple[View, ...] = ()
    #: The columns that a row's page shows to every user who may view it.
    facts: tuple[str, ...] = ()
    template = "row.html"
    #: The rows that are deleted together with a row, which the confirmation page names.
    deleted_with: Text = ""

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(
                view.path,
                self.admin_site.admin_view(self._responding(view)),
                name=f"{APP}_{view.name}",
            )
            for view in self.views
        ]
        return own + super().get_urls()

    def links(self, request: HttpRequest) -> Iterator[Link]:
        """Yield links to the labelled views that the user may open."""
        for view in self.views:
            if view.label and self._may_open(request, view):
                yield Link(view.label, self.url(view.name))

    def may_open(self, request: HttpRequest, name: str) -> bool:
        """Say whether the user may open the page of a name: one of the views, or the list."""
        view = next((view for view in self.views if view.name == name), None)
        return self.has_view_permission(request) if view is None else self._may_open(request, view)

    def heading(self, request: HttpRequest, row: Any) -> str:
        """Return the heading of a row's page; unlike the title, it may hold content."""
        own = self.reference(row)
        name = self.names(request, [own])[own]
        return name.text or str(row)

    def tools(self, request: HttpRequest, row: Any) -> list[Link]:
        """Return the links of a row's page."""
        return []

    def details(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return further context for the template of a row's page."""
        return {}

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if ERROR_FLAG in request.GET:  # Django removes parameters that it does not understand
            messages.warning(request, _("The address has a filter that is not valid."))
        return self._reading(super().changelist_view)(request, extra_context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        return self._reading(self._row_page)(request, object_id)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return self._handled(self._delete_page)(request, object_id)

    def _row_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        tools = self.tools(request, row)
        if self.has_delete_permission(request, row):
            url = self.url(f"{self.opts.model_name}_delete", row.pk)
            tools.append(Link(_("Delete"), url, danger=True))
        context = {
            "row": row,
            "heading": self.heading(request, row),
            "tools": [link for link in tools if link.url],
            "facts": self.labelled(request, row, self.facts),
            "documents": self._documents(row) if self.reads(request, self.model) else [],
            "hides": bool(self.documents) and not self.reads(request, self.model),
        }
        return self.page(
            request, self.template, title=str(row), **{**context, **self.details(request, row)}
        )

    def _delete_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for confirmation, without Django's list of related rows: it loads all of them."""
        row = self.row(request, object_id)
        if not self.has_delete_permission(request, row):
            raise PermissionDenied
        return self.confirm(
            request,
            row,
            question=_("This also deletes %(rows)s.") % {"rows": self.deleted_with},
            label=_("Delete"),
            act=lambda: self.delete_model(request, row),
            success=_("Deleted."),
            deletes=True,
        )

    def labelled(self, request: HttpRequest, row: Any, columns: Collection[str]) -> list[Fact]:
        """Return columns of a row with the labels and the help texts of the model's fields."""
        values = self.named_values(request, row, columns)
        return [self._fact(column, values[column]) for column in columns]

    def content_of(self, row: Any) -> dict[str, Any]:
        """Return the documents of a row, long ones as the text that they begin with."""
        return read_beginnings(self.only(row), self.documents) if self.documents else {}

    def only(self, row: Any) -> QuerySet[Any]:
        """Return a query for a row by the key of its table."""
        return self.rows(self.model).filter(pk=row.pk)

    def row(self, request: HttpRequest, object_id: str) -> Any:
        """Return the row that an address names. Raises Http404 and PermissionDenied."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404(f"The {self.opts.verbose_name} does not exist")
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        return row

    def page(
        self, request: HttpRequest, template: str, *, title: str, status: int = 200, **context: Any
    ) -> HttpResponse:
        """Return a page from a template of this app. The title must not hold content."""
        request.current_app = self.admin_site.name
        shared = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "reads": Reads(request),
        }
        return TemplateResponse(
            request, f"admin/{APP}/{template}", {**shared, **context}, status=status
        )

    def confirm(
        self,
        request: HttpRequest,
        row: Any,
        *,
        question: str,
        label: str,
        act: Callable[[], object],
        success: str,
        deletes: bool = False,
    ) -> HttpResponse:
        """Show a question; on POST, act on the row and redirect to its page.

        An action that `deletes` the row redirects to the page of after_deletion(), and an error
        because it does not exist to the list.
        """
        back = self.url(f"{self.opts.model_name}_change", row.pk)
        if request.method != "POST":
            return self.page(
                request,
                "confirm.html",
                title=f"{label}: {row}",
                heading=f"{label}: {self.heading(request, row)}",
                confirmation={
                    "question": question,
                    "label": label,
                    "back": back,
                    "danger": deletes,
                },
            )
        try:
            act()
        except EngineError as error:
            messages.error(request, str(error))
            is_deleted = isinstance(error, NotFound) and not self.only(row).exists()
            return redirect(self._list_url() if is_deleted else back)
        messages.success(request, success)
        if deletes:
            self.log_deletions(request, cast("QuerySet[Any]", [row]))
            return redirect(self.after_deletion(row))
        self.log_change(request, row, success)
        return redirect(back if self.only(row).exists() else self._list_url())

    def after_deletion(self, row: Any) -> str:
        """Return the address of the page that is shown after a row was deleted."""
        return self._list_url()

    def embedding_url(self, index_id: int, row_id: Any) -> str:
        """Return the address of an embedding's page, which holds the key of its table."""
        return self.url("embedding_change", embedding_key(index_id, row_id))

    def url(self, name: str, *keys: Any, **query: Any) -> str:
        """Return the address of a view of this app at this admin site; `keys` name a row.

        It is empty where the site has no such view: a project may register some of the models.
        """
        return admin_url(self.admin_site.name, name, *keys, **query)

    # Steps

    def _list_url(self) -> str:
        return self.url(f"{self.opts.model_name}_changelist")

    def _documents(self, row: Any) -> list[Fact]:
        facts = []
        for name, value in self.content_of(row).items():
            if value not in (None, ""):
                facts.append(self._fact(name, value))
        return facts

    def counts(
        self, request: HttpRequest, labelled: Iterable[tuple[Text, QuerySet[Any]]]
    ) -> list[Fact]:
        """Return the number of rows of each label, for the models that the user may view."""
        reads = Reads(request)
        return [
            Fact(label, counted(rows))
            for label, rows in labelled
            if reads.views(str(rows.model._meta.model_name))
        ]

    def _fact(self, name: str, value: Any) -> Fact:
        label, help_text = self.label_of(name)
        return Fact(str(label), value, str(help_text))

    def _may_open(self, request: HttpRequest, view: View) -> bool:
        allowed = self.has_view_permission(request)
        if view.needs:
            allowed = allowed and self.may(request, view.needs)
        return allowed and (not view.content or Reads(request)[view.content])

    def _responding(self, view: View) -> Callable[..., HttpResponse]:
        method = getattr(self, view.name)
        method = self._handled(method) if view.needs else self._reading(method)

        def respond(request: HttpRequest, **kwargs: Any) -> HttpResponse:
            if not self._may_open(request, view):
                raise PermissionDenied
            return method(request, **kwargs)

        return non_atomic(respond) if view.needs else respond

    def _reading(self, method: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        """Limit the time in which a page reads; its template is rendered within the limit."""

        @wraps(method)
        def read(*args: Any, **kwargs: Any) -> HttpResponse:
            with bounded(database()):
                response = method(*args, **kwargs)
                return response.render() if isinstance(response, TemplateResponse) else response

        return self._handled(read)

    def _handled(self, method: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        """Respond to exceptions of the engine with an error page, and to NotFound with 404."""

        @wraps(method)
        def handled(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                return method(request, *args, **kwargs)
            except NotFound as error:
                raise Http404(str(error)) from error
            except EngineError as error:
                return self.page(
                    request, "error.html", title=_("Error"), status=status_of(error), error=error
                )

        return handled


def query_number(request: HttpRequest, name: str) -> int | None:
    """Return a parameter of the address as a whole number, or None. Raises InvalidInput."""
    value = request.GET.get(name, "").strip()
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 20):
        raise InvalidInput("must be a whole number", path=f"/{name}")
    return count(int(value), f"/{name}")


def status_of(error: EngineError) -> int:
    """Return the HTTP status of an error page."""
    if isinstance(error, InvalidInput):
        return 400
    return 409 if isinstance(error, Conflict) else 503
