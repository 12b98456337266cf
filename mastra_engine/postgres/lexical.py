"""Lexical search of a partition: BM25 on stored search vectors.

Three facts make it affordable. `ts_rank` of a single word grows with its number of occurrences, so
that number is computed from it in C. Rare words decide the order, and few documents contain them.
And the planner's statistics know how frequent the common words are.

The collection that a search ranks are all documents of the namespaces in scope; a filter selects
among them and does not change the weight of a word. Up to `EXACT_DOCUMENTS` it is read whole. In a
larger one the candidates are the documents with the rarest words, and those with two of the others;
the weights of the others, and the average length, are then estimates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

from mastra_engine.postgres.compile import TRUE, Sql, both, statement
from mastra_engine.postgres.partitions import Partition
from mastra_engine.postgres.word_statistics import WordStatistics
from mastra_engine.retrieval.bm25 import K1, B, Corpus

#: Documents up to which a collection is read whole.
EXACT_DOCUMENTS = 5_000
#: Documents that the rarest words may yield as candidates, and pairs of the others as many again.
#: Measured in docs/explanation/retrieval.md.
_CANDIDATES = 300
#: Candidates at most, of a query that has only common words.
_MOST_CANDIDATES = 20_000


# How often a word occurs in a document. With equal weights, `ts_rank` is the sum of 1 / n^2 over
# the occurrences n = 1, 2, 3 …, divided by its limit, pi^2 / 6. The sum falls short of the limit by
# nearly 1 / (n + 1/2), and rounding is exact for the 255 positions that a tsvector keeps.
_OCCURRENCES = (
    "round(1 / (1.64493406685::float8 "
    "* (1 - ts_rank('{1,1,1,1}', words, %s::tsquery)::float8)) - 0.5)"
)

# The words of the query as the index's language has them, and the number of rows to search.
_QUERY = """
SELECT (SELECT json_agg(json_build_array(lexeme, cardinality(positions)) ORDER BY lexeme)
        FROM unnest(to_tsvector('{language}'::regconfig, %s))),
       (SELECT count(*) FROM (SELECT FROM {table} WHERE """

# A document has the place of its row, because the best rows are read once more; the others need not
# be read whole. Some documents are those of the nearest vectors (`is_nearest`).
_READ = (
    "SELECT stored.ctid AS place, id, namespace, word_count, ARRAY[{occurrences}] AS occurrences, "
)

# `totals` are the number of documents and their average length. As an estimate, the number may be
# lower than the number of documents with a word, which is counted.
_BEST = """
), collection AS MATERIALIZED (
    SELECT greatest(totals[1], (SELECT max(f) FROM unnest(frequencies) AS f)) AS documents,
           coalesce(nullif(totals[2], 0), 1) AS average_length, frequencies
    FROM statistics
), weight AS MATERIALIZED (
    SELECT ARRAY(
        SELECT ln(1 + (documents - frequency + 0.5) / (frequency + 0.5))
        FROM unnest(frequencies) WITH ORDINALITY AS each (frequency, i) ORDER BY i
    ) AS weights FROM collection
), scored AS MATERIALIZED (
    SELECT place, id, namespace, occurrences, word_count, is_nearest, {score} AS lexical
    FROM candidate, collection, weight WHERE passes
), best AS MATERIALIZED (
    (SELECT place, occurrences, word_count FROM scored WHERE NOT is_nearest
     ORDER BY lexical DESC, id, namespace LIMIT {limit})
    UNION
    SELECT place, occurrences, word_count FROM scored WHERE is_nearest
)
SELECT documents, average_length, frequencies,
       stored.id, stored.namespace, document, metadata::text, occurrences, best.word_count, """


class Word(NamedTuple):
    """A word of a query, how often it occurs there, and the likely share of documents with it."""

    lexeme: str
    number: int
    share: float

    @property
    def tsquery(self) -> str:
        """Return the word as a tsquery. It is quoted, for a dictionary may return any text."""
        escaped = self.lexeme.replace("\\", "\\\\").replace("'", "''")
        return f"'{escaped}'"


class Candidates(NamedTuple):
    """The tsquery of some documents, and the words of which it finds every document."""

    tsquery: str
    complete: frozenset[str]


class ParsedQuery(NamedTuple):
    """The words of a query, none if it has only stop words, and the size of the collection.

    The size is counted up to one above `EXACT_DOCUMENTS`.
    """

    words: list[Word]
    documents: float

    @property
    def is_of_all(self) -> bool:
        """Return whether the collection is so small that it is read whole."""
        return self.documents <= EXACT_DOCUMENTS


class LexicalResult(NamedTuple):
    """The rows of a lexical search, the words of its query, and the collection with their weights.

    A row is (id, namespace, document, metadata, occurrences, length, distance, vector): how often
    each of the words occurs in it, its number of words, and its vector in pgvector's binary form.
    """

    rows: list[tuple[Any, ...]]
    query: Mapping[str, int]
    collection: Corpus


@dataclass(frozen=True, slots=True, kw_only=True)
class LexicalSearch:
    """A search for the documents that share words with a query.

    `words` are the query's, with repetitions; `within` is the condition of the collection, and
    `condition` that of the filter. `limit` is the number of documents. If candidates were left out
    and fewer than `enough` are found, all are searched. With `target`, a vector as text, rows have
    their distances.
    """

    partition: Partition
    statistics: WordStatistics
    words: Sequence[str]
    within: Sql
    condition: Sql
    limit: int
    enough: int
    target: str | None = None
    with_vector: bool = False

    def parse(self) -> ParsedQuery:
        """Return the words as the index's language has them, and the size of the collection."""
        table, language = self.partition.table, self.partition.index.language
        estimate = self.statistics.documents
        # Counting takes long where the first pages of a large table have few rows that are alive.
        large = self.within == TRUE and estimate > 2 * EXACT_DOCUMENTS
        ((lexemes, counted),) = self._fetch(
            (_QUERY.format(table=table, language=language), [" ".join(self.words)]),
            self.within,
            f" LIMIT {0 if large else EXACT_DOCUMENTS + 1}) AS counted)",
        )
        words = [
            Word(lexeme, number, self.statistics.share(lexeme)) for lexeme, number in lexemes or ()
        ]
        return ParsedQuery(words, estimate if large else counted)

    def run(self, query: ParsedQuery, keys: Sequence[tuple[str, str]]) -> LexicalResult:
        """Return the rows in any order, and beside them those of the nearest vectors.

        A collection that is read whole yields these, too; of another one they are the rows of
        `keys`, namespaces and ids. There are no rows if the index was deleted or replaced since it
        was found.
        """
        words = query.words
        every = Candidates(either(words), frozenset(word.lexeme for word in words))
        if query.is_of_all:
            return self._search(words, every, self._nearest())
        documents, nearest = self._documents(), self._of_keys(keys)
        result = self._search(words, rarest(words, documents), nearest, documents)
        if len(result.rows) < self.enough:
            result = self._search(words, every, nearest, documents)
        return result

    def _documents(self) -> float:
        """Return the number of documents in a large collection, as the planner estimates it."""
        if self.within == TRUE and self.statistics.documents:
            return self.statistics.documents
        explain = f"EXPLAIN (FORMAT JSON) SELECT FROM {self.partition.table} WHERE "
        (((plan,),),) = self._fetch(explain, self.within)
        return max(float(plan["Plan"]["Plan Rows"]), EXACT_DOCUMENTS)

    def _search(
        self,
        words: Sequence[Word],
        candidates: Candidates,
        nearest: Sql | None,
        documents: float | None = None,
    ) -> LexicalResult:
        """Search candidates; without a number of `documents` they are the whole collection."""
        partition = self.partition
        vector = partition.binary() if self.with_vector else "NULL"
        rows = self._fetch(
            "WITH candidate AS MATERIALIZED (",
            *self._candidates(words, self._matching(candidates.tsquery, documents), nearest),
            "), statistics AS MATERIALIZED (",
            *self._statistics(words, candidates, documents),
            _BEST.format(score=_score(words), limit=self.limit),
            self._distance(),
            f", {vector} FROM collection, best JOIN {partition.table} AS stored "
            "ON stored.ctid = place WHERE EXISTS ",
            (f"(SELECT {partition.unchanged})", [partition.index.name]),
        )
        query = {word.lexeme: word.number for word in words}
        count, average_length, frequencies = rows[0][:3] if rows else (0, 1, [0] * len(words))
        collection = Corpus(
            documents=count,
            average_length=average_length,
            frequencies=dict(zip(query, frequencies, strict=True)),
        )
        return LexicalResult([row[3:] for row in rows], query, collection)

    def _matching(self, tsquery: str, documents: float | None) -> Sql:
        """Return the condition that a document of the collection has words of the query.

        A small collection is read by its namespaces. Without IS TRUE, the planner might also read
        the index of words, which has the documents of all namespaces: with a common word, far more
        than the collection.
        """
        small = documents is None and self.within != TRUE
        has_words = "(words @@ %s::tsquery) IS TRUE" if small else "words @@ %s::tsquery"
        return both((has_words, [tsquery]), self.within)

    def _candidates(
        self, words: Sequence[Word], matching: Sql, nearest: Sql | None
    ) -> list[Sql | str]:
        """Return the statement that reads the candidates, and the nearest rows beside them."""
        occurrences = ", ".join([_OCCURRENCES] * len(words))
        read: Sql = (_READ.format(occurrences=occurrences), [word.tsquery for word in words])
        by_words: list[Sql | str] = [
            *("(", read, self.condition, " AS passes, FALSE AS is_nearest "),
            *(f"FROM {self.partition.table} AS stored WHERE ", matching),
            f" LIMIT {_MOST_CANDIDATES})",
        ]
        return by_words if nearest is None else [*by_words, " UNION ALL (", read, nearest, ")"]

    def _nearest(self) -> Sql | None:
        """Return the rest of the statement that reads the nearest rows of the whole collection.

        Their words are looked at afterwards, since a subquery with a limit is not merged. Adding 0
        to the distance keeps the planner from the graph, in which rows of others may be nearer.
        """
        if self.target is None:
            return None
        return statement(
            "TRUE AS passes, TRUE AS is_nearest "
            "FROM (SELECT ctid, id, namespace, word_count, words "
            f"FROM {self.partition.table} WHERE ",
            both(self.within, self.condition),
            " ORDER BY 0 + (",
            self._distance(),
            f"), id, namespace LIMIT {self.limit}) AS stored",
        )

    def _of_keys(self, keys: Sequence[tuple[str, str]]) -> Sql | None:
        """Return the rest of the statement that reads the rows of namespaces and ids."""
        if not keys:
            return None
        pairs = "unnest(%s::text[], %s::text[]) AS key (space, name)"
        equal = f"index_id = {self.partition.index.id} AND namespace = space AND id = name"
        return statement(
            self.condition,
            f" AS passes, TRUE AS is_nearest FROM {self.partition.table} AS stored JOIN ",
            (f"{pairs} ON {equal}", [list(column) for column in zip(*keys, strict=True)]),
        )

    def _distance(self) -> Sql:
        if self.target is None:
            return "NULL::float8", []
        return self.partition.distance(), [self.target]

    def _statistics(
        self, words: Sequence[Word], candidates: Candidates, documents: float | None
    ) -> list[Sql | str]:
        """Return the statement of the collection's statistics, counted as far as affordable."""
        table, average = self.partition.table, self.statistics.average_length
        frequencies = ", ".join(
            f"count(*) FILTER (WHERE occurrences[{i}] > 0 AND NOT is_nearest)"
            if word.lexeme in candidates.complete
            else str(word.share * (documents or 0))
            for i, word in enumerate(words, start=1)
        )
        counted = f"(SELECT ARRAY[count(*), avg(word_count)]::float8[] FROM {table} WHERE "
        first = f"(SELECT word_count FROM {table} LIMIT {EXACT_DOCUMENTS}) AS first"
        totals: list[Sql | str]
        if documents is None:
            totals = [counted, self.within, " AND words IS NOT NULL)"]
        elif average is None:  # before the first ANALYZE
            totals = [f"(SELECT ARRAY[{documents}, avg(word_count)]::float8[] FROM {first})"]
        else:
            totals = [f"ARRAY[{documents}, {average}]::float8[]"]
        return [
            # count(*) makes one row of it, where no word is counted.
            f"SELECT count(*), ARRAY[{frequencies}]::float8[] AS frequencies, ",
            *totals,
            " AS totals FROM candidate",
        ]

    def _fetch(self, *parts: Sql | str) -> list[Any]:
        with self.partition.connection.cursor() as cursor:
            cursor.execute(*statement(*parts))
            return list(cursor.fetchall())


def either(words: Sequence[Word]) -> str:
    """Return the tsquery of the documents with any of the words."""
    return " | ".join(word.tsquery for word in words)


def rarest(words: Sequence[Word], documents: float) -> Candidates:
    """Return the candidates among so many documents.

    These are the documents with the rarest words, up to `_CANDIDATES`, and those with two of the
    other words, the rarest pairs first, up to as many again; words are taken for independent. If
    no word and no pair is that rare, the rarest of the words is searched alone.
    """
    ordered = sorted(words, key=lambda word: (word.share, word.lexeme))
    rare = _affordable([(word.share, word.tsquery) for word in ordered], documents)
    pairs = [
        (one.share * other.share, f"({one.tsquery} & {other.tsquery})")
        for one, other in combinations(ordered[len(rare) :], 2)
    ]
    parts = [*rare, *_affordable(sorted(pairs), documents)]
    if not parts:
        rare = parts = [ordered[0].tsquery]
    return Candidates(" | ".join(parts), frozenset(word.lexeme for word in ordered[: len(rare)]))


def _affordable(options: Sequence[tuple[float, str]], documents: float) -> list[str]:
    """Return the first of some tsqueries that together find up to `_CANDIDATES` documents."""
    total, affordable = 0.0, []
    for share, tsquery in options:
        total += share * documents
        if total > _CANDIDATES:
            break
        affordable.append(tsquery)
    return affordable


def _score(words: Sequence[Word]) -> str:
    """Return the score of a candidate, as bm25.py computes it; 0 without a search vector.

    Without the cast of each number, PostgreSQL would compute with decimal numbers, which takes
    longer than all the rest.
    """
    saturation = f"{K1}::float8 * ({1 - B}::float8 + {B}::float8 * word_count / average_length)"
    parts = " + ".join(
        f"{word.number}::float8 * weights[{i}] * occurrences[{i}] "
        f"/ (occurrences[{i}] + {saturation})"
        for i, word in enumerate(words, start=1)
    )
    return f"coalesce({parts}, 0)"
