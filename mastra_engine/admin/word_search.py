"""Finding rows by their words, in time that does not grow with the tables.

The search vectors of messages and records have an index of words. Rows without one, such as the
messages of a project without an embedder, are scanned, a bounded number of them: an index of their
text would make appending messages five times as slow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django.db import connections
from django.db.models import CharField, Exists, F, OuterRef, QuerySet, Value
from django.db.models.functions import Greatest, Left, Lower, StrIndex, Substr
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from mastra_engine.admin.reading import MATCHES
from mastra_engine.handler import engine
from mastra_engine.models import IndexProgress, Message, Record, VectorIndex
from mastra_engine.postgres.partitions import Partition
from mastra_engine.postgres.word_search import records_with_words, scan, vectors_with_words
from mastra_engine.retrieval.embedding import EXCERPT
from mastra_engine.retrieval.words import query_words

#: The most rows without a search vector that a search scans, the newest first, and the most rows
#: with a common word that it considers. These are about a tenth of a second.
SCANNED = 20_000
#: The most messages that wait for a vector and are scanned, where others have one: these few lie
#: far apart in the table, so each costs the reading of a page.
WAITING = 5_000
#: The characters of an excerpt, and those of them before the first word.
_LENGTH, _BEFORE = 240, 60
#: The most vector indexes of records that are searched.
INDEXES = 10


def distinct_words(term: str) -> list[str]:
    """Return the words of a search term, as lexical search has them."""
    return list(dict.fromkeys(query_words(term)))


def in_messages(messages: QuerySet[Message], words: Sequence[str], column: str) -> set[Any]:
    """Return a column of up to MATCHES messages, among some, that have all the words."""
    waiting = messages.filter(embedded_at=None).exclude(text="")
    newest = waiting.order_by("-thread_id", "-position")  # the order of an index of these only
    indexes = VectorIndex.objects.using(messages.db)
    index = indexes.filter(name=engine.memory.index_name).first()
    if index is None:
        return scanned(newest, "text", words, column)
    indexed = _with_vectors(index, messages, words, column)
    return indexed | scanned(newest[:WAITING], "text", words, column)


def _with_vectors(
    index: VectorIndex, messages: QuerySet[Message], words: Sequence[str], column: str
) -> set[Any]:
    """Return a column of messages that have all the words in their search vectors."""
    partition = Partition(connections[messages.db], index.to_definition())
    ids = vectors_with_words(partition, words, limit=SCANNED)
    matches = messages.order_by().filter(pk__in=ids)[:MATCHES]
    return set(matches.values_list(column, flat=True))


def in_records(records: QuerySet[Record], words: Sequence[str]) -> set[Any]:
    """Return the keys of up to MATCHES records that have all the words in a vector index."""
    read = IndexProgress.objects.filter(vector_index=OuterRef("pk"))
    indexes = VectorIndex.objects.using(records.db).filter(Exists(read)).order_by("pk")[:INDEXES]
    partitions = [Partition(connections[records.db], index.to_definition()) for index in indexes]
    if not partitions:
        return set()
    ids = records_with_words(partitions, words, limit=SCANNED)
    return set(records.order_by().filter(pk__in=ids).values_list("pk", flat=True)[:MATCHES])


def scanned(rows: QuerySet[Any], text: Any, words: Sequence[str], column: str = "pk") -> set[Any]:
    """Return a column of up to MATCHES rows with all the words, of the first SCANNED.

    The words may be parts of others. Long texts are read up to the length of an embedder's.
    """
    connection = connections[rows.db]
    first = rows.values_list(F(column), Lower(Left(text, EXCERPT)))[:SCANNED]
    statement = first.query.get_compiler(connection=connection).as_sql()
    return scan(connection, statement, words, limit=MATCHES)


def excerpt_of(text: str, words: Sequence[str]) -> Any:
    """Return the expression of a part of a text that begins shortly before a word."""
    if not words:
        return Left(text, _LENGTH)
    place = StrIndex(Lower(Left(text, EXCERPT)), Value(words[0], CharField()))
    return Substr(text, Greatest(place - _BEFORE, 1), _LENGTH)


def marked(text: str, words: Sequence[str]) -> SafeString:
    """Return a text as HTML in which the words are marked."""
    if not words:
        return format_html("{}", text)
    longest_first = sorted(words, key=len, reverse=True)
    pattern = f"({'|'.join(map(re.escape, longest_first))})"
    parts = re.split(pattern, text, flags=re.IGNORECASE)  # every second part is a word
    htmls = (
        format_html("<mark>{}</mark>" if i % 2 else "{}", part) for i, part in enumerate(parts)
    )
    return format_html_join("", "{}", ((html,) for html in htmls))
