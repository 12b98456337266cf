"""What all pages of the engine in Django's admin have in common.

`EngineAdmin` is the base of every ModelAdmin here, in the look of the stock admin or of
django-unfold, whichever is installed. It reads, and acts through the engine only.

A page of its own is a `View` in a ModelAdmin's `views`, answered by the method it names:

    class IndexAdmin(EngineAdmin):
        views = (View("playground", "playground/", label="Search", content=True),)

        def playground(self, request):
            return self.page(request, "playground.html", title="Search", hits=[])

Its address is `admin:mastra_engine_playground`; with a label it is listed on the app's index page.
The template extends `admin/mastra_engine/page.html`, fills the block `page`, and finds
`reads_content` in its context. What the engine raises becomes a page that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import Any, cast
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from mastra_engine.admin.bounds import bounded
from mastra_engine.admin.reading import APP, ReadOnlyAdmin, database, reads_content
from mastra_engine.atomic_requests import non_atomic
from mastra_engine.exceptions import Conflict, EngineError, InvalidInput, NotFound
from mastra_engine.validation.inputs import count


@dataclass(frozen=True, slots=True)
class View:
    """A page beside those that Django makes: `path` is below the model's, `name` the method.

    It needs the permission to view the model or, for an action, the one it `needs`, and with
    `content` also that to read content. With a label it is listed on the app's index page.
    """

    name: str
    path: str
    label: str = ""
    content: bool = False
    needs: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """Where somebody may go from a page."""

    label: str
    url: str
    danger: bool = False


class EngineAdmin(ReadOnlyAdmin):
    """Lists and pages of a table: read-only, in a bounded number of queries of bounded cost."""

    class Media:
        css = {"all": (f"{APP}/admin.css",)}

    views: tuple[View, ...] = ()
    #: What a row's page tells anybody, and the JSON it shows to those who may read content.
    facts: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    template = "row.html"
    #: What is deleted with a row, in a sentence that begins "With it go".
    takes_along = ""

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(
                view.path,
                self.admin_site.admin_view(self._answering(view)),
                name=f"{APP}_{view.name}",
            )
            for view in self.views
        ]
        return own + super().get_urls()

    def links(self, request: HttpRequest) -> Iterator[Link]:
        """Yield the labelled views that this user may open."""
        for view in self.views:
            if view.label and self._may_open(request, view):
                yield Link(view.label, self.url(view.name))

    def heading(self, request: HttpRequest, row: Any) -> str:
        """Return what a row's page is headed by; unlike its title, it is in no history."""
        return str(row)

    def tools(self, request: HttpRequest, row: Any) -> list[Link]:
        """Return where one may go from a row's page."""
        return []

    def about(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return what the template of a row's page shows beside its facts and documents."""
        return {}

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
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
            tools.append(Link("Delete", url, danger=True))
        context = {
            "row": row,
            "heading": self.heading(request, row),
            "tools": tools,
            "facts": self.labelled(row, self.facts),
            "documents": self._documents(row) if reads_content(request) else [],
            "hides": bool(self.documents) and not reads_content(request),
        }
        return self.page(
            request, self.template, title=str(row), **{**context, **self.about(request, row)}
        )

    def _delete_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask without Django's list of all that hangs on a row: it would load that first."""
        row = self.row(request, object_id)
        if not self.has_delete_permission(request, row):
            raise PermissionDenied
        return self.confirm(
            request,
            row,
            question=f"With it go {self.takes_along}.",
            label="Delete",
            act=lambda: self.delete_model(request, row),
            done="Deleted.",
            gone=True,
        )

    def labelled(self, row: Any, names: tuple[str, ...]) -> list[tuple[str, Any]]:
        """Return columns of a row under the names that people read."""
        return [(self._label(name), getattr(row, name)) for name in names]

    def row(self, request: HttpRequest, object_id: str) -> Any:
        """Return the row that an address names; raises Http404."""
        found = self.get_object(request, unquote(object_id))
        if found is None:
            raise Http404(f"There is no such {self.opts.verbose_name}")
        if not self.has_view_permission(request, found):
            raise PermissionDenied
        return found

    def page(
        self, request: HttpRequest, template: str, *, title: str, status: int = 200, **context: Any
    ) -> HttpResponse:
        """Return a page from one of this app's templates. Titles hold no content."""
        request.current_app = self.admin_site.name
        shared = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "reads_content": reads_content(request),
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
        done: str,
        gone: bool = False,
    ) -> HttpResponse:
        """Ask whether to act on a row, do so once that is posted, and go back to its page.

        If it is `gone` by then, go to the list.
        """
        back = self.url(f"{self.opts.model_name}_change", row.pk)
        if request.method != "POST":
            return self.page(
                request,
                "confirm.html",
                title=f"{label}: {row}",
                heading=f"{label}: {self.heading(request, row)}",
                asks={"question": question, "label": label, "back": back, "danger": gone},
            )
        try:
            act()
        except EngineError as error:
            messages.error(request, str(error))
            return redirect(back)
        messages.success(request, done)
        if gone:
            self.log_deletions(request, cast("QuerySet[Any]", [row]))
            return redirect(self.url(f"{self.opts.model_name}_changelist"))
        self.log_change(request, row, done)
        return redirect(back)

    def embedding_url(self, index_id: int, row_id: Any) -> str:
        """Return the address of an embedding's page, which names the row by its table's key."""
        return self.url("embedding_change", f"{index_id}.{row_id}")

    def url(self, name: str, *keys: Any, **query: Any) -> str:
        """Return the address of a view of this app, of a row's where keys are given."""
        args = [quote(key) for key in keys]
        found = reverse(f"{self.admin_site.name}:{APP}_{name}", args=args)
        return f"{found}?{urlencode(query)}" if query else found

    # Steps

    def _documents(self, row: Any) -> list[tuple[str, Any]]:
        found = self.labelled(row, self.documents)
        return [(label, value) for label, value in found if value not in (None, "")]

    def _label(self, name: str) -> str:
        return str(self.opts.get_field(name).verbose_name)  # type: ignore[union-attr]

    def _may_open(self, request: HttpRequest, view: View) -> bool:
        allowed = self.has_view_permission(request)
        if view.needs:
            allowed = allowed and self.may(request, view.needs)
        return allowed and (not view.content or reads_content(request))

    def _answering(self, view: View) -> Callable[..., HttpResponse]:
        answer = getattr(self, view.name)
        answer = self._handled(answer) if view.needs else self._reading(answer)

        def answered(request: HttpRequest, **kwargs: Any) -> HttpResponse:
            if not self._may_open(request, view):
                raise PermissionDenied
            return answer(request, **kwargs)

        return non_atomic(answered) if view.needs else answered

    def _reading(self, answer: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        """Bound how long a page reads, its template too."""

        @wraps(answer)
        def read(*args: Any, **kwargs: Any) -> HttpResponse:
            with bounded(database()):
                response = answer(*args, **kwargs)
                return response.render() if isinstance(response, TemplateResponse) else response

        return self._handled(read)

    def _handled(self, answer: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        """Make a page of what an engine raises."""

        @wraps(answer)
        def handled(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                return answer(request, *args, **kwargs)
            except NotFound as error:
                raise Http404(str(error)) from error
            except EngineError as error:
                title = "This did not work"
                return self.page(
                    request, "error.html", title=title, status=status_of(error), error=error
                )

        return handled


def asked(request: HttpRequest, name: str) -> int | None:
    """Return the whole number that an address asks for, if any; raises InvalidInput."""
    written = request.GET.get(name, "").strip()
    if not written:
        return None
    if not (written.isascii() and written.isdigit() and len(written) < 20):
        raise InvalidInput("must be a whole number", path=f"/{name}")
    return count(int(written), f"/{name}")


def status_of(error: EngineError) -> int:
    if isinstance(error, InvalidInput):
        return 400
    return 409 if isinstance(error, Conflict) else 503
