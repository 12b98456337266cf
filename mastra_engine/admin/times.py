"""Times with seconds and their time zone, and durations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.utils import dateformat, formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def time_tag(value: datetime) -> SafeString:
    """Return a time as HTML, in the current time zone."""
    try:
        local = timezone.localtime(value)
    except OverflowError:  # the first and the last hours that there are
        local = value.astimezone(UTC)
    day = formats.date_format(local, "DATE_FORMAT")
    text = f"{day}, {dateformat.format(local, 'H:i:s T')}"
    return format_html('<time datetime="{}">{}</time>', local.isoformat(), text)


def duration_text(value: timedelta) -> str:
    """Return a duration in its two largest units, such as "2 h 5 min" or "1.4 s", on one line."""
    return _in_units(value).replace(" ", "\N{NO-BREAK SPACE}")


def _in_units(value: timedelta) -> str:
    seconds = max(value.total_seconds(), 0.0)
    if seconds < 1:
        return _("%(number)d ms") % {"number": seconds * 1_000}
    if seconds < _MINUTE:
        return _("%(number)s s") % {"number": formats.number_format(seconds, 1)}
    rounded = int(seconds)
    if rounded < _HOUR:
        minutes, rest = divmod(rounded, _MINUTE)
        return _("%(minutes)d min %(seconds)d s") % {"minutes": minutes, "seconds": rest}
    if rounded < _DAY:
        hours, rest = divmod(rounded, _HOUR)
        return _("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": rest // _MINUTE}
    days, rest = divmod(rounded, _DAY)
    return _("%(days)d d %(hours)d h") % {"days": days, "hours": rest // _HOUR}
