"""A converter of URLs for ids that may contain slashes and line breaks."""

from __future__ import annotations

from django.urls import register_converter

#: The name of the converter in routes.
ANY_TEXT = "mastra_engine_text"


class AnyTextConverter:
    """Match any text, which Django's `path` converter does up to a line break only."""

    regex = r"[\s\S]+"

    def to_python(self, value: str) -> str:
        """Return the text of the URL."""
        return value

    def to_url(self, value: str) -> str:
        """Return the text for a URL."""
        return value


register_converter(AnyTextConverter, ANY_TEXT)
