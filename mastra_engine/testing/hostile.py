"""Hostile input, as one corpus for every way into the engine.

Each entry has a name for the test report. A refused value carries the JSON pointer, below the
place where it is given, that the error must name.
"""

from __future__ import annotations

import math
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple


class Refused(NamedTuple):
    """Input that must raise InvalidInput and write nothing; `pointer` is within the value."""

    name: str
    value: Any
    pointer: str = ""


class Kept(NamedTuple):
    """Input that looks dangerous and must come back exactly as it went in."""

    name: str
    value: Any


def nested(levels: int) -> Any:
    """Return objects in objects, `levels` of them."""
    value: Any = "core"
    for _ in range(levels):
        value = {"a": value}
    return value


_INJECTIONS = [
    "a' OR '1'='1' --",
    "zzz'; DROP TABLE mastra_engine_record; --",
    "$.x ? (@ == 1)",
    '" || true || "',
    "%s %(x)s {0} {name}",
    "\\",
    '\\" ? (@ == 1)',
    "O'Brien",
    "100% _wild_",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "data__x__regex",
    "__proto__",
    "constructor",
    "\u202eright to left",
    "\U0001f600 four bytes",
    "e\u0301 is not \u00e9",
    "trailing  ",
    "\t\n\r\x01\x7f",
    "\\u0000 as text",
    "null",
]

TEXTS = [Kept(ascii(text), text) for text in _INJECTIONS]

#: Documents that fit `jsonb`, however odd they look.
DOCUMENTS = [
    Kept("empty", {}),
    *(Kept(f"value {text.name}", {"text": text.value}) for text in TEXTS),
    *(Kept(f"key {text.name}", {text.value: 1}) for text in TEXTS),
    Kept("empty key", {"": {"": ""}}),
    Kept("null", {"a": None, "b": [None, {"c": None}]}),
    Kept("integers beyond doubles", {"a": 2**53 + 1, "b": -(2**63), "c": 2**64 - 1}),
    Kept("floats", {"a": 0.1, "b": 1e300, "c": 5e-324, "d": 1.0, "e": 1e22, "f": -1e-7}),
    Kept("floats that are large integers", {"a": 2.0**60, "b": 1e16, "c": -(2.0**62)}),
    Kept("minus zero", {"a": -0.0}),
    Kept("booleans beside numbers", {"a": True, "b": 1, "c": False, "d": 0}),
    Kept("64 levels", nested(64)),
    Kept("10,000 keys", {f"k{i}": i for i in range(10_000)}),
    Kept("1 MB of text", {"a": "x" * 1_000_000}),
    Kept("year 10000", {"when": "+10000-01-01T00:00:00Z"}),
]

#: Values that no JSON column can hold or give back.
UNFIT_VALUES = [
    Refused("NUL", "a\0b"),
    Refused("NUL in a key", {"a": {"\0": 1}}, "/a/\\u0000"),
    Refused("NUL deep down", {"a": [1, {"b": "\0"}]}, "/a/1/b"),
    Refused("lone surrogate", "\ud800"),
    Refused("lone surrogate in a list", ["ok", "\udfff"], "/1"),
    Refused("lone surrogate in a key", {"\ud800": 1}, "/\\ud800"),
    Refused("NaN", math.nan),
    Refused("infinity", {"a": [math.inf]}, "/a/0"),
    Refused("minus infinity", -math.inf),
    Refused("NaN beside null", {"a": None, "b": math.nan}, "/b"),
    Refused("1e400", {"a": float("1e400")}, "/a"),
    Refused("integer beyond 64 bits", 2**64),
    Refused("4,000 digits", 10**4000),
    Refused("number as a key", {"a": {1: 2}}, "/a"),
    Refused("decimal", {"a": Decimal("1.5")}, "/a"),
    Refused("set", {1, 2}),
    Refused("bytes", b"bytes"),
    Refused("object", object()),
    Refused("pointer escapes", {"a/b": {"~": "\0"}}, "/a~1b/~0"),
]

#: Documents that nest too deeply; the pointer is cut short.
TOO_DEEP = [
    Refused("65 levels", nested(65)),
    Refused("1,000 levels", nested(1_000)),
    Refused("100,000 levels", nested(100_000)),
]

#: Invalid external ids, names and connection ids.
UNFIT_NAMES = [
    Refused("empty", ""),
    Refused("none", None),
    Refused("integer", 7),
    Refused("boolean", True),
    Refused("list", ["a"]),
    Refused("bytes", b"a"),
    Refused("NUL", "a\0"),
    Refused("lone surrogate", "\ud800"),
    Refused("513 bytes", "x" * 513),
    Refused("513 bytes of umlauts", "\u00e4" * 257),
    Refused("3,000 bytes", "x" * 3_000),
]

#: Values that are not text.
UNFIT_TEXTS = [
    Refused("integer", 7),
    Refused("boolean", False),
    Refused("list", ["a"]),
    Refused("bytes", b"a"),
    Refused("NUL", "a\0"),
    Refused("lone surrogate", "\ud800"),
]

#: Values that are not a count.
UNFIT_COUNTS = [
    Refused("negative", -1),
    Refused("boolean", True),
    Refused("text", "10"),
    Refused("float", 1.0),
    Refused("beyond bigint", 2**63),
]

#: Values that are not an instant.
UNFIT_MOMENTS = [
    Refused("number", 1_700_000_000),
    Refused("boolean", True),
    Refused("empty", ""),
    Refused("no time", "yesterday"),
    Refused("month 13", "2024-13-01T00:00:00Z"),
    Refused("naive", "2024-01-01T00:00:00"),
    Refused("naive object", datetime(2024, 1, 1)),  # noqa: DTZ001
    Refused("year 10000", "10000-01-01T00:00:00Z"),
    Refused("year 10000 in UTC", "9999-12-31T23:59:59-23:59"),
    Refused("year 0 in UTC", "0001-01-01T00:00:00+23:59"),
]

#: Values that are not a cursor; forged ones are in the contract suite.
UNFIT_CURSORS = [
    Refused("number", 7),
    Refused("empty", ""),
    Refused("not base64", "\u00e4!"),
    Refused("not JSON", "YWJj"),
    Refused("JSON of another shape", "e30"),
    Refused("NUL", "\0"),
    Refused("huge", "A" * 100_000),
]

#: Filters that say nothing, in both notations; the pointer begins at the filter.
UNFIT_FILTERS = [
    Refused("text", "price > 1"),
    Refused("number", 5),
    Refused("unknown operator", [{"field": "a", "operator": "like", "value": 1}], "/0/operator"),
    Refused("operator is no text", [{"field": "a", "operator": 1, "value": 1}], "/0/operator"),
    Refused("no value", [{"field": "a", "operator": "eq"}], "/0/value"),
    Refused("unknown key", [{"field": "a", "operator": "eq", "value": 1, "or": []}], "/0/or"),
    Refused("not a filter", [["a", "eq", 1]], "/0"),
    Refused("in without a list", [{"field": "a", "operator": "in", "value": "x"}], "/0/value"),
    Refused("exists 1", [{"field": "a", "operator": "exists", "value": 1}], "/0/value"),
    Refused("field is no text", [{"field": 1, "operator": "eq", "value": 1}], "/0/field"),
    Refused("empty field", [{"field": "", "operator": "eq", "value": 1}], "/0/field"),
    Refused("empty step", [{"field": "a..b", "operator": "eq", "value": 1}], "/0/field"),
    Refused("NUL in a field", [{"field": "a\0", "operator": "eq", "value": 1}], "/0/field"),
    Refused(
        "surrogate in a field", [{"field": "\ud800", "operator": "eq", "value": 1}], "/0/field"
    ),
    Refused("unknown column", [{"field": "@id", "operator": "eq", "value": 1}], "/0/field"),
    Refused("column, wrong type", [{"field": "@rev", "operator": "gt", "value": "1"}], "/0/value"),
    Refused("no time", {"@created_at": {"$gt": "yesterday"}}, "/@created_at/$gt"),
    Refused("naive time", {"@created_at": {"$gt": "2024-01-01T00:00:00"}}, "/@created_at/$gt"),
    Refused("year 10000", {"@updated_at": {"$lt": "10000-01-01T00:00:00Z"}}, "/@updated_at/$lt"),
    Refused("size of a column", {"@rev": {"$size": 1}}, "/@rev/$size"),
    Refused("$regex", {"a": {"$regex": "(a+)+$"}}, "/a/$regex"),
    Refused("$where", {"$where": "1"}, "/$where"),
    Refused("$expr in a field", {"a": {"$expr": 1}}, "/a/$expr"),
    Refused("operators beside fields", {"a": {"$gt": 1, "b": 2}}, "/a/b"),
    Refused("$or of nothing", {"$or": []}, "/$or"),
    Refused("$and of a mapping", {"$and": {"a": 1}}, "/$and"),
    Refused("$nor of numbers", {"$nor": [1]}, "/$nor/0"),
    Refused("$not of text at the top", {"$not": "a"}, "/$not"),
    Refused("$not of a list at the top", {"$not": [{"a": 1}]}, "/$not"),
    Refused("$not of nothing at the top", {"$not": {}}, "/$not"),
    Refused("$not of an unknown operator at the top", {"$not": {"a": {"$x": 1}}}, "/$not/a/$x"),
    Refused("$not of a value", {"a": {"$not": 1}}, "/a/$not"),
    Refused("$not of nothing", {"a": {"$not": {}}}, "/a/$not"),
    Refused("$in of a scalar", {"a": {"$in": 1}}, "/a/$in"),
    Refused("$all of text", {"a": {"$all": "x"}}, "/a/$all"),
    Refused("$in of operators", {"a": {"$in": [1, {"$gt": 1}]}}, "/a/$in/1/$gt"),
    Refused("$all of operators", {"a": {"$all": [{"$gt": 1}]}}, "/a/$all/0/$gt"),
    Refused(
        "$all of $elemMatch and others",
        {"a": {"$all": [{"$elemMatch": {"b": 1}}, 1]}},
        "/a/$all/0/$elemMatch",
    ),
    Refused(
        "$all of an unfit $elemMatch",
        {"a": {"$all": [{"$elemMatch": {"$like": 1}}]}},
        "/a/$all/0/$elemMatch/$like",
    ),
    Refused("1,001 conditions", {"$or": [{"a": {"$gt": 1}}] * 1_001}),
    Refused("1,008 conditions by their positions", {"$or": [{"a.0.1.2.3": 1}] * 63}),
    Refused("50,001 values", {"a": {"$in": [1] * 50_001}}),
    Refused("4,032 steps", {"$or": [{".".join("k" * 64): 1}] * 63}),
    Refused("a field of 4,097 characters", {"x" * 4_097: 1}),
    Refused("1,001 members", {"a": {"$all": [1] * 1_001}}),
    Refused("five positions", {"a.0.1.2.3.4": 1}, "/a.0.1.2.3.4"),
    Refused("$size of text", {"a": {"$size": "1"}}, "/a/$size"),
    Refused("negative $size", {"a": {"$size": -1}}, "/a/$size"),
    Refused("$elemMatch of a scalar", {"a": {"$elemMatch": 1}}, "/a/$elemMatch"),
    Refused("$exists of null", {"a": {"$exists": None}}, "/a/$exists"),
    Refused("$gt of an object", {"a": {"$gt": {"b": 1}}}, "/a/$gt"),
    Refused("$lt of a list", {"a": {"$lt": [1]}}, "/a/$lt"),
    Refused("NUL in a value", {"a": {"b": "\0"}}, "/a/b"),
    Refused("NaN", {"a": {"$gt": math.nan}}, "/a/$gt"),
    Refused("huge integer", {"a": 2**64}, "/a"),
    Refused("number as a field", {1: 2}, "/1"),
    Refused("dollar path", {"a": {"$elemMatch": {"$x.y": 1}}}, "/a/$elemMatch/$x.y"),
]


def _deep_or(levels: int) -> Any:
    value: Any = {"a": 1}
    for _ in range(levels):
        value = {"$or": [value]}
    return value


def _deep_not(levels: int) -> Any:
    value: Any = {"$gt": 1}
    for _ in range(levels):
        value = {"$not": value}
    return {"a": value}


#: Filters that nest too deeply; the pointer is cut short.
TOO_DEEP_FILTERS = [
    Refused("$or, 65 levels", _deep_or(65)),
    Refused("$or, 100,000 levels", _deep_or(100_000)),
    Refused("$not, 100,000 levels", _deep_not(100_000)),
    Refused("a path of 65 steps", {".".join("a" * 65): 1}),
]


#: Values that are not a vector of three dimensions under cosine.
UNFIT_VECTORS = [
    Refused("text", "1,0,0"),
    Refused("number", 1.0),
    Refused("mapping", {0: 1, 1: 0, 2: 0}),
    Refused("empty", []),
    Refused("one short", [1, 0]),
    Refused("one long", [1, 0, 0, 0]),
    Refused("2,001 dimensions", [1.0] * 2001),
    Refused("NaN", [1, math.nan, 0]),
    Refused("infinity", [math.inf, 0, 0]),
    Refused("beyond single precision", [1e39, 0, 0]),
    Refused("huge integer", [10**400, 0, 0]),
    Refused("zero", [0, 0, 0]),
    Refused("zero in single precision", [1e-60, 0, 0]),
    Refused("numbers as text", ["1", "0", "0"]),
    Refused("null", [None, 0, 0]),
    Refused("nested", [[1], [0], [0]]),
]


def _message(**fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": "Hi", **fields}


def _calling(call: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": [call]}


#: Values that are not a message; the pointer begins at the message.
UNFIT_MESSAGES = [
    Refused("none", None),
    Refused("text", "Hi"),
    Refused("list", ["user", "Hi"]),
    Refused("no role", {"content": "Hi"}, "/role"),
    Refused("no content", {"role": "user"}, "/content"),
    Refused("unknown role", _message(role="root"), "/role"),
    Refused("role is a list", _message(role=["user"]), "/role"),
    Refused("unknown key", _message(thread_id="other"), "/thread_id"),
    Refused("position", _message(position=1), "/position"),
    Refused("number as a key", {**_message(), 7: 1}, "/7"),
    Refused("content is none", _message(content=None), "/content"),
    Refused("content is a number", _message(content=7), "/content"),
    Refused("content is one part", _message(content={"type": "text", "text": "a"}), "/content"),
    Refused("content is bytes", _message(content=b"Hi"), "/content"),
    Refused("NUL in content", _message(content="a\0"), "/content"),
    Refused("surrogate in content", _message(content="\ud800"), "/content"),
    Refused("part is text", _message(content=["Hi"]), "/content/0"),
    Refused("part without a type", _message(content=[{"text": "Hi"}]), "/content/0/type"),
    Refused("type is a number", _message(content=[{"type": 7}]), "/content/0/type"),
    Refused("text part without text", _message(content=[{"type": "text"}]), "/content/0/text"),
    Refused("text is a list", _message(content=[{"type": "text", "text": []}]), "/content/0/text"),
    Refused("calls are no list", _message(tool_calls={"id": "1"}), "/tool_calls"),
    Refused("call is text", _calling("call"), "/tool_calls/0"),
    Refused("call without a function", _calling({"id": "1"}), "/tool_calls/0"),
    Refused("call without an id", _calling({"function": {"name": "f"}}), "/tool_calls/0/id"),
    Refused(
        "function without a name",
        _calling({"id": "1", "function": {}}),
        "/tool_calls/0/function/name",
    ),
    Refused("empty id", _message(id=""), "/id"),
    Refused("id of 513 bytes", _message(id="x" * 513), "/id"),
    Refused("id is a number", _message(id=7), "/id"),
    Refused("tool call id is a list", _message(tool_call_id=["1"]), "/tool_call_id"),
    Refused("metadata is a list", _message(metadata=[]), "/metadata"),
    Refused("metadata is text", _message(metadata="a"), "/metadata"),
    Refused("no time", _message(created_at="yesterday"), "/created_at"),
]
