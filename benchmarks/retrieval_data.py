"""Labelled texts that the retrieval benchmark searches, and their questions.

See README.md in benchmarks/data about their origin and the rules of relevance.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics as REFERENCE
from typing import Any, Literal

from benchmarks.python_library import documented
from mastra_engine.types import Case

Half = Literal["dev", "test"]

DATA = Path(__file__).with_name("data")
#: Left out: they join other topics, so any of their many chunks would pass for an answer.
COLLECTIONS = {"compound", "specialnames"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text that is searched. Several chunks of one document have the same `id`."""

    id: str
    text: str
    #: The owner of the conversation of a message, and its thread.
    resource_id: str | None = None
    thread_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSet:
    """Texts of one kind, and the questions about them by kind of question."""

    name: str
    texts: Sequence[Text]
    cases: Mapping[str, Sequence[Case]]

    def half(self, half: Half) -> dict[str, list[Case]]:
        """Return the cases of one half, without the kinds of question that have none in it."""
        selected = {
            kind: [case for case in cases if half_of(case.query) == half]
            for kind, cases in self.cases.items()
        }
        return {kind: cases for kind, cases in selected.items() if cases}


def half_of(query: str) -> Half:
    """Return the half of a question: weights are chosen on `dev` and reported on `test`."""
    return "dev" if hashlib.sha256(query.encode()).digest()[0] % 2 else "test"


def reference(chunk_size: int) -> LabelledSet:
    """Return the topics of the Python reference of this interpreter in chunks."""
    from mastra_engine.retrieval.chunking import chunk

    texts = [
        Text(id=name, text=part.text)
        for name, topic in topics().items()
        for part in chunk(topic, size=chunk_size)
    ]
    return LabelledSet(name="reference", texts=texts, cases=_cases("reference"))


def topics() -> dict[str, str]:
    """Return the text of every topic that is searched."""
    return {name: text for name, text in sorted(REFERENCE.items()) if name not in COLLECTIONS}


def identifiers() -> LabelledSet:
    """Return the documented objects of this interpreter's library, to be searched by name."""
    texts = [Text(id=name, text=text) for name, text in documented()]
    return LabelledSet(name="identifiers", texts=texts, cases=_cases("identifiers"))


def tickets() -> LabelledSet:
    """Return the tickets of the customers of a fictional provider of web shops."""
    texts = [
        Text(id=ticket["id"], text=f"{ticket['title']}\n{ticket['body']}")
        for ticket in _lines(DATA / "tickets" / "tickets.jsonl")
    ]
    return LabelledSet(
        name="tickets", texts=texts, cases=_cases("tickets", "meaning", "wording", "codes")
    )


def conversations() -> LabelledSet:
    """Return the messages of four fictional conversations, each in several threads."""
    texts = [
        Text(
            id=message["id"],
            text=f"{message['speaker']}: {message['text']}",
            resource_id=message["resource_id"],
            thread_id=message["thread_id"],
        )
        for message in _lines(DATA / "conversations" / "messages.jsonl")
    ]
    kinds = ("meaning", "wording", "names", "follow_up")
    return LabelledSet(name="conversations", texts=texts, cases=_cases("conversations", *kinds))


def locomo(path: Path) -> LabelledSet:
    """Return the conversations in a file of LoCoMo, which this project may not redistribute."""
    samples = json.loads(path.read_text(encoding="utf-8"))
    texts = [text for sample in samples for text in _turns(sample)]
    existing = {text.id for text in texts}
    cases = [
        Case(query=item["question"], expected_ids=tuple(evidence), resource_id=sample["sample_id"])
        for sample in samples
        for item in sample["qa"]
        if (evidence := [id for id in _evidence(sample["sample_id"], item) if id in existing])
    ]
    return LabelledSet(name="locomo", texts=texts, cases={"questions": cases})


def _turns(sample: dict[str, Any]) -> Iterator[Text]:
    owner = sample["sample_id"]
    for session, turns in sample["conversation"].items():
        for turn in turns if isinstance(turns, list) else []:
            caption = turn.get("blip_caption")
            yield Text(
                id=f"{owner}/{turn['dia_id']}",
                text=f"{turn['speaker']}: {turn['text']}"
                + (f" [shares {caption}]" if caption else ""),
                resource_id=owner,
                thread_id=f"{owner}/{session}",
            )


def _evidence(owner: str, item: dict[str, Any]) -> list[str]:
    """Return the ids of the turns; some strings of the file hold several of them."""
    words = re.findall(r"D\d+:\d+", " ".join(item["evidence"]))
    return [f"{owner}/{id}" for id in dict.fromkeys(words)]


def _cases(folder: str, *kinds: str) -> dict[str, list[Case]]:
    return {
        kind: [Case(**line) for line in _lines(DATA / folder / f"{kind}.jsonl")]
        for kind in kinds or ("questions",)
    }


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)
