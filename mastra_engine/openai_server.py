"""The client of OpenAI's library that embedders and extractors use, and its errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mastra_engine.exceptions import EngineConfigError, EngineError, Unavailable
from mastra_engine.optional_deps import require

if TYPE_CHECKING:
    from openai import OpenAI


class OpenAIServer:
    """OpenAI, or a server that speaks its protocol. `by` is the name of the class that uses it.

    The environment variable OPENAI_API_KEY is sent only without `base_url`, so another server
    never gets it. `options` are those of `openai.OpenAI`; a `custom_client` has its own.
    """

    def __init__(
        self,
        by: str,
        *,
        base_url: str | None,
        api_key: str | None,
        custom_client: OpenAI | None,
        **options: Any,
    ) -> None:
        require("openai", "openai", by=by)
        self._by = by
        self._base_url, self._api_key = base_url, api_key
        self._custom_client, self._options = custom_client, options

    @cached_property
    def client(self) -> OpenAI:
        """The client, which opens a connection at the first request."""
        if self._custom_client is not None:
            return self._custom_client
        from openai import OpenAI, OpenAIError

        key = self._api_key or (self._base_url and "none")
        try:
            return OpenAI(api_key=key, base_url=self._base_url, **self._options)
        except OpenAIError as error:
            message = f"{self._by} needs an api_key, or OPENAI_API_KEY in the environment"
            raise EngineConfigError(message) from error


@contextmanager
def translated(server: str, result: str) -> Iterator[None]:
    """Raise Unavailable if a server is away or busy, and EngineError if it refuses a request.

    Messages of the server stay out of them, since they may quote the key or the request.
    """
    from openai import APIConnectionError, InternalServerError, OpenAIError, RateLimitError

    try:
        yield
    except (APIConnectionError, InternalServerError, RateLimitError) as error:
        raise Unavailable(f"The {server} is unavailable or busy: {_kind(error)}") from error
    except (OpenAIError, ValueError) as error:  # ValueError: the answer is not JSON
        raise EngineError(f"The {server} returned no {result}: {_kind(error)}") from error


def _kind(error: Exception) -> str:
    status = getattr(error, "status_code", None)
    return f"{type(error).__name__} {status}" if status else type(error).__name__
