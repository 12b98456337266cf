"""Images and files in messages, in the notations of OpenAI, Anthropic, the AI SDK and MCP."""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mastra_engine.conversations.fields import first, string

#: The types of parts that are images, and of parts that are other files.
_IMAGE_TYPES = ("image", "image_url", "input_image", "image-data", "image-url", "image-file-id")
_FILE_TYPES = (
    *("file", "document", "media", "input_file", "file-data", "file-url", "file-id"),
    *("input_audio", "audio", "resource"),
)
#: The types of media parts.
MEDIA = (*_IMAGE_TYPES, *_FILE_TYPES)

IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
PDF = "application/pdf"
#: The formats of audio that OpenAI accepts.
AUDIO = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}

#: The first characters of a file's Base64. They tell the media type where none is declared, and
#: correct a wrong one, which the providers refuse.
_BASE64_PREFIXES = {
    "/9j/": "image/jpeg",
    "iVBORw": "image/png",
    "R0lGOD": "image/gif",
    "JVBERi": PDF,
}
#: RIFF files: the type is at the bytes 9 to 11, here in Base64.
_RIFF, _RIFF_TYPES = "UklGR", {"RUJQ": "image/webp", "QVZF": "audio/wav"}
_DATA_URL = re.compile(r"data:([^;,]*)[^,]*;base64,(.*)", re.DOTALL)
_WEB_URL = re.compile(r"https?://[^\s/?#]+\S*")
_WRAPPERS = ("source", "image_url", "image", "file", "input_audio", "resource")
_CONTENT_KEYS = (
    *("url", "data", "file_data", "image_url", "image", "file", "base64", "blob", "file_url"),
    "uri",
)
#: The keys of media within other JSON. An object without them mentions a file and is not one.
_DATA_KEYS = frozenset({"data", "source", "image_url", "image", "file_data", "base64", "resource"})

_BASE64_KEYS = frozenset({"data", "file_data", "base64", "blob"})


@dataclass(frozen=True, slots=True)
class Media:
    """An image or a file: a `url`, valid Base64 `data`, or the `file_id` of a provider's file."""

    is_image: bool
    media_type: str
    url: str
    data: str
    file_id: str
    name: str
    title: str
    context: str
    detail: Any
    citations: Any
    cache_control: Any

    @property
    def data_url(self) -> str:
        """The data as a URL."""
        return f"data:{self.media_type};base64,{self.data}"

    @property
    def label(self) -> str:
        """A word that stands for it in text."""
        return "image" if self.is_image else "audio" if self.media_type in AUDIO else "file"

    @property
    def has_content(self) -> bool:
        """Whether there is anything to send: a provider may still not accept its type."""
        return bool(self.url or self.data or self.file_id)


def media_of(part: Mapping[str, Any]) -> Media | None:
    """Return the image or file of a part, or None for other parts.

    Data that is not valid Base64, such as a path on the server, is left out.
    """
    if part.get("type") not in MEDIA:
        return None
    fields = dict(part)
    for wrapper in _WRAPPERS:
        if isinstance(part.get(wrapper), dict):
            fields |= part[wrapper]
    content = next((fields[key] for key in _CONTENT_KEYS if isinstance(fields.get(key), str)), "")
    declared = first(fields, "media_type", "mediaType", "mime_type", "mimeType", "format")
    if data_url := _DATA_URL.fullmatch(content):
        declared, content = data_url.groups()
    url = content if _WEB_URL.fullmatch(content) else ""
    data = "" if url else _base64(content)
    media_type = _media_type(declared, data, part["type"])
    return Media(
        is_image=part["type"] in _IMAGE_TYPES or media_type.startswith("image/"),
        media_type=media_type,
        url=url,
        data=data,
        file_id=string(first(fields, "file_id", "fileId")),
        name=string(first(fields, "filename", "title", "name")),
        title=string(part.get("title")),
        context=string(part.get("context")),
        detail=fields.get("detail"),
        citations=part.get("citations"),
        cache_control=part.get("cache_control"),
    )


def media_within(value: Mapping[str, Any]) -> Media | None:
    """Return the image or file that an object within other JSON is, or None.

    An object that only mentions a file, such as an entry of a directory, is not one.
    """
    if _DATA_KEYS.isdisjoint(value) or not isinstance(value.get("type"), str):
        return None
    media = media_of(value)
    if media is None or not media.has_content:
        return None
    # Words are valid Base64 as well, so that data without a type has to be under a key for data.
    holder = next((value[key] for key in _WRAPPERS if isinstance(value.get(key), dict)), value)
    is_data = not _BASE64_KEYS.isdisjoint(holder)
    return media if media.url or media.file_id or media.media_type or is_data else None


def _base64(content: str) -> str:
    """Return Base64 without white space, or nothing if it is not valid."""
    data = "".join(content.split())
    # No accepted file but a JPEG begins with a slash in Base64; paths on the server do.
    if data.startswith("/") and not data.startswith("/9j/"):
        return ""
    try:
        binascii.a2b_base64(data, strict_mode=True)
    except (binascii.Error, ValueError):
        return ""
    return data


def _media_type(declared: Any, data: str, type: str) -> str:
    if media_type := _sniffed_type(data):
        return media_type
    if not isinstance(declared, str) or declared in ("", "image/*"):
        return ""
    declared = str(declared).lower()
    if "/" not in declared and type in ("input_audio", "audio"):
        return f"audio/{declared}"
    return "image/jpeg" if declared == "image/jpg" else declared


def _sniffed_type(data: str) -> str:
    """Return the media type that the first bytes of a file tell, or nothing."""
    if data.startswith(_RIFF):
        return _RIFF_TYPES.get(data[12:16], "")
    matches = (type for prefix, type in _BASE64_PREFIXES.items() if data.startswith(prefix))
    return next(matches, "")
