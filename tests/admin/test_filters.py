"""Filters of lists."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.test import Client
from django.utils import timezone

from mastra_engine.models import Message
from tests.admin.conftest import list_of


def listed(client: Client, address: str) -> list[Any]:
    answer = client.get(address)
    assert answer.status_code == 200
    return list(answer.context["cl"].result_list)


def choices(client: Client, model: Any, title: str) -> dict[str, str]:
    """Return the query strings of the choices of a filter, by their labels."""
    cl = client.get(list_of(model)).context["cl"]
    (spec,) = (spec for spec in cl.filter_specs if spec.title == title)
    return {str(one["display"]): one["query_string"] for one in spec.choices(cl)}


def test_messages_are_filtered_by_role(owner: Client, store: dict[str, Any]) -> None:
    for role in ("user", "assistant", "tool", "system"):
        rows = listed(owner, list_of(Message, role=role))
        assert {row.role for row in rows} <= {role}
        assert len(rows) == Message.objects.filter(role=role).count()


@pytest.mark.parametrize(("days", "label"), [(0, "Today"), (1, "Yesterday"), (3, "Past 7 days")])
def test_messages_are_filtered_by_day(
    owner: Client, store: dict[str, Any], days: int, label: str
) -> None:
    message = Message.objects.order_by("pk")[0]
    Message.objects.exclude(pk=message.pk).update(created_at=timezone.now() - timedelta(days=90))
    Message.objects.filter(pk=message.pk).update(created_at=timezone.now() - timedelta(days=days))
    query = choices(owner, Message, "created at")[label]
    rows = listed(owner, list_of(Message, **{k: v[0] for k, v in parse_qs(query[1:]).items()}))
    assert rows == [message]


@pytest.mark.parametrize("name", ["created_at__gte", "created_at__lt"])
@pytest.mark.parametrize("value", ["nonsense", "", "2026-13-45", "\u202e"])
def test_a_wrong_filter_is_reported(
    owner: Client, store: dict[str, Any], name: str, value: str
) -> None:
    answer = owner.get(list_of(Message, **{name: value}), follow=True)
    assert answer.status_code == 200
    assert "filter that is not valid" in answer.content.decode()
