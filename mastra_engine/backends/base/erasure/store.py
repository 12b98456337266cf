"""Counts and deletions of the data of a resource or a connection, which a backend implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from mastra_engine.types import Erasure


class ErasureStore(ABC):
    """Counts and deletes across all tables of one backend."""

    @abstractmethod
    def run(self, operation: Callable[[], None]) -> None:
        """Run an operation in one transaction; if it raises, nothing has changed."""

    @abstractmethod
    def count_resource(self, resource_id: str, *, indexes: Sequence[str]) -> Erasure:
        """Count the data of a resource, with its vectors in the indexes of these names."""

    @abstractmethod
    def delete_resource(self, resource_id: str) -> None:
        """Delete a resource's threads, messages, working memory, state, facts and evaluation cases.

        Of its state, tombstones are deleted too. The vectors of facts go with them, others do not.
        """

    @abstractmethod
    def count_connection(self, connection_id: str) -> Erasure:
        """Count the data of a connection, with the vectors of its records."""

    @abstractmethod
    def delete_evaluation_cases(self, connection_id: str) -> None:
        """Delete the saved evaluation cases of a connection."""

    @abstractmethod
    def count_namespace(self, namespace: str) -> Erasure:
        """Count the evaluation cases of a namespace, and those of its vectors that users stored.

        Vectors that were made of messages, records or state are not counted.
        """

    @abstractmethod
    def delete_namespace(self, namespace: str) -> None:
        """Delete the data that count_namespace() counts."""

    @abstractmethod
    def vacuum(self, *, full: bool) -> None:
        """Reclaim the space of deleted rows; raises EngineError within a transaction."""
