"""What makes input valid: checked once, before an engine sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from mastra_engine.exceptions import InvalidInput
from mastra_engine.types import RecordInput
from mastra_engine.validation.jsonb import Path, canonical, pointer, text_fault

MAX_NAME_BYTES = 512
MAX_COUNT = 2**62  # a bigint with room to add
MAX_SECONDS = 10**9
MAX_DAYS = 36_525
CHUNK_RECORDS = 5_000
CHUNK_BYTES = 16 * 1024 * 1024


def text(value: Any, path: str) -> str:
    """Return `value` if it is text that fits PostgreSQL."""
    if not isinstance(value, str):
        raise InvalidInput(f"must be text, not {type(value).__name__}", path=path)
    if (fault := text_fault(value)) is not None:
        raise InvalidInput(fault, path=path)
    return str(value)


def name(value: Any, path: str) -> str:
    """Return `value` if it can be an id or a name: text of 1 to 512 bytes."""
    named = text(value, path)
    if not named:
        raise InvalidInput("must not be empty", path=path)
    if len(named.encode()) > MAX_NAME_BYTES:
        raise InvalidInput(f"is longer than {MAX_NAME_BYTES} bytes", path=path)
    return named


def full_name(given: Any, connection_id: Any) -> tuple[str, str]:
    """Return what names one entity: its name and its connection's id."""
    return name(given, "/name"), name(connection_id, "/connection_id")


def names(values: Any, path: str, *, check: Callable[[Any, str], str] = name) -> list[str]:
    """Return the distinct names of an iterable of them, in its order."""
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise InvalidInput("must be a list of text", path=path)
    return list(dict.fromkeys(check(value, f"{path}/{i}") for i, value in enumerate(values)))


def narrowed(allowed: frozenset[str] | None, wanted: Iterable[str]) -> frozenset[str]:
    """Return what of the wanted is allowed; None allows everything."""
    return frozenset(wanted) if allowed is None else allowed.intersection(wanted)


def count(
    value: Any,
    path: str,
    *,
    least: int = 0,
    most: int = MAX_COUNT,
    error: type[InvalidInput] = InvalidInput,
) -> int:
    """Return `value` if it is an integer from `least` to `most`, by default 2^62."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise error(f"must be an integer, not {type(value).__name__}", path=path)
    if not least <= value <= most:
        raise error(f"must be from {least} to {most}", path=path)
    return value


def number(value: Any, path: str, *, least: float, most: float, of: str = "") -> float:
    """Return `value` if it is a number from `least` to `most`; `of` says what of."""
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    if not numeric or not least <= value <= most:
        raise InvalidInput(f"must be a number{of} from {least:g} to {most:,}", path=path)
    return float(value)


def seconds(value: Any, path: str, *, least: float = 0.0) -> float:
    """Return `value` if it is a number of seconds, thirty years at most."""
    return number(value, path, least=least, most=MAX_SECONDS, of=" of seconds")


def days(value: Any, path: str) -> float:
    """Return `value` if it is a number of days, a hundred years at most."""
    return number(value, path, least=0, most=MAX_DAYS, of=" of days")


def share(value: Any, path: str) -> float:
    """Return `value` if it is a number from 0 to 1."""
    return number(value, path, least=0, most=1)


def descends(order: Any) -> bool:
    """Return whether an order is from the last to the first."""
    return choice(order, "/order", "asc", "desc") == "desc"


def delete_ratio(value: Any, *, full: bool) -> float | None:
    """Return `value` if it is a limit to the deletions of a full sync, or None."""
    if value is None:
        return None
    ratio = share(value, "/max_delete_ratio")
    if not full:
        raise InvalidInput("goes with mode='full' only", path="/max_delete_ratio")
    return ratio


def choice(value: Any, path: str, *allowed: str) -> str:
    """Return `value` if it is one of `allowed`."""
    if value not in allowed:
        raise InvalidInput(f"must be one of {', '.join(allowed)}", path=path)
    return str(value)


def moment(value: Any, path: str, *, error: type[InvalidInput] = InvalidInput) -> datetime:
    """Return `value` in UTC if it is a time with its zone; ISO 8601 text is accepted."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise error("must be a time with its zone, as ISO 8601 has it", path=path)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise error("is not of the years 1 to 9999 in UTC", path=path) from None


def json_object(value: Any, path: Path) -> bytes:
    """Return the canonical JSON of an object; of None, that of an empty one."""
    if value is not None and not isinstance(value, Mapping):
        raise InvalidInput("must be a JSON object", path=pointer(path))
    return canonical(dict(value or {}), path)


def uuid(value: Any, path: str) -> UUID:
    """Return `value` as a UUID; its text form is accepted."""
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except (TypeError, ValueError, AttributeError):
        raise InvalidInput("must be a UUID", path=path) from None


def record_chunks(
    records: Any, *, check_type: Callable[[str, str], None]
) -> Iterator[dict[str, bytes]]:
    """Read `records` once and yield it as chunks of {external_id: canonical JSON}.

    `check_type` is called with each record's entity type, if it has one, and its JSON pointer.

    A chunk holds at most 5,000 records or about 16 MiB, so that a generator of any length passes
    through flat memory. Within a chunk the last of several records with one id wins.
    """
    if isinstance(records, str | bytes | Mapping) or not isinstance(records, Iterable):
        raise InvalidInput("must be an iterable of records", path="/records")
    chunk: dict[str, bytes] = {}
    weight = 0
    for position, record in enumerate(records):
        external_id, data = _parts(record, position, check_type)
        raw = canonical(data, ("records", position, "data"))
        chunk[external_id] = raw
        weight += len(raw)
        if len(chunk) == CHUNK_RECORDS or weight > CHUNK_BYTES:
            yield chunk
            chunk, weight = {}, 0
    if chunk:
        yield chunk


_ALIASES: dict[Any, str] = {"externalId": "external_id", "entityType": "entity_type"}
_USUAL_KEYS = {"external_id", "data"}
_RECORD_KEYS = {"external_id", "data", "entity_type"}


def _parts(
    record: Any, position: int, check_type: Callable[[str, str], None]
) -> tuple[str, dict[str, Any]]:
    if not isinstance(record, RecordInput):
        record = _record_input(record, position)
    if record.entity_type is not None:
        check_type(record.entity_type, f"/records/{position}/entity_type")
    if not isinstance(record.data, dict):
        raise InvalidInput("must be a JSON object", path=f"/records/{position}/data")
    return name(record.external_id, f"/records/{position}/external_id"), record.data


def _record_input(record: Any, position: int) -> RecordInput:
    # The usual form, told by its keys alone, saves a tenth of an unchanged pass.
    if type(record) is dict and record.keys() == _USUAL_KEYS:
        return RecordInput(record["external_id"], record["data"])
    if not isinstance(record, Mapping):
        raise InvalidInput("must be a record", path=f"/records/{position}")
    given: dict[str, Any] = {}
    for key, value in record.items():
        meant = _ALIASES.get(key, key)
        if meant not in _RECORD_KEYS or meant in given:
            raise InvalidInput("is not a key of a record", path=pointer(("records", position, key)))
        given[meant] = value
    for key in ("external_id", "data"):
        if key not in given:
            raise InvalidInput("is missing", path=f"/records/{position}/{key}")
    return RecordInput(**given)
