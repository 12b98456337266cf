"""Random messages of every type that Pydantic AI has."""

from __future__ import annotations

from random import Random
from typing import Any

from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
)

from tests.frameworks.random_values import typed_value


def random_message(random: Random) -> ModelMessage:
    """Return a random message as Pydantic AI reads it from JSON."""
    while True:
        value = typed_value(random.choice([ModelRequest, ModelResponse]), random)
        try:
            (message,) = ModelMessagesTypeAdapter.validate_python([value])
            return read_again(message)
        except ValueError:  # Fields exclude each other, or a key is not UTF-8.
            continue


def read_again(message: ModelMessage) -> ModelMessage:
    """Return a message as Pydantic AI reads what it has written."""
    (again,) = ModelMessagesTypeAdapter.validate_python(as_json([message]))
    return again


def as_json(messages: list[ModelMessage]) -> Any:
    return ModelMessagesTypeAdapter.dump_python(messages, mode="json")
