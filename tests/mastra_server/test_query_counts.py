"""How many statements each call sends."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.queries import statements
from tests.mastra_server.conftest import Mastra
from tests.mastra_server.test_access import EVERY, FOR_STAFF, send

pytestmark = [
    pytest.mark.django_db(transaction=True),  # as it is outside of tests
    pytest.mark.parametrize("engine", ["postgres"], indirect=True),
]

COUNTS = {
    # the lock timeout, the thread, and the new thread
    "POST memory/threads": 3,
    "GET memory/threads": 2,  # the number, and the page
    "GET memory/threads/:thread_id": 1,
    "PATCH memory/threads/:thread_id": 3,
    "DELETE memory/threads/:thread_id": 5,
    # the thread, its clone as by the engine, and the messages of the clone
    "POST memory/threads/:thread_id/clone": 9,
    "POST memory/threads/:thread_id/transfer": 2,
    # the thread, the messages, and the thread again, because the engine is in a scope
    "GET memory/threads/:thread_id/messages": 3,
    "POST memory/save-messages": 1,
    "POST memory/messages/delete": 7,
    "GET memory/threads/:thread_id/working-memory": 3,
    "POST memory/threads/:thread_id/working-memory": 4,
    # the recall, and the thread of each result
    "GET memory/search": 7,
    "GET memory/status": 0,
    "GET memory/config": 0,
    "GET vectors": 0,
    "GET embedders": 0,
    "GET vector/:store/indexes": 3,
    "GET vector/:store/indexes/:index_name": 3,
    "DELETE vector/:store/indexes/:index_name": 5,
    "POST vector/:store/create-index": 19,
    "POST vector/:store/upsert": 2,
    "POST vector/:store/query": 2,
}


@pytest.mark.parametrize("name", EVERY)
def test_a_call_sends_a_fixed_number_of_statements(name: str, ann: Mastra, staff: Mastra) -> None:
    ann.save("soup", "lentil")
    staff.post("/vector/default/create-index", {"indexName": "docs", "dimension": 2})
    ann.post("/vector/default/upsert", {"indexName": "docs", "vectors": [[1, 0]]})
    ann.get("/memory/search", searchQuery="soup")  # which embeds what is saved
    user = staff if name in FOR_STAFF else ann
    method, path, body = EVERY[name]
    if path.endswith("transfer"):
        body = {"resourceId": "7"}  # to itself, which is all that a user may do
    answers: list[Any] = []
    sent = statements(lambda: answers.append(send(user, (method, path, body))))
    assert answers[0].status_code == 200
    assert len(sent) == COUNTS[name], "\n".join(sql[:100] for sql in sent)
