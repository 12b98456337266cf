"""Tickets are merged from webhook deliveries."""

from __future__ import annotations

from typing import Any

from example_project.desk.data.extract import deliveries, ticket

OPENED, CHANGED = "2019-05-15T15:20:18Z", "2019-05-15T15:20:28Z"


def delivery(action: str, at: str, *, body: str, state: str, comment: str = "") -> dict[str, Any]:
    user = {"login": "ann"}
    issue = {"number": 7, "title": "It breaks", "html_url": "https://github.com/ann/work/issues/7"}
    dates = {"created_at": OPENED, "updated_at": at}
    payload = {"issue": {**issue, **dates, "body": body, "state": state, "user": user}}
    if comment:
        payload["comment"] = {**dates, "id": 1, "body": comment, "user": user}
    return {"action": action, **payload}


def test_a_ticket_has_the_fields_of_its_latest_delivery_and_all_comments() -> None:
    examples = [
        delivery("edited", CHANGED, body="Often.", state="closed", comment="Fixed"),
        delivery("created", OPENED, body="Often.", state="open", comment="Fxied"),
        delivery("pinned", "2020-01-01T00:00:00Z", body="", state="open"),
        delivery("deleted", "2020-01-01T00:00:00Z", body="Often.", state="gone", comment="Fixed"),
    ]
    result = ticket("ann/work", list(deliveries([{"examples": examples}])))
    assert (result["state"], result["body"], result["kind"]) == (
        "closed",
        "Often.",
        "issue",
    )
    assert [comment["body"] for comment in result["comments"]] == ["Fixed"]
