"""Makes tickets.json out of the deliveries in the npm package @octokit/webhooks-examples.

    npm pack @octokit/webhooks-examples@7.6.1
    tar xzf octokit-webhooks-examples-7.6.1.tgz
    python example_project/desk/data/extract.py package/api.github.com/index.json

A delivery tells one thing that happened to an issue, a pull request or a discussion. Here they are
folded: a ticket is as the latest delivery shows it, with the comments of them all.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Delivery = dict[str, Any]

KINDS = {"issue": "issue", "pull_request": "pull request", "discussion": "discussion"}
TICKETS = Path(__file__).with_name("tickets.json")


def main(path: str) -> None:
    tickets = defaultdict(list)
    for subject, delivery in deliveries(json.loads(Path(path).read_text())):
        repository = delivery["repository"]["full_name"]
        tickets[repository, delivery[subject]["number"]].append((subject, delivery))
    extract = [ticket(repository, told) for (repository, _), told in sorted(tickets.items())]
    TICKETS.write_text(json.dumps(extract, indent=2, ensure_ascii=False) + "\n")


def deliveries(events: list[Any]) -> Iterator[tuple[str, Delivery]]:
    """Yield what happened to tickets, and the key of the ticket in it."""
    for event in events:
        for delivery in event["examples"]:
            subject = next((key for key in KINDS if "title" in delivery.get(key, {})), None)
            if subject and delivery["action"] != "deleted":
                yield subject, delivery


def ticket(repository: str, told: list[tuple[str, Delivery]]) -> dict[str, Any]:
    subject, last = max(told, key=lambda each: latest(each[1][each[0]]))
    shown = last[subject]
    is_pull_request = subject == "pull_request" or "pull_request" in shown
    said = sorted((each["comment"] for _, each in told if "comment" in each), key=latest)
    comments = {comment["id"]: comment for comment in said}  # as last edited
    return {
        "repository": repository,
        "number": shown["number"],
        "kind": KINDS["pull_request" if is_pull_request else subject],
        "title": shown["title"],
        "body": shown["body"] or "",
        "state": shown["state"],
        "author": shown["user"]["login"],
        "labels": [label["name"] for label in shown.get("labels", [])],
        "url": shown["html_url"],
        "created_at": shown["created_at"],
        "updated_at": shown["updated_at"],
        "comments": [
            {
                "author": comment["user"]["login"],
                "body": comment["body"],
                "created_at": comment["created_at"],
            }
            for comment in comments.values()
        ],
    }


def latest(told: dict[str, Any]) -> tuple[bool, str]:
    """Say by what to sort: some deliveries leave the text out, so those come first."""
    return bool(told["body"]), told["updated_at"]


if __name__ == "__main__":
    main(sys.argv[1])
