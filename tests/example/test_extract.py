"""Tickets are made of webhook deliveries."""

from __future__ import annotations

from typing import Any

from example_project.desk.data.extract import deliveries, ticket

OPENED, CHANGED = "2019-05-15T15:20:18Z", "2019-05-15T15:20:28Z"


def delivery(action: str, at: str, *, body: str, state: str, output: str = "") -> dict[str, Any]:
    user = {"login": "ann"}
    issue = {"number": 7, "title": "It breaks", "html_url": "https://github.com/ann/work/issues/7"}
    dates = {"created_at": OPENED, "updated_at": at}
    report = {"issue": {**issue, **dates, "body": body, "state": state, "user": user}}
    if output:
        report["comment"] = {**dates, "id": 1, "body": output, "user": user}
    return {"action": action, **report}


def test_a_ticket_is_as_last_shown_with_its_text_and_its_comments_as_last_edited() -> None:
    report = [
        delivery("edited", CHANGED, body="Often.", state="closed", said="Fixed"),
        delivery("created", OPENED, body="Often.", state="open", said="Fxied"),
        delivery("pinned", "2020-01-01T00:00:00Z", body="", state="open"),
        delivery("deleted", "2020-01-01T00:00:00Z", body="Often.", state="gone", said="Fixed"),
    ]
    matches = ticket("ann/work", list(deliveries([{"examples": report}])))
    assert (matches["state"], matches["body"], matches["kind"]) == ("closed", "Often.", "issue")
    assert [comment["body"] for comment in matches["comments"]] == ["Fixed"]
