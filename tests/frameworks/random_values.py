"""Random values of the types that a framework declares: typed dictionaries, unions, literals."""

from __future__ import annotations

import math
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from typing_extensions import TypeAliasType, get_type_hints, is_typeddict

TEXTS = [
    *(
        "",
        " ",
        "Hello",
        "Where is my order?",
        "naïve Ω 漢字 🎉",
        "line\nbreak\r\n\ttab",
        '"\\u0000',
    ),
    *("nul \0 here", "lone \ud800 surrogate", "a" * 3_000, "'; DROP TABLE x; --", "\ufffe", "null"),
]
NUMBERS = [0, 1, -1, 2**53 + 1, 2**63, -(2**64), 10**30, 0.0, -0.0, 0.1, 1e16, 1e-300, 1.7e308]


def json_value(random: Random, depth: int = 3) -> Any:
    """Return JSON of any shape, also such as `jsonb` refuses or changes."""
    kind = random.randrange(8 if depth else 6)
    if kind == 6:
        return [json_value(random, depth - 1) for _ in range(random.randrange(4))]
    if kind == 7:
        keys = random.sample(TEXTS, random.randrange(4))
        return {key: json_value(random, depth - 1) for key in keys}
    if kind == 5:
        return math.inf if random.random() < 0.02 else random.choice(NUMBERS)
    return random.choice([None, True, False, random.choice(TEXTS), random.choice(TEXTS)])


def typed_value(type: Any, random: Random, depth: int = 8) -> Any:
    """Return JSON that a type allows; optional keys are left out now and then."""
    origin, arguments = get_origin(type), get_args(type)
    if origin in (Union, UnionType):
        simple = [argument for argument in arguments if argument in (str, NoneType)]
        return typed_value(random.choice((depth <= 0 and simple) or arguments), random, depth - 1)
    if origin is Annotated:
        return typed_value(arguments[0], random, depth)
    if isinstance(type, TypeAliasType):
        return typed_value(type.__value__, random, depth)
    if origin is Literal:
        return random.choice(arguments)
    if is_typeddict(type):
        return typed_dictionary(type, random, depth)
    if is_dataclass(origin or type):
        return typed_dataclass(origin or type, random, depth)
    if origin is not None and issubclass(origin, Mapping):
        keys = random.sample(TEXTS, random.randrange(3))
        return {key: typed_value(arguments[-1], random, depth - 1) for key in keys}
    if origin is not None and issubclass(origin, Iterable):
        size = random.randrange(3) if depth > 0 else 0
        return [typed_value(arguments[0], random, depth - 1) for _ in range(size)]
    return scalar(type, random)


def typed_dictionary(type: Any, random: Random, depth: int) -> dict[str, Any]:
    return {
        key: typed_value(hint, random, depth - 1)
        for key, hint in get_type_hints(type).items()
        if key in type.__required_keys__ or (depth > 0 and random.random() < 0.6)
    }


def typed_dataclass(type: Any, random: Random, depth: int) -> dict[str, Any]:
    hints = get_type_hints(type)
    return {
        field.name: typed_value(hints[field.name], random, depth - 1)
        for field in fields(type)
        if field.init and (is_required(field, hints) or (depth > 0 and random.random() < 0.6))
    }


def is_required(field: Any, hints: dict[str, Any]) -> bool:
    """Tell whether a field has to be there: it has no default, or it tells the type."""
    has_default = field.default is not MISSING or field.default_factory is not MISSING
    return not has_default or get_origin(hints[field.name]) is Literal


def scalar(type: Any, random: Random) -> Any:
    if type is str:
        return random.choice(TEXTS)
    if type in (int, float):
        return type(random.choice([0, 1, 7, 2**31]))
    if type is bool:
        return random.random() < 0.5
    if type in (None, NoneType):
        return None
    if type is bytes:
        return urlsafe_b64encode(random.randbytes(random.randrange(30))).decode()
    if type is Decimal:
        return str(random.choice([0, 1, "0.1", "123456789.123456789"]))
    if type is timedelta:
        return random.choice([0, 1.5, 86_400])
    if type is datetime:
        return datetime.fromtimestamp(random.uniform(0, 4e9), UTC).isoformat()
    if type in (object, Any) or isinstance(type, TypeVar | str):  # the name of a recursive type
        return json_value(random)
    raise NotImplementedError(f"no value of {type!r} is known")
