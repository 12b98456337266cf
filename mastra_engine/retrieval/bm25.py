"""BM25, the ranking of documents by the words that they share with a query.

Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", Foundations and
Trends in Information Retrieval 3 (2009), without the constant factor k1 + 1. The inverse document
frequency is Lucene's, which is never negative.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

#: How soon further occurrences of a word add nothing, and how much long documents are discounted.
K1, B = 1.5, 0.75


@dataclass(frozen=True)
class Corpus:
    """The documents that a search ranks, whatever its filter.

    `frequencies` are the numbers of documents with each of the query's words, and `average_length`
    is in words.
    """

    documents: float
    average_length: float
    frequencies: Mapping[str, float]

    @classmethod
    def of(cls, words: Iterable[str], documents: Sequence[Mapping[str, int]]) -> Self:
        """Return the collection of documents, each of which says how often its words occur."""
        lengths = [sum(document.values()) for document in documents]
        return cls(
            documents=len(documents),
            average_length=sum(lengths) / (len(lengths) or 1),
            frequencies={word: sum(word in document for document in documents) for word in words},
        )

    @cached_property
    def weights(self) -> dict[str, float]:
        """The inverse document frequency of each of the query's words."""
        return {
            word: math.log(1 + (self.documents - frequency + 0.5) / (frequency + 0.5))
            for word, frequency in self.frequencies.items()
        }

    def contributions(
        self, query: Mapping[str, int], document: Mapping[str, int], length: int | None = None
    ) -> dict[str, float]:
        """Return the contribution of each word of a query to a document's score, their sum.

        `query` and `document` say how often a word occurs there. `length` is the document's number
        of words, if `document` has not all of them.
        """
        length = sum(document.values()) if length is None else length
        saturation = K1 * (1 - B + B * length / self.average_length) if length else K1
        return {
            word: number * self.weights[word] * document[word] / (document[word] + saturation)
            for word, number in query.items()
            if document.get(word)
        }
