"""Names of the rows that a page refers to, which it shows before their ids.

`Names.read()` reads the names of any number of rows in one statement for each of their models, so
the number of statements of a page does not depend on its rows. A name is content: users who may
not read the content of a model see the ids of its rows.

A reference is the name of a model, or "resource", with the key of a row. `REFERENCES` says which
columns hold such keys; lists and pages of rows show these columns by name.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import (
    Case,
    F,
    Func,
    JSONField,
    Model,
    OuterRef,
    QuerySet,
    Subquery,
    TextField,
    Value,
    When,
)
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce, Concat, JSONObject, Left, NullIf
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from mastra_engine.admin.addresses import admin_url
from mastra_engine.admin.reading import Reads, database, rows_of
from mastra_engine.admin.wording import term
from mastra_engine.conf import admin_settings, no_names
from mastra_engine.models import (
    Embedding,
    Entity,
    Fact,
    Message,
    Record,
    Sync,
    SyncRun,
    Thread,
    VectorIndex,
)

Reference = tuple[str, Any]

logger = logging.getLogger(__name__)

RESOURCE = "resource"
#: The columns that hold the key of a row, and the model of that row.
REFERENCES = {
    "entity_id": "entity",
    "fact_id": "fact",
    "last_run_id": "syncrun",
    "message_id": "message",
    "record_id": "record",
    "resource_id": RESOURCE,
    "run_id": "syncrun",
    "thread_id": "thread",
    "vector_index_id": "vectorindex",
}
#: Models with names or ids that are no content.
OPEN = {"embedding", "entity", "record", "sync", "syncrun", "vectorindex"}
#: The fields of a record or of a vector's metadata that name it, the first that has a value.
TITLES = ("title", "name", "subject", "summary", "label", "email")
#: The most characters of a name.
LONGEST_NAME = 100
#: The number of messages before a result among which its call is looked for.
CALLS_BEFORE = 20
#: The path to the call with an id among the parts of a message.
_CALL_PATH = "$[*] ? (@.tool_call_id == $id || @.toolCallId == $id)"
#: The number of messages of a thread without a title of which one has its first words.
FIRST_MESSAGES = 5


@dataclass(frozen=True, slots=True)
class Name:
    """A row's name, empty without one, with its id and the address of its page."""

    text: str
    id: str
    url: str = ""

    def __str__(self) -> str:
        return self.text or self.id

    def with_id(self) -> str:
        """Return the name, followed by the id in brackets where it differs."""
        return f"{self.text} ({self.id})" if self.text not in ("", self.id) else self.id

    def __html__(self) -> SafeString:
        """Return the name as a link, followed by the id, which a click selects for copying."""
        template = "<bdi>{}</bdi>" if self.text else '<bdi class="me-id">{}</bdi>'
        text = format_html(template, str(self))
        link = format_html('<a href="{}">{}</a>', self.url, text) if self.url else text
        if not self.text or self.text == self.id:
            return link
        return format_html('{} <bdi class="me-id">{}</bdi>', link, self.id)


class Names:
    """The names of rows, as far as a user may read them."""

    def __init__(self, request: HttpRequest, site: str = "admin") -> None:
        self._reads = Reads(request)
        self._site = site
        self._named: dict[Reference, Named] = {}

    def read(self, references: Iterable[Reference]) -> None:
        """Read the names of rows; a key that is None refers to no row."""
        keys: dict[str, set[Any]] = defaultdict(set)
        for kind, key in references:
            if key is not None:
                keys[kind].add(key)
        for kind, own in keys.items():
            if kind in _READERS and (self._reads[kind] or self._is_open(kind)):
                self._named.update(
                    {(kind, row.key): row for row in _READERS[kind](self._reads, own)}
                )

    def __contains__(self, reference: Reference) -> bool:
        return reference in self._named

    def __getitem__(self, reference: Reference) -> Name:
        """Return the name of a row, which is its id for a user who may not read it."""
        kind, key = reference
        row = self._named.get(reference, Named(key))
        return Name(
            text=_shortened(row.text or ""),
            id=row.id or str(key),
            url=self._address(kind, key),
        )

    def _is_open(self, kind: str) -> bool:
        return kind in OPEN and self._reads.views(kind)

    def _address(self, kind: str, key: Any) -> str:
        """Return the address of a row's page, empty if the user may not view it."""
        if not self._reads.views("thread" if kind == RESOURCE else kind):
            return ""
        if kind == RESOURCE:
            return admin_url(self._site, "resources", resource_id=key)
        return admin_url(self._site, f"{kind}_change", key)


def embedding_key(index_id: int, row_id: Any) -> str:
    """Return the key of an embedding, which is that of its table: the index and the row."""
    return f"{index_id}.{row_id}"


def vector_title(metadata: Mapping[str, Any], document: str | None) -> str:
    """Return the name of a vector: the title in its metadata, or the first words of its text."""
    titles = (metadata.get(field) for field in TITLES)
    title = next((title for title in titles if isinstance(title, str) and title), None)
    return _shortened(title or document or "")


def message_title(role: str, tool: str | None) -> str:
    """Return the name of a message without text: the tool that it uses, or its role."""
    use = _("Result of %(tool)s") if role == "tool" else _("Calls %(tool)s")
    return use % {"tool": tool} if tool else term(role)


def _shortened(text: str) -> str:
    return Truncator(" ".join(text[: 2 * LONGEST_NAME].split())).chars(LONGEST_NAME)


# The readers. PostgreSQL cuts the values: they may have many megabytes.


class Named(NamedTuple):
    """The key of a row with its name and, where users know it by another one, its id."""

    key: Any
    text: str | None = None
    id: str | None = None


Texts = Iterator[Named]


def _beginning(field: Any) -> Any:
    """Return the expression of the beginning of a text, null if it is empty."""
    return NullIf(Left(field, 2 * LONGEST_NAME), Value(""))


class _CallOfId(Func):
    """The tool call with an id among the parts of a message, as JSON."""

    function = "jsonb_path_query_first"
    output_field = JSONField()

    def __init__(self, id: Any) -> None:
        path = Func(Value(_CALL_PATH), template="%(expressions)s::jsonpath")
        super().__init__("content", path, JSONObject(id=id))


def tool_of_message() -> Any:
    """Return the expression of the tool that a message without text uses first.

    The tool of a result is that of its call, which is in a message shortly before it.
    """
    before = rows_of(Message).filter(
        thread_id=OuterRef("thread_id"),
        position__range=(OuterRef("position") - CALLS_BEFORE, OuterRef("position") - 1),
    )
    calls = before.annotate(call=_CallOfId(OuterRef("tool_call_id"))).filter(call__isnull=False)
    called = calls.order_by("-position").values(
        name=Coalesce(KT("call__tool_name"), KT("call__toolName"))
    )
    own = KT("content__0__tool_name"), KT("content__0__toolName")
    return Case(When(text="", then=_beginning(Coalesce(*own, Subquery(called[:1])))))


def _title(field: str) -> Any:
    """Return the expression of the title in a JSON column, null without one."""
    return Coalesce(*(_beginning(KT(f"{field}__{title}")) for title in TITLES))


def _texts(model: type[Model], keys: set[Any], text: Any) -> Texts:
    rows: QuerySet[Any] = rows_of(model).filter(pk__in=keys).annotate(text_of_name=text)
    for key, value in rows.order_by().values_list("pk", "text_of_name"):
        yield Named(key, value)


def _threads(reads: Reads, keys: set[Any]) -> Texts:
    """Yield the titles of threads, else the first words that were said in them."""
    if not reads["message"]:
        return _texts(Thread, keys, _beginning("title"))
    first = rows_of(Message).filter(thread=OuterRef(OuterRef("pk"))).order_by("position")
    spoken = rows_of(Message).filter(pk__in=first.values("pk")[:FIRST_MESSAGES]).exclude(text="")
    words = spoken.order_by("position").values(words=_beginning("text"))[:1]
    return _texts(Thread, keys, Coalesce(_beginning("title"), Subquery(words)))


def _messages(reads: Reads, keys: set[Any]) -> Texts:
    """Yield the texts of messages, else the names of the tools that they call."""
    rows = rows_of(Message).filter(pk__in=keys)
    words = rows.annotate(words=_beginning("text"), tool=tool_of_message())
    for key, role, text, name in words.values_list("pk", "role", "words", "tool"):
        yield Named(key, text or message_title(role, name))


def _records(reads: Reads, keys: set[Any]) -> Texts:
    """Yield the titles and the external ids of records."""
    title = _title("data") if reads["record"] else Value("")
    rows = rows_of(Record).filter(pk__in=keys).annotate(title=title)
    for key, external_id, title in rows.values_list("pk", "external_id", "title"):
        yield Named(key, title or external_id, external_id)


def _embeddings(reads: Reads, keys: set[Any]) -> Texts:
    """Yield the titles or the first words of the documents of vectors, by embedding_key()."""
    indexes, rows = zip(*(key.split(".", 1) for key in keys), strict=True)
    embeddings = rows_of(Embedding).filter(vector_index__in=indexes, row_id__in=rows)
    title = Coalesce(_title("metadata"), _beginning("document"))
    titled = embeddings.annotate(title=title if reads["embedding"] else Value(""))
    for index_id, row_id, vector_id, text in titled.values_list(
        "vector_index_id", "row_id", "vector_id", "title"
    ):
        yield Named(embedding_key(index_id, row_id), text or vector_id, vector_id)


def _facts(reads: Reads, keys: set[Any]) -> Texts:
    parts = (Left(part, LONGEST_NAME) for part in ("subject", "predicate", "object"))
    return _texts(Fact, keys, _joined(*parts))


def _of_connection(model: type[Model], name: str) -> Callable[[Reads, set[Any]], Texts]:
    """Return a reader of a name with the connection that it belongs to."""

    def read(reads: Reads, keys: set[Any]) -> Texts:
        rows = rows_of(model).filter(pk__in=keys)
        for key, text, connection_id in rows.values_list("pk", name, "connection_id"):
            name_of = _("%(name)s of %(connection)s")
            yield Named(key, name_of % {"name": text, "connection": connection_id})

    return read


def _indexes(reads: Reads, keys: set[Any]) -> Texts:
    return _texts(VectorIndex, keys, F("name"))


def _resources(reads: Reads, keys: set[Any]) -> Texts:
    """Yield the names that the project gives to resources; without one, pages show the id."""
    resource_names = admin_settings().resource_names
    if resource_names is no_names:
        return
    try:
        with transaction.atomic(using=database()):  # its statements may fail
            names = dict(resource_names(sorted(keys)))
    except Exception:
        logger.exception("RESOURCE_NAMES of MASTRA_ENGINE_ADMIN failed")
        return
    for key in keys & names.keys():
        yield Named(key, str(names[key]))


def _joined(*parts: Any) -> Any:
    words: list[Any] = [parts[0]]
    for part in parts[1:]:
        words += [Value(" "), part]
    return Concat(*words, output_field=TextField())


_READERS: dict[str, Callable[[Reads, set[Any]], Texts]] = {
    "embedding": _embeddings,
    "entity": _of_connection(Entity, "name"),
    "fact": _facts,
    "message": _messages,
    "record": _records,
    RESOURCE: _resources,
    "sync": _of_connection(Sync, "sync"),
    "syncrun": _of_connection(SyncRun, "sync"),
    "thread": _threads,
    "vectorindex": _indexes,
}
