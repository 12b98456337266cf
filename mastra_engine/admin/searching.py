"""Searches on a page: their errors become messages in its form."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import Error
from django.utils.translation import gettext as _

from mastra_engine.exceptions import EngineError, Unavailable
from mastra_engine.postgres.errors import sqlstate

logger = logging.getLogger("mastra_engine")


@contextmanager
def errors_in(form: Callable[[EngineError], object]) -> Iterator[None]:
    """Pass the errors of a search to a form.

    Those of the database end the page: its transaction can read nothing more. The project's own
    embedder and reranker may raise any exception. Its text may hold a key, so only its name is
    shown.
    """
    try:
        yield
    except Error:
        raise
    except EngineError as error:
        if sqlstate(error):
            raise
        form(error)
    except Exception as error:
        logger.exception("The embedder or the reranker failed")
        message = _("The embedder or the reranker failed with %(name)s; the log says more.")
        form(Unavailable(message % {"name": type(error).__name__}))
