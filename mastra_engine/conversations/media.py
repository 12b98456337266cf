"""Images and files in messages, however OpenAI, Anthropic and Vercel write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from mastra_engine.conversations.messages import first
from mastra_engine.conversations.tokens import MEDIA
from mastra_engine.types import Part

IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
PDF = "application/pdf"
#: How the Base64 of a file begins; Vercel's image parts need not say what they are.
_BEGINNINGS = {
    "/9j/": "image/jpeg",
    "iVBORw": "image/png",
    "R0lGOD": "image/gif",
    "JVBERi": PDF,
}
_DATA_URL = re.compile(r"data:([^;,]*)[^,]*;base64,(.*)", re.DOTALL)
_WRAPPERS = ("source", "image_url", "image", "file")
_PLACES = ("url", "data", "file_data", "image_url", "image", "file")


@dataclass(frozen=True, slots=True)
class Media:
    """An image or a file: at `url`, or `data` in Base64, or what a provider keeps as `file_id`."""

    is_image: bool
    media_type: str
    url: str
    data: str
    file_id: Any
    name: Any
    detail: Any

    @property
    def data_url(self) -> str:
        return f"data:{self.media_type};base64,{self.data}"


def media_of(part: Part) -> Media | None:
    """Return the image or file of a part, or None."""
    if part["type"] not in MEDIA:
        return None
    given = dict(part)
    for wrapper in _WRAPPERS:
        if isinstance(part.get(wrapper), dict):
            given |= part[wrapper]
    found = next((given[place] for place in _PLACES if isinstance(given.get(place), str)), "")
    media_type = first(given, "media_type", "mediaType", "mime_type", "mimeType")
    if written := _DATA_URL.fullmatch(found):
        media_type, found = written.groups()
    media_type = _media_type(media_type, found)
    is_url = found.startswith(("https://", "http://"))
    return Media(
        is_image=part["type"] in ("image", "image_url") or media_type.startswith("image/"),
        media_type=media_type,
        url=found if is_url else "",
        data="" if "://" in found else found,
        file_id=given.get("file_id"),
        name=first(given, "filename", "title"),
        detail=given.get("detail"),
    )


def _media_type(given: Any, data: str) -> str:
    if isinstance(given, str) and given not in ("", "image/*"):
        return given.replace("image/jpg", "image/jpeg")
    return next((kind for begun, kind in _BEGINNINGS.items() if data.startswith(begun)), "")
