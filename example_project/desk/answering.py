"""The answer to a question: by a language model where one is configured, otherwise by rules."""

from __future__ import annotations

from collections.abc import Iterator

from example_project.desk import extractive, model
from example_project.desk.turns import Turn


def answer(turn: Turn) -> Iterator[str]:
    """Yield the parts of the answer as they are made, and save the whole with its sources.

    Yields nothing when the question was answered before. Raises ModelFailed.
    """
    if turn.is_answered():
        return
    name = model.name()
    parts = []
    for part in model.answer(turn) if name else extractive.answer(turn):
        parts.append(part)
        yield part
    turn.save_answer("".join(parts), model=name)
