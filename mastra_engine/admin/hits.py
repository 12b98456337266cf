"""Results of the engine's searches as pages show them: with links, texts and scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest

from mastra_engine.admin.base import EngineAdmin, Link
from mastra_engine.admin.names import Name, vector_title
from mastra_engine.admin.scores import Score, score_lines
from mastra_engine.admin.sources import origins
from mastra_engine.admin.wording import term
from mastra_engine.conversations.parts import text_of
from mastra_engine.evaluations.targets import Target
from mastra_engine.models import Embedding
from mastra_engine.types import Match, RecalledMessage, RecordMatch

Result = Match | RecordMatch | RecalledMessage


@dataclass(slots=True, kw_only=True)
class Hit:
    """A search result. `id` is the id that evaluation cases expect, of a record its external id.

    `rank` is its place in the results that it is compared with, None if it is not among them.
    """

    id: str
    name: Name
    text: str
    score: float
    owner: str = ""
    origin: Link | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    scores: list[Score] = field(default_factory=list)
    rank: int | None = None


def hits_of(
    admin: EngineAdmin, request: HttpRequest, target: Target, results: Sequence[Result]
) -> list[Hit]:
    """Return the results of a search that was called with `explain=True`."""
    hits = _hits(admin, request, target, results)
    parts = [result.explanation.parts if result.explanation else [] for result in results]
    for hit, lines in zip(hits, score_lines(parts), strict=True):
        hit.scores = lines
    return hits


def _hits(
    admin: EngineAdmin, request: HttpRequest, target: Target, results: Sequence[Result]
) -> list[Hit]:
    matches = [result for result in results if isinstance(result, Match)]
    if matches:
        return _of_vectors(admin, request, target.name, matches)
    return [
        _of_record(admin, result) if isinstance(result, RecordMatch) else _of_message(admin, result)
        for result in results
        if not isinstance(result, Match)
    ]


def _of_record(admin: EngineAdmin, result: RecordMatch) -> Hit:
    record = result.record
    return Hit(
        id=record.external_id,
        name=Name(
            vector_title(record.data, None),
            record.external_id,
            admin.url("record_change", record.id),
        ),
        text=result.text,
        score=result.score,
        metadata=result.metadata,
    )


def _of_message(admin: EngineAdmin, message: RecalledMessage) -> Hit:
    return Hit(
        id=message.id,
        name=Name(
            f"{term(message.role)} #{message.position}",
            message.id,
            admin.url("thread_change", message.thread_id, at=message.position),
        ),
        text=text_of(message.content),
        score=message.score or 0.0,
        metadata=message.metadata,
    )


def _of_vectors(
    admin: EngineAdmin, request: HttpRequest, index: str, matches: Sequence[Match]
) -> list[Hit]:
    rows = admin.rows(Embedding).filter(
        vector_index__name=index,
        namespace__in={match.namespace for match in matches},
        vector_id__in={match.id for match in matches},
    )
    keys = rows.values_list("namespace", "vector_id", "vector_index_id", "row_id")
    urls = {(namespace, id): admin.embedding_url(*key) for namespace, id, *key in keys}
    links = origins(admin, request, [(match.namespace, match.metadata) for match in matches])
    return [
        Hit(
            id=match.id,
            name=Name(
                vector_title(match.metadata, match.document),
                match.id,
                urls.get((match.namespace, match.id), ""),
            ),
            text=match.document or "",
            score=match.score,
            owner=match.namespace,
            origin=link,
            metadata=match.metadata,
        )
        for match, link in zip(matches, links, strict=True)
    ]
