"""A list-append checker: whether what processes saw of one thread fits one order of appends.

Every element is unique, so a lost, doubled or displaced one is told apart. Times are of the
machine's one monotonic clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Appended:
    """A call that was acknowledged: the elements in the order given, and their positions."""

    worker: int
    called: float
    returned: float
    elements: list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Read:
    """A read of the whole list."""

    called: float
    returned: float
    ids: list[str]


def message_id(worker: int, number: int) -> str:
    return f"{worker}-{number:06}"


def worker_and_number(id: str) -> tuple[int, int]:
    worker, number = id.split("-")
    return int(worker), int(number)


def check(final: Sequence[str], appends: Sequence[Appended], reads: Sequence[Read] = ()) -> None:
    """Raise AssertionError unless the final list, by position, explains all that was seen."""
    check_elements(final, appends)
    check_own_order(final)
    check_real_time(appends)
    for read in reads:
        check_read(read, final, appends)


def check_elements(final: Sequence[str], appends: Sequence[Appended]) -> None:
    """Each acknowledged element is there once, where it was said to be; calls are whole."""
    assert not [id for id, times in Counter(final).items() if times > 1], "doubled"
    places = {id: position for position, id in enumerate(final, start=1)}
    for call in appends:
        for id, position in call.elements:
            assert places.get(id) == position, f"{id} was acknowledged at {position}"
        first = call.elements[0][1]
        positions = [position for _, position in call.elements]
        assert positions == list(range(first, first + len(positions))), "a call is torn"


def check_own_order(final: Sequence[str]) -> None:
    """What one worker appended comes in its order, and without gaps."""
    counted: Counter[int] = Counter()
    for id in final:
        worker, number = worker_and_number(id)
        assert number == counted[worker], f"{id} is not the next of its worker"
        counted[worker] += 1


def check_real_time(appends: Sequence[Appended]) -> None:
    """What returned before another was called comes before it."""
    highest = 0
    for _, call, is_return in sorted(_moments(appends), key=lambda item: item[0]):
        if is_return:
            highest = max(highest, call.elements[-1][1])
        else:
            # Everything that returned earlier is below what is only now being called.
            assert call.elements[0][1] > highest, f"{call} overtook"


def _moments(appends: Sequence[Appended]) -> Iterator[tuple[float, Appended, bool]]:
    for call in appends:
        yield call.called, call, False
        yield call.returned, call, True


def check_read(read: Read, final: Sequence[str], appends: Sequence[Appended]) -> None:
    """A read is a prefix, with all that was acknowledged before it and nothing from after it."""
    assert read.ids == list(final[: len(read.ids)]), "not a prefix"
    seen = set(read.ids)
    for call in appends:
        ids = {id for id, _ in call.elements}
        if call.returned < read.called:
            assert ids <= seen, "acknowledged, and not read"
        if call.called > read.returned:
            assert not ids & seen, "read before it was called"
        assert ids <= seen or not ids & seen, "a call is read in part"


def unacknowledged(final: Sequence[str], appends: Sequence[Appended]) -> list[str]:
    """Return what is stored although its worker was never told."""
    reported = {id for call in appends for id, _ in call.elements}
    return [id for id in final if id not in reported]


def check_sums(rows: Sequence[tuple[int, int, int]]) -> None:
    """Rows of (position, tokens, cum_tokens), by position, add up."""
    total = 0
    for _, tokens, cum_tokens in rows:
        total += tokens
        assert cum_tokens == total
    assert all(earlier[0] < later[0] for earlier, later in pairwise(rows))
