"""The answer to a question: by a framework if one is chosen, by a language model or by rules."""

from __future__ import annotations

from collections.abc import Iterator

from example_project.desk import extractive, framework, model
from example_project.desk.turns import Turn


def answer(turn: Turn) -> Iterator[str]:
    """Yield the parts of the answer as they are made, and save the whole with its sources.

    Yields nothing when the question was answered before. Raises ModelFailed.
    """
    if turn.is_answered():
        return
    name = model.name()
    if framework.is_chosen():
        answered = framework.answer(turn)
    else:
        answered = model.answer(turn) if name else extractive.answer(turn)
    parts = []
    for part in answered:
        parts.append(part)
        yield part
    turn.save_answer("".join(parts), model=name)
