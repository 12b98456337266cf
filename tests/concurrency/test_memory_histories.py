"""The list-append checker sees what it is there to see."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.concurrency.histories import (
    Appended,
    Read,
    check,
    check_sums,
    message_id,
    unacknowledged,
)

A0, A1, A2, B0 = message_id(1, 0), message_id(1, 1), message_id(1, 2), message_id(2, 0)

FINAL = [A0, B0, A1, A2]
APPENDS = [
    Appended(1, called=0.0, returned=1.0, elements=[(A0, 1)]),
    Appended(2, called=0.5, returned=2.0, elements=[(B0, 2)]),
    Appended(1, called=1.5, returned=3.0, elements=[(A1, 3), (A2, 4)]),
]
READ = Read(called=1.2, returned=1.3, ids=[A0])


def test_what_is_right_passes() -> None:
    check(FINAL, APPENDS, [READ, Read(0.1, 5.0, []), Read(1.6, 1.7, FINAL), Read(4, 5, FINAL)])
    check_sums([(1, 5, 5), (3, 4, 9)])
    assert unacknowledged(FINAL, APPENDS) == []


@pytest.mark.parametrize(
    "final",
    [FINAL[:-1], [*FINAL, A0], [B0, A0, A1, A2], [A0, B0, A2, A1], [*FINAL, message_id(3, 1)]],
    ids=["lost", "doubled", "displaced", "own order", "a gap"],
)
def test_a_wrong_list_is_seen(final: list[str]) -> None:
    with pytest.raises(AssertionError):
        check(final, APPENDS)


def test_a_torn_call_is_seen() -> None:
    torn = replace(APPENDS[2], elements=[(A1, 3), (A2, 5)])
    with pytest.raises(AssertionError, match="torn"):
        check([*FINAL[:3], message_id(3, 0), A2], [*APPENDS[:2], torn])


def test_overtaking_is_seen() -> None:
    late = [APPENDS[0], replace(APPENDS[1], called=3.5, returned=4.0), APPENDS[2]]
    with pytest.raises(AssertionError, match="overtook"):
        check(FINAL, late)


@pytest.mark.parametrize(
    ("read", "what"),
    [
        (replace(READ, ids=[B0]), "not a prefix"),
        (replace(READ, ids=[A0, A1]), "not a prefix"),
        (replace(READ, ids=[]), "not read"),
        (replace(READ, called=0.1, returned=0.2, ids=[A0, B0]), "before it was called"),
        (replace(READ, called=1.6, returned=1.7, ids=FINAL[:3]), "in part"),
    ],
)
def test_a_wrong_read_is_seen(read: Read, what: str) -> None:
    with pytest.raises(AssertionError, match=what):
        check(FINAL, APPENDS, [read])


@pytest.mark.parametrize("rows", [[(1, 5, 5), (2, 4, 8)], [(2, 5, 5), (1, 4, 9)]])
def test_wrong_sums_are_seen(rows: list[tuple[int, int, int]]) -> None:
    with pytest.raises(AssertionError):
        check_sums(rows)


def test_unconfirmed_messages_are_named() -> None:
    assert unacknowledged(FINAL, APPENDS[:2]) == [A1, A2]
