"""Records of a CRM, about 300 bytes of JSON each, the same in every run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Record = dict[str, Any]

_FIRST = ("Ada", "Bao", "Chidi", "Dana", "Emil", "Fatima", "Goran", "Hana", "Inés", "Jun")
_LAST = ("Abara", "Berg", "Castillo", "Dlamini", "Eriksen", "Fischer", "Güler")
_STAGES = ("lead", "qualified", "customer", "churned")
_CITIES = ("Lagos", "Lima", "Oslo", "Pune", "Quito", "Riga")


def contact(number: int) -> Record:
    """Return record `number`."""
    first = _FIRST[number % len(_FIRST)]
    last = _LAST[number * 7 % len(_LAST)]
    # Multiplying by an odd number permutes the numbers.
    scattered = number * 2654435761 % 2**32
    return {
        "external_id": f"contact-{number:08d}",
        "data": {
            "name": f"{first} {last}",
            "email": f"{first}.{last}.{number}@example.com".lower(),
            "phone": f"+1 555 {scattered % 10**7:07d}",
            "stage": _STAGES[scattered % len(_STAGES)],
            "owner": {"id": scattered % 97, "team": f"team-{scattered % 11}"},
            "address": {
                "city": _CITIES[scattered % len(_CITIES)],
                "zip": f"{scattered % 10**5:05d}",
            },
            "revenue": scattered % 10**6 / 100,
            "subscribed": scattered % 3 == 0,
            "tags": [f"tag-{scattered % 23}", f"segment-{scattered % 5}"],
            "changed": f"2026-{scattered % 12 + 1:02d}-{scattered % 28 + 1:02d}T09:00:00Z",
        },
    }


def contacts(count: int) -> Iterator[Record]:
    """Yield `count` records in the order of their ids."""
    return map(contact, range(count))


@dataclass(frozen=True, slots=True)
class Dataset:
    """Records, and the same records with every hundredth changed."""

    original: list[Record]
    changed: list[Record]

    @classmethod
    def of(cls, count: int) -> Dataset:
        """Create `count` records."""
        original = list(contacts(count))
        changed = [
            _changed(record) if number % 100 == 0 else record
            for number, record in enumerate(original)
        ]
        return cls(original, changed)


def _changed(record: Record) -> Record:
    return {**record, "data": {**record["data"], "stage": "changed", "revenue": 0.5}}
