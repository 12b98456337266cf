"""The words of a text, as both engines count them for lexical search.

PostgreSQL's parser leaves Chinese, Japanese and Korean text unsplit, and recognizes addresses and
numbers in ways that depend on the locale. So texts are split here, and PostgreSQL receives words
that its parser takes as they are. Its dictionaries then remove stop words and endings.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping

#: PostgreSQL keeps 16,383 positions of a text and 255 of a word; a word has up to 2,046 bytes.
MAX_WORDS = 16_383
MAX_FREQUENCY = 255
_MAX_LENGTH = 255
#: Characters of a text that are split. A tsvector holds a megabyte, in up to four bytes each.
_MAX_CHARACTERS = 2**18
#: Distinct words of a query that are searched; the cost of a search grows with each.
MAX_QUERY_WORDS = 128

#: Han, kana and Hangul, which are split into overlapping pairs of characters.
_PAIRED = (
    r"\u1100-\u11ff\u3005\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3"
    r"\uf900-\ufaff\U00020000-\U000323af"
)
_RUN = re.compile(f"[{_PAIRED}]+")
_ASCII_SEPARATORS = re.compile("[^a-z0-9]+")
#: PostgreSQL's parser takes 1e9 as a number, also at the beginning of a word such as 1e9ab.
_FLOAT = re.compile(r"(?<!\S)(\d+e\d+)(?=\S)")
#: Marks at the beginning of a word. PostgreSQL's parser takes them only behind a letter.
_LEADING_MARKS = re.compile(r"(?<!\S)[^\w\s]+")


#: The last character that is remembered: the plane of nearly all living scripts. A text of all
#: characters would otherwise leave a hundred megabytes behind.
_LAST_KEPT = 0xFFFF


class _Separators(dict[int, int]):
    """Maps each character but letters, marks and digits to a space."""

    def __missing__(self, character: int) -> int:
        category = unicodedata.category(chr(character))
        to = character if category[0] in "LM" or category in ("Nd", "Nl") else 32
        if character <= _LAST_KEPT:
            self[character] = to
        return to


_SEPARATORS = _Separators()


def words_of(text: str) -> list[str]:
    """Return the words of a text, in order and with repetitions.

    Words are runs of letters, marks and digits in lower case, after normalization (NFKC); marks
    count behind a letter or a digit. Runs of Chinese, Japanese and Korean characters become
    overlapping pairs: 東京都 has the words 東京 and 京都. Words of over 255 characters are left
    out. At most 16,383 words are returned.
    """
    text = text[:_MAX_CHARACTERS]
    if text.isascii():
        spaced = _ASCII_SEPARATORS.sub(" ", text.lower())
    else:
        normalized = unicodedata.normalize("NFKC", text).lower()[:_MAX_CHARACTERS]
        paired = _RUN.sub(_pairs, normalized.translate(_SEPARATORS))
        spaced = _LEADING_MARKS.sub("", paired)
    words = _FLOAT.sub(r"\1 ", spaced).split()[:MAX_WORDS]
    return [word for word in words if len(word) <= _MAX_LENGTH]


def analyzed(text: str | None) -> str | None:
    """Return a document as its words, from which PostgreSQL makes the search vector."""
    return None if text is None else " ".join(words_of(text))


def query_words(text: str) -> list[str]:
    """Return the first 128 distinct words of a query, with all their repetitions."""
    words = words_of(text)
    distinct = set(list(dict.fromkeys(words))[:MAX_QUERY_WORDS])
    return [word for word in words if word in distinct]


def frequencies(words: list[str]) -> Mapping[str, int]:
    """Return how often each word occurs in a document, 255 times at most."""
    return {word: min(number, MAX_FREQUENCY) for word, number in Counter(words).items()}


def _pairs(run: re.Match[str]) -> str:
    return f" {' '.join(_overlapping(run[0]))} "


def _overlapping(run: str) -> Iterator[str]:
    if len(run) == 1:
        yield run
    for i in range(len(run) - 1):
        yield run[i : i + 2]
