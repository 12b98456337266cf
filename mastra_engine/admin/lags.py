"""How far vector indexes are behind the changes of their records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mastra_engine.admin.times import time_tag
from mastra_engine.admin.wording import number_text
from mastra_engine.health import Lag


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """The number of changes that an index has not read, and the time of the oldest one."""

    changes: int
    since: datetime | None

    def __html__(self) -> SafeString:
        if not self.changes:
            return format_html("{}", _("up to date"))
        since = time_tag(self.since) if self.since else "\N{EN DASH}"
        text = ngettext(
            "{number} change behind since {since}",
            "{number} changes behind since {since}",
            self.changes,
        )
        return format_html(text, number=number_text(self.changes), since=since)


def behind(index: str, lags: Iterable[Lag]) -> Behind:
    """Return how far an index is behind all of its entities."""
    own = [lag for lag in lags if lag.index == index]
    return Behind(
        changes=sum(lag.changes for lag in own),
        since=min((lag.since for lag in own if lag.since), default=None),
    )
