"""Why something was retrieved for a message: the scores that the message has kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from mastra_engine.admin.base import EngineAdmin, Link, View
from mastra_engine.admin.openable import openable
from mastra_engine.admin.retrievals import Retrieval, Retrieved, names_retrieved, retrievals
from mastra_engine.admin.scores import Score, score_lines
from mastra_engine.admin.transcript import load_content
from mastra_engine.backends.base.memory.recall import DEFAULT_WEIGHT as RECALL_WEIGHT
from mastra_engine.backends.base.vectors.search import DEFAULT_WEIGHT
from mastra_engine.evaluations.targets import Target
from mastra_engine.models import Embedding, Message, Record, VectorIndex
from mastra_engine.registry import registry

#: The most messages of a turn, from the question on.
TURN = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """An item that was retrieved, with a link to its row if that still exists."""

    item: Retrieved
    url: str
    scores: list[Score]


@dataclass(frozen=True, slots=True)
class Place:
    """A target, the owner of the data there, and the weight that its searches have by default."""

    target: Target
    owner: str
    hybrid: float = DEFAULT_WEIGHT


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search for a message: its query, its items, and the place to search again."""

    retrieval: Retrieval
    reasons: list[Reason]
    place: Place | None


class Reasons(EngineAdmin):
    """The page that says why something was retrieved for a message."""

    views: tuple[View, ...] = (View("why", "<path:object_id>/why/", content="message"),)

    def why(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the results that were retrieved since the user's question up to a message."""
        message = self.row(request, object_id)
        turn = self._turn(message)
        searches = retrievals(turn)
        rows = _Rows(self, [item for retrieval in searches for item in retrieval.items])
        question = turn[0] if turn and turn[0].role == "user" else None
        return self.page(
            request,
            "why.html",
            title=_("Why: %(message)s") % {"message": message},
            heading=_("Why was this retrieved?"),
            row=message,
            question=question,
            searches=[self._search(retrieval, rows) for retrieval in searches],
            playground=openable(self, request, VectorIndex, "playground"),
            tools=[
                Link(
                    _("Transcript"),
                    self.url("thread_change", message.thread_id, at=message.position),
                ),
                *context_before(self, message),
            ],
        )

    def _turn(self, message: Message) -> list[Message]:
        """Return the messages from the last question of the user up to a message."""
        messages = self.rows(Message).filter(thread_id=message.thread_id)
        before = messages.filter(position__lte=message.position).order_by("-position")
        turn: list[Message] = []
        for row in before.defer("content", "text", "metadata")[:TURN]:
            turn.insert(0, row)
            if row.role == "user":
                break
        load_content(messages, turn)
        return turn

    def _search(self, retrieval: Retrieval, rows: _Rows) -> Search:
        items = retrieval.items
        lines = score_lines(item.parts for item in items)
        reasons = [
            Reason(item=item, url=rows.url(item), scores=scores)
            for item, scores in zip(items, lines, strict=True)
        ]
        places = filter(None, map(rows.place, items)) if retrieval.query else iter(())
        return Search(retrieval=retrieval, reasons=reasons, place=next(places, None))


class _Rows:
    """The rows of items that still exist, read with one statement for each kind."""

    def __init__(self, admin: EngineAdmin, items: Sequence[Retrieved]) -> None:
        self._admin = admin
        keys: dict[str, set[tuple[str, ...]]] = {"record": set(), "message": set(), "vector": set()}
        for item in items:
            keys[item.kind].add(item.key)
        self._urls: dict[tuple[str, ...], str] = {}
        self._places: dict[tuple[str, ...], Place] = {}
        if keys["record"]:
            self._read_records({id for (id,) in keys["record"]})
        if keys["message"]:
            self._read_messages({id for (id,) in keys["message"]})
        if keys["vector"]:
            self._read_vectors(keys["vector"])

    def url(self, item: Retrieved) -> str:
        """Return the address of an item's page, empty if its row is gone."""
        return self._urls.get(item.key, "")

    def place(self, item: Retrieved) -> Place | None:
        """Return where an item can be searched, None if its row is gone."""
        return self._places.get(item.key)

    def _read_records(self, ids: set[str]) -> None:
        declared = {entity for entity, _index in registry.indexes}
        rows = self._admin.rows(Record).filter(id__in=ids)
        for id, entity, connection in rows.values_list(
            "id", "entity__name", "entity__connection_id"
        ):
            self._urls[(str(id),)] = self._admin.url("record_change", id)
            if entity in declared:
                self._places[(str(id),)] = Place(Target("records", entity), connection)

    def _read_messages(self, ids: set[str]) -> None:
        rows = self._admin.rows(Message).filter(id__in=ids)
        for id, thread_id, position, resource_id in rows.values_list(
            "id", "thread_id", "position", "thread__resource_id"
        ):
            self._urls[(id,)] = self._admin.url("thread_change", thread_id, at=position)
            self._places[(id,)] = Place(Target("recall"), resource_id, RECALL_WEIGHT)

    def _read_vectors(self, keys: set[tuple[str, ...]]) -> None:
        indexes, namespaces, ids = map(set, zip(*keys, strict=True))
        rows = self._admin.rows(Embedding).filter(
            vector_index__name__in=indexes, namespace__in=namespaces, vector_id__in=ids
        )
        for index, namespace, id, *row in rows.values_list(
            "vector_index__name", "namespace", "vector_id", "vector_index_id", "row_id"
        ):
            self._urls[index, namespace, id] = self._admin.embedding_url(*row)
            self._places[index, namespace, id] = Place(Target("vectors", index), namespace)


def context_before(admin: EngineAdmin, message: Message) -> list[Link]:
    """Return a link to the context window before a message of the assistant."""
    url = admin.url("context", message.thread_id, before=message.position)
    return [Link(_("Context before"), url)] if message.role == "assistant" and url else []


def reasons_for(admin: EngineAdmin, message: Message) -> Iterator[Link]:
    """Yield links from a message of a transcript: why, and the context before it."""
    if names_retrieved(message) and (url := admin.url("why", message.pk)):
        yield Link(_("Why?"), url)
    yield from context_before(admin, message)
