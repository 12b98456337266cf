"""Protocols of the objects that a project may plug in. No base class is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable
from uuid import UUID

if TYPE_CHECKING:
    from mastra_engine.types import (
        Fact,
        FactInput,
        Match,
        Message,
        RerankedMatch,
        Retraction,
        Scope,
    )


@runtime_checkable
class Embedder(Protocol):
    """Converts text to vectors of one dimension. LangChain's `Embeddings` satisfy it.

    It should have the name of its model as `model`, `model_name` or `model_id`. The engine's own
    indexes record it and refuse another model.
    """

    def embed_documents(self, texts: list[str]) -> Sequence[Sequence[float]]:
        """Return one vector for each text, in order."""

    def embed_query(self, text: str) -> Sequence[float]:
        """Return the vector of a search query."""


class Tokenizer(Protocol):
    """Counts the tokens of a text. Any callable with this signature satisfies it."""

    def __call__(self, text: str, /) -> int:
        """Return the number of tokens."""


class Scorer(Protocol):
    """Scores texts by a query. Any callable with this signature satisfies it."""

    def __call__(self, query: str, texts: list[str]) -> Sequence[float]:
        """Return one score from 0 to 1 for each text, in order; larger is better."""


@runtime_checkable
class Reranks(Protocol):
    """Reorders matches, as `Reranker` does."""

    def rerank(self, results: list[Match], query: str, top_k: int = 3) -> list[RerankedMatch]:
        """Return the `top_k` best of `results`, best first."""


@runtime_checkable
class FactExtractor(Protocol):
    """Reads facts from messages. `OpenAIFactExtractor` is one that asks a language model."""

    def extract(
        self, messages: Sequence[Message], known_facts: Sequence[Fact]
    ) -> Sequence[FactInput | Retraction]:
        """Return the facts that messages tell, and the claims that no longer hold by them.

        The messages are of one thread, oldest first. `known_facts` are current facts about its
        resource, pinned ones first, then those remembered last. Retractions take effect before the
        facts are remembered. A fact without sources rests on all of the messages; its sources may
        be no others.
        """


class FactJudge(Protocol):
    """Tells duplicates from similar facts. Any callable with this signature satisfies it."""

    def __call__(self, fact: Fact, duplicate: Fact, /) -> bool:
        """Return whether both facts state the same."""


class AccessPolicy(Protocol):
    """Sets the scope of an API request. Any callable with this signature satisfies it."""

    def __call__(self, request: Any, permission: str, /) -> Scope | None:
        """Return the scope that the request may access, or None to deny it.

        `permission` is the codename of a Django permission of this app, such as "view_thread",
        "add_record" or "delete_vectorindex". An operation may require several permissions; the
        policy is called once for each.
        """


class RunQueue(Protocol):
    """Sends background work to workers: sync runs, indexing and embedding.

    Work may be delivered more than once; performing it twice is safe.
    """

    @property
    def can_wait(self) -> bool:
        """Whether `send` supports a delay."""

    def send(self, run_id: UUID, *, delay: float = 0) -> None:
        """Have a worker call `perform_sync_run` for the run after at least `delay` seconds."""

    def index(self, entity_id: UUID) -> None:
        """Have a worker call `index_pending` for the entity."""

    def embed(self, thread_id: str) -> None:
        """Have a worker call `embed_pending` for the thread."""

    def index_state(self, resource_id: str) -> None:
        """Have a worker call `state.index_pending` for the resource."""

    def index_facts(self, resource_id: str) -> None:
        """Have a worker call `facts.index_pending` for the resource."""

    def extract_facts(self, thread_id: str) -> None:
        """Have a worker call `facts.extract_pending` for the thread."""
