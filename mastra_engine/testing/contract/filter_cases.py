"""Filters and the documents that match them by MongoDB's semantics, for every test of filters."""

from __future__ import annotations

from itertools import product
from typing import Any

from mastra_engine.types import Filter

PRODUCTS: dict[str, dict[str, Any]] = {
    "array": {"price": [5, 25], "tags": ["Red", "blue"], "name": ["Lamp"]},
    "bool": {"price": True, "tags": [], "name": "O'Brien"},
    "cheap": {"price": 5, "tags": "red", "name": "Lamp"},
    "dear": {"price": 100.5, "tags": ["red", "green"], "name": "lampshade", "dims": {"w": 1}},
    "missing": {"name": "Straße 100%"},
    "nested": {"price": {"amount": 5}, "items": [{"sku": "a", "n": 1}, {"sku": "b", "n": 9}]},
    "null": {"price": None, "tags": None, "items": [], "dims": {"w": 1, "h": 2}},
    "text": {"price": "10", "tags": [["red"]], "items": [{"sku": "a", "n": 9}, 7, None]},
    "zero": {"price": 0, "tags": [1, None], "items": [{"n": 5}], "dims": 4},
}

ALL = list(PRODUCTS)


def but(*left_out: str) -> list[str]:
    """Return all product ids except some."""
    return [id for id in ALL if id not in left_out]


MONGO: list[tuple[Any, list[str]]] = [
    ({}, ALL),
    # Equality: within a type, on members of arrays, on whole arrays and documents.
    ({"price": 5}, ["array", "cheap"]),
    ({"price": {"$eq": 5.0}}, ["array", "cheap"]),
    ({"price": "5"}, []),
    ({"price": True}, ["bool"]),
    ({"price": 1}, []),
    ({"price": [5, 25]}, ["array"]),
    ({"price": [25, 5]}, []),
    ({"tags": ["red"]}, ["text"]),
    ({"tags": []}, ["bool"]),
    ({"price": {"amount": 5}}, ["nested"]),
    ({"dims": {"h": 2, "w": 1}}, ["null"]),
    ({"dims": {"w": 1}}, ["dear"]),
    ({"items": {"n": 1, "sku": "a"}}, ["nested"]),
    ({"price": {}}, []),
    # A missing field equals null; fields are looked for in the objects of arrays.
    ({"price": None}, ["missing", "null"]),
    ({"tags": None}, ["missing", "nested", "null", "zero"]),
    ({"dims.h": None}, ["array", "bool", "cheap", "dear", "missing", "nested", "text", "zero"]),
    ({"items.sku": None}, ["array", "bool", "cheap", "dear", "missing", "zero"]),
    ({"price.amount": 5}, ["nested"]),
    ({"items.sku": "a"}, ["nested", "text"]),
    ({"items.n": {"$gt": 5}}, ["nested", "text"]),
    ({"tags.x": "red"}, []),
    # Negations match documents that lack the field.
    ({"price": {"$ne": 5}}, but("array", "cheap")),
    ({"price": {"$ne": None}}, but("missing", "null")),
    ({"price": {"$nin": [5, None]}}, but("array", "cheap", "missing", "null")),
    ({"price": {"$nin": []}}, ALL),
    ({"price": {"$not": {"$gt": 1}}}, but("array", "cheap", "dear")),
    ({"price": {"$not": {"$gt": 1, "$lt": 50}}}, but("array", "cheap")),
    ({"price": {"$not": {"$not": {"$gt": 1}}}}, ["array", "cheap", "dear"]),
    ({"$nor": [{"price": 5}, {"dims.w": 1}]}, but("array", "cheap", "dear", "null")),
    # Negation of a whole condition, also within others.
    ({"$not": {"price": {"$gt": 1}}}, but("array", "cheap", "dear")),
    ({"$not": {"price": {"$gt": 1}, "tags": {"$in": ["green"]}}}, but("dear")),
    ({"$not": {"$or": [{"price": 5}, {"dims.w": 1}]}}, but("array", "cheap", "dear", "null")),
    ({"$not": {"$not": {"price": {"$gt": 5}}}}, ["array", "dear"]),
    ({"$and": [{"$not": {"price": 5}}, {"price": {"$gt": 1}}]}, ["dear"]),
    ({"price": {"$gt": 1}, "$not": {"@external_id": "dear"}}, ["array", "cheap"]),
    # Ranges compare numbers with numbers, text with text, booleans with booleans.
    ({"price": {"$gt": 5}}, ["array", "dear"]),
    ({"price": {"$gte": 5}}, ["array", "cheap", "dear"]),
    ({"price": {"$lt": 5}}, ["zero"]),
    ({"price": {"$lte": 5}}, ["array", "cheap", "zero"]),
    ({"price": {"$gte": "1"}}, ["text"]),
    ({"price": {"$gt": False}}, ["bool"]),
    ({"price": {"$gte": 10, "$lt": 20}}, ["array"]),
    ({"price": {"$gte": None}}, ["missing", "null"]),
    ({"price": {"$gt": None}}, []),
    ({"name": {"$gt": "Lamp", "$lt": "S"}}, ["bool"]),
    ({"price": {"$lt": -5}}, []),
    # Sets.
    ({"price": {"$in": [0, "10", None]}}, ["missing", "null", "text", "zero"]),
    ({"price": {"$in": []}}, []),
    ({"tags": {"$in": ["green", ["red"]]}}, ["dear", "text"]),
    ({"tags": {"$all": ["red", "green"]}}, ["dear"]),
    ({"tags": {"$all": ["red"]}}, ["cheap", "dear"]),
    ({"tags": {"$all": []}}, []),
    ({"tags": {"$all": [["red"]]}}, ["text"]),
    # Arrays.
    ({"tags": {"$size": 2}}, ["array", "dear", "zero"]),
    ({"tags": {"$size": 0}}, ["bool"]),
    ({"tags": {"$size": 1}}, ["text"]),
    ({"items": {"$elemMatch": {"sku": "a", "n": {"$gt": 5}}}}, ["text"]),
    ({"items": {"$elemMatch": {"sku": None}}}, ["zero"]),
    ({"items": {"$elemMatch": {}}}, ["nested", "text", "zero"]),
    ({"items": {"$elemMatch": {"$or": [{"n": 1}, {"n": 5}]}}}, ["nested", "zero"]),
    ({"price": {"$elemMatch": {"$gt": 5, "$lt": 30}}}, ["array"]),
    ({"price": {"$elemMatch": {"$gt": 5, "$lt": 20}}}, []),
    ({"tags": {"$elemMatch": {"$eq": None}}}, ["zero"]),
    ({"tags": {"$elemMatch": {"$ne": 1}}}, ["array", "dear", "text", "zero"]),
    ({"tags": {"$elemMatch": {"$eq": "red"}}}, ["dear"]),
    ({"tags": {"$elemMatch": {"$eq": ["red"]}}}, ["text"]),
    ({"tags": {"$elemMatch": {"$size": 1}}}, ["text"]),
    ({"tags": {"$elemMatch": {"$elemMatch": {"$in": ["red"]}}}}, ["text"]),
    ({"tags": {"$elemMatch": {"$contains": "RE"}}}, ["array", "dear"]),
    ({"tags": {"$elemMatch": {"$exists": True}}}, ["array", "dear", "text", "zero"]),
    ({"tags": {"$elemMatch": {"0": "red"}}}, ["text"]),
    ({"tags": {"$elemMatch": {"1": None}}}, ["text"]),
    ({"items": {"$all": [{"$elemMatch": {"n": 1}}, {"$elemMatch": {"sku": "b"}}]}}, ["nested"]),
    ({"price": {"$all": [{"$elemMatch": {"$lt": 9}}, {"$elemMatch": {"$gt": 9}}]}}, ["array"]),
    # A number is a position in an array, or a key.
    ({"tags.0": "red"}, ["dear"]),
    ({"tags.1": "red"}, []),
    ({"tags.0": ["red"]}, ["text"]),
    ({"tags.0.0": "red"}, ["text"]),
    ({"tags.1": None}, ["cheap", "missing", "nested", "null", "zero"]),
    ({"tags.1": {"$ne": None}}, ["array", "bool", "dear", "text"]),
    ({"tags.0": {"$exists": True}}, ["array", "dear", "text", "zero"]),
    ({"price.1": {"$gt": 5}}, ["array"]),
    ({"items.0.sku": "a"}, ["nested", "text"]),
    ({"items.1.n": {"$gt": 5}}, ["nested"]),
    ({"tags.0": {"$size": 1}}, ["text"]),
    ({"tags.0": {"$contains": "RE"}}, ["array", "dear"]),
    ({"tags.00": "red"}, []),
    ({"tags.-1": "green"}, []),
    ({"tags.9999999999": None}, ["cheap", "missing", "nested", "null"]),
    # Existence.
    ({"price": {"$exists": True}}, but("missing")),
    ({"price": {"$exists": False}}, ["missing"]),
    ({"items.sku": {"$exists": True}}, ["nested", "text"]),
    ({"price.amount": {"$exists": True}}, ["nested"]),
    # Contains: part of a text in whatever case, or member of an array.
    ({"name": {"$contains": "LAMP"}}, ["cheap", "dear"]),
    ({"name": {"$contains": "Lamp"}}, ["array", "cheap", "dear"]),
    ({"name": {"$contains": "0%"}}, ["missing"]),
    ({"name": {"$contains": "_"}}, []),
    ({"name": {"$contains": ""}}, ["bool", "cheap", "dear", "missing"]),
    ({"name": {"$contains": "RASSE"}}, []),
    ({"tags": {"$contains": "RED"}}, ["cheap"]),
    ({"tags": {"$contains": "red"}}, ["cheap", "dear"]),
    ({"tags": {"$contains": ["red", "green"]}}, ["dear"]),
    ({"tags": {"$contains": []}}, []),
    ({"price": {"$contains": 5}}, ["array", "cheap"]),
    ({"items.sku": {"$contains": "A"}}, ["nested", "text"]),
    # Logic: keys beside each other are ANDed, inside $or too.
    ({"price": 5, "tags": "red"}, ["cheap"]),
    ({"$or": [{"price": 5, "tags": "red"}, {"price": 0}]}, ["cheap", "zero"]),
    (
        {"$and": [{"price": {"$gt": 1}}, {"$or": [{"tags": "blue"}, {}]}]},
        ["array", "cheap", "dear"],
    ),
    ({"$or": [{"$and": [{"price": 5}, {"name": "Lamp"}], "tags": "red"}]}, ["cheap"]),
    ({"$or": [{}]}, ALL),
    # Columns.
    ({"@external_id": "cheap"}, ["cheap"]),
    ({"@external_id": {"$in": ["zero", "cheap", "nobody"]}}, ["cheap", "zero"]),
    ({"@external_id": {"$in": []}}, []),
    ({"@external_id": {"$gte": "n", "$lt": "nu"}}, ["nested"]),
    ({"@external_id": {"$contains": "EA"}}, ["cheap", "dear"]),
    ({"@external_id": {"$not": {"$exists": True}}}, []),
    ({"@rev": {"$lte": 2}}, ["array", "bool"]),
    ({"@rev": {"$gt": 8.5}}, ["zero"]),
    ({"@rev": {"$ne": 1}}, but("array")),
]

LISTS: list[tuple[list[Any], list[str]]] = [
    ([], ALL),
    ([Filter("price", "eq", 5)], ["array", "cheap"]),
    ([Filter("price", "ne", 5)], but("array", "cheap")),
    ([Filter("price", "gt", 5), Filter("tags", "contains", "red")], ["dear"]),
    ([Filter("price", "gte", 5)], ["array", "cheap", "dear"]),
    ([Filter("price", "lt", 5)], ["zero"]),
    ([Filter("price", "lte", 0)], ["zero"]),
    ([{"field": "price", "operator": "in", "value": [0, "10"]}], ["text", "zero"]),
    ([Filter("price", "in", (0, "10"))], ["text", "zero"]),
    ([Filter("price", "not_in", [0, "10", None])], ["array", "bool", "cheap", "dear", "nested"]),
    ([Filter("name", "contains", "lamp")], ["cheap", "dear"]),
    ([Filter("name", "not_contains", "lamp")], but("cheap", "dear")),
    ([Filter("name", "starts_with", "Lam")], ["array", "cheap"]),
    ([Filter("name", "starts_with", "lam")], ["dear"]),
    ([Filter("@external_id", "starts_with", "n")], ["nested", "null"]),
    ([Filter("@external_id", "not_contains", "E")], ["array", "bool", "missing", "null"]),
    ([Filter("price", "exists", False)], ["missing"]),
    ([Filter("items.n", "eq", 9)], ["nested", "text"]),
]

#: Values in arrays (a) and in objects with the key "0" (o), up to four deep, by their containers.
NESTED = ["".join(kinds) for depth in range(1, 5) for kinds in product("ao", repeat=depth)]

#: The expectations of MongoDB's own tests (jstests/core/match_numeric_components.js).
POSITIONS: list[tuple[Any, list[str]]] = [
    ({"a.0": 42}, ["a", "ao", "aoa", "o", "oa"]),
    ({"a.0": {"$gt": 41}}, ["a", "ao", "aoa", "o", "oa"]),
    ({"a.0": {"$in": [41, 42, 43]}}, ["a", "ao", "aoa", "o", "oa"]),
    ({"a.0": {"$nin": [41, 42, 43]}}, sorted({*NESTED} - {"a", "ao", "aoa", "o", "oa"})),
    ({"a.0": {"$all": [42]}}, ["a", "ao", "aoa", "o", "oa"]),
    ({"$or": [{"a.0": 42}, {"b": 123}]}, ["a", "ao", "aoa", "o", "oa"]),
    (
        {"a.0.0": 42},
        [
            *("aa", "aao", "aaoa", "ao", "aoa", "aoao", "aoo", "aooa"),
            *("oa", "oao", "oaoa", "oo", "ooa"),
        ],
    ),
    (
        {"a.0": {"$all": [{"$elemMatch": {"0": 42}}]}},
        ["aaa", "aaaa", "aao", "aaoa", "aoaa", "aoao", "oaa", "oaaa", "oao", "oaoa"],
    ),
]


def nested_in(kinds: str, value: Any) -> Any:
    """Return a value in what `kinds` says, the outermost first."""
    for kind in reversed(kinds):
        value = [value] if kind == "a" else {"0": value}
    return value


#: MongoDB's order of types: missing, null, numbers, text, objects, arrays, booleans.
BY_PRICE = [
    *("missing", "null", "zero", "cheap", "dear", "text", "nested", "array", "bool"),
]
