"""Documents, filters and sorts from a small world, so that they meet often."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

KEYS = st.sampled_from(["a", "b", "0", "1", 'q"', "é"])
TEXT = st.text(alphabet="aAbé%_\\\"'{$\U0001f600", max_size=3)
NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([0.5, -1.5, 1.0, 2**53 + 1, float(2**60), 1e22, 2**64 - 1, -(2**63)]),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXT)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=4)
IDS = st.sampled_from(["1", "2", "10", "a", "B", "é", "z "])
ROWS = st.dictionaries(IDS, DOCUMENTS, max_size=5)

PATHS = st.lists(KEYS, min_size=1, max_size=3).map(".".join)
#: The fields that a query returns.
RETURNED = st.none() | st.lists(PATHS, max_size=3)
COLUMNS = st.sampled_from(["@external_id", "@rev"])


def _operators(nested: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    ordered = st.one_of(st.none(), st.booleans(), NUMBERS, TEXT)
    return st.one_of(
        st.fixed_dictionaries({"$eq": VALUES}),
        st.fixed_dictionaries({"$ne": VALUES}),
        st.dictionaries(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), ordered, min_size=1),
        st.dictionaries(
            st.sampled_from(["$in", "$nin", "$all"]), st.lists(VALUES, max_size=3), min_size=1
        ),
        st.fixed_dictionaries({"$exists": st.booleans()}),
        st.fixed_dictionaries({"$size": st.integers(0, 3)}),
        st.fixed_dictionaries({"$contains": SCALARS | st.lists(SCALARS, max_size=2)}),
        nested.map(lambda operators: {"$not": operators}),
        nested.map(lambda operators: {"$elemMatch": operators}),
        nested.map(lambda operators: {"$all": [{"$elemMatch": operators}]}),
    )


OPERATORS = st.recursive(
    st.fixed_dictionaries({"$eq": SCALARS}) | st.fixed_dictionaries({"$gt": NUMBERS}),
    _operators,
    max_leaves=3,
)
_FIELDS = st.dictionaries(PATHS, VALUES | OPERATORS, max_size=2)
_COLUMN_FILTERS = st.one_of(
    st.dictionaries(st.just("@external_id"), IDS, min_size=1),
    st.dictionaries(st.just("@rev"), st.fixed_dictionaries({"$gt": st.integers(0, 9)}), min_size=1),
)


def _logic(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    parts = st.lists(inner, min_size=1, max_size=3)
    logical = st.dictionaries(st.sampled_from(["$and", "$or", "$nor"]), parts, min_size=1)
    element = st.builds(lambda path, where: {path: {"$elemMatch": where}}, PATHS, _FIELDS)
    return logical | element


METADATA_FILTERS = st.recursive(_FIELDS, _logic, max_leaves=4)
FILTERS = st.recursive(_FIELDS | _COLUMN_FILTERS, _logic, max_leaves=4)
SORTS = st.lists(
    st.builds(
        lambda field, direction: {"field": field, "direction": direction},
        PATHS | COLUMNS,
        st.sampled_from(["asc", "desc"]),
    ),
    max_size=2,
)
