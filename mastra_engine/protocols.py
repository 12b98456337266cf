"""What a project may plug in; anything of the right shape does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable
from uuid import UUID

if TYPE_CHECKING:
    from mastra_engine.types import Match, RerankedMatch, Scope


@runtime_checkable
class Embedder(Protocol):
    """Turns text into vectors of one length. LangChain's `Embeddings` fit as they are."""

    def embed_documents(self, texts: list[str]) -> Sequence[Sequence[float]]:
        """Return one vector for each text, in order."""

    def embed_query(self, text: str) -> Sequence[float]:
        """Return the vector of a question."""


class Tokenizer(Protocol):
    """Says how many tokens a text takes; any callable of this signature does."""

    def __call__(self, text: str, /) -> int:
        """Return the number of tokens."""


class Scorer(Protocol):
    """Says how well texts answer a query; any callable of this signature does."""

    def __call__(self, query: str, texts: list[str]) -> Sequence[float]:
        """Return a score for each text, in order; 0 to 1, larger is better."""


@runtime_checkable
class Reranks(Protocol):
    """Puts matches in a better order: a `Reranker`, or anything with its method."""

    def rerank(self, results: list[Match], query: str, top_k: int = 3) -> list[RerankedMatch]:
        """Return the `top_k` best of `results`, best first."""


class AccessPolicy(Protocol):
    """Says what a request to the API may touch; any callable of this signature does."""

    def __call__(self, request: Any, permission: str, /) -> Scope | None:
        """Return the scope, or None when it may not do it at all.

        `permission` is the codename of a Django permission of this app: "view_thread",
        "add_record", "delete_vectorindex". An operation may ask for several, one after the other.
        """


class RunQueue(Protocol):
    """Carries sync runs, and what is to be indexed or embedded, to the workers that see to it."""

    @property
    def can_wait(self) -> bool:
        """Whether `send` can be told to wait."""

    def send(self, run_id: UUID, *, delay: float = 0) -> None:
        """Have `perform_sync_run` called for the run, not before `delay` seconds; maybe twice."""

    def index(self, entity_id: UUID) -> None:
        """Have `index_pending` called for the entity; maybe twice."""

    def embed(self, thread_id: str) -> None:
        """Have `embed_pending` called for the thread; maybe twice."""
