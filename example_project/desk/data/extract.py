"""Write tickets.json from the deliveries in the npm package @octokit/webhooks-examples.

    npm pack @octokit/webhooks-examples@7.6.1
    tar xzf octokit-webhooks-examples-7.6.1.tgz
    python example_project/desk/data/extract.py package/api.github.com/index.json

A delivery reports one event of an issue, a pull request or a discussion. This script merges them: a
ticket has the fields of its latest delivery and the comments of all its deliveries.
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
    extract = [ticket(repository, events) for (repository, _), events in sorted(tickets.items())]
    TICKETS.write_text(json.dumps(extract, indent=2, ensure_ascii=False) + "\n")


def deliveries(events: list[Any]) -> Iterator[tuple[str, Delivery]]:
    """Yield the deliveries about tickets, each with the key under which it has the ticket."""
    for event in events:
        for delivery in event["examples"]:
            subject = next((key for key in KINDS if "title" in delivery.get(key, {})), None)
            if subject and delivery["action"] != "deleted":
                yield subject, delivery


def ticket(repository: str, events: list[tuple[str, Delivery]]) -> dict[str, Any]:
    subject, last = max(events, key=lambda event: latest(event[1][event[0]]))
    newest = last[subject]
    is_pull_request = subject == "pull_request" or "pull_request" in newest
    versions = sorted(
        (delivery["comment"] for _, delivery in events if "comment" in delivery), key=latest
    )
    comments = {comment["id"]: comment for comment in versions}  # the last edit of each
    return {
        "repository": repository,
        "number": newest["number"],
        "kind": KINDS["pull_request" if is_pull_request else subject],
        "title": newest["title"],
        "body": newest["body"] or "",
        "state": newest["state"],
        "author": newest["user"]["login"],
        "labels": [label["name"] for label in newest.get("labels", [])],
        "url": newest["html_url"],
        "created_at": newest["created_at"],
        "updated_at": newest["updated_at"],
        "comments": [
            {
                "author": comment["user"]["login"],
                "body": comment["body"],
                "created_at": comment["created_at"],
            }
            for comment in comments.values()
        ],
    }


def latest(version: dict[str, Any]) -> tuple[bool, str]:
    """Return a sort key: by time, after the versions without text, which some deliveries omit."""
    return bool(version["body"]), version["updated_at"]


if __name__ == "__main__":
    main(sys.argv[1])
