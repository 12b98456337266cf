"""Images and files in messages, in the notations of OpenAI, Anthropic and Vercel's AI SDK."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from mastra_engine.conversations.messages import first
from mastra_engine.conversations.tokens import MEDIA
from mastra_engine.types import Part

IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
PDF = "application/pdf"
#: The first characters of a file's Base64, for image parts of the AI SDK without a media type.
_BASE64_PREFIXES = {
    "/9j/": "image/jpeg",
    "iVBORw": "image/png",
    "R0lGOD": "image/gif",
    "JVBERi": PDF,
}
_DATA_URL = re.compile(r"data:([^;,]*)[^,]*;base64,(.*)", re.DOTALL)
_WRAPPERS = ("source", "image_url", "image", "file")
_CONTENT_KEYS = ("url", "data", "file_data", "image_url", "image", "file")


@dataclass(frozen=True, slots=True)
class Media:
    """An image or a file: a `url`, Base64 `data`, or the `file_id` of a file at a provider."""

    is_image: bool
    media_type: str
    url: str
    data: str
    file_id: Any
    name: Any
    detail: Any

    @property
    def data_url(self) -> str:
        """The data as a URL."""
        return f"data:{self.media_type};base64,{self.data}"


def media_of(part: Part) -> Media | None:
    """Return the image or file of a part, or None."""
    if part["type"] not in MEDIA:
        return None
    fields = dict(part)
    for wrapper in _WRAPPERS:
        if isinstance(part.get(wrapper), dict):
            fields |= part[wrapper]
    content = next((fields[key] for key in _CONTENT_KEYS if isinstance(fields.get(key), str)), "")
    media_type = first(fields, "media_type", "mediaType", "mime_type", "mimeType")
    if data_url := _DATA_URL.fullmatch(content):
        media_type, content = data_url.groups()
    media_type = _media_type(media_type, content)
    is_url = content.startswith(("https://", "http://"))
    return Media(
        is_image=part["type"] in ("image", "image_url") or media_type.startswith("image/"),
        media_type=media_type,
        url=content if is_url else "",
        data="" if "://" in content else content,
        file_id=fields.get("file_id"),
        name=first(fields, "filename", "title"),
        detail=fields.get("detail"),
    )


def _media_type(declared: Any, data: str) -> str:
    if isinstance(declared, str) and declared not in ("", "image/*"):
        return declared.replace("image/jpg", "image/jpeg")
    matches = (type for prefix, type in _BASE64_PREFIXES.items() if data.startswith(prefix))
    return next(matches, "")
