"""Notifications of committed changes, by LISTEN on a separate connection."""

from __future__ import annotations

import logging
from uuid import UUID

from django.db import Error, connections

from mastra_engine.backends.base.records.store import ChangeListener
from mastra_engine.postgres.channels import forget_notices, listen
from mastra_engine.postgres.connections import separate_connection
from mastra_engine.postgres.poolers import is_pooled

logger = logging.getLogger("mastra_engine.following")


class PostgresListener(ChangeListener):
    """A connection of its own that only executes LISTEN.

    Behind a pooler it has none, because the pooler would deliver the notifications to the next
    client of the server connection.
    """

    def __init__(self, alias: str, entity_id: UUID) -> None:
        self.entity_id = entity_id
        # In Django's own pool it would occupy a place for as long as it listens.
        self.connection = separate_connection(connections[alias])
        self.connection.inc_thread_sharing()  # async code may close it in another thread
        self.pooled = False

    def listen(self) -> None:
        if self._discard_notices() or self.pooled:
            return
        self.close()
        try:
            self.pooled = is_pooled(self.connection)
            if not self.pooled:
                listen(self.connection, self.entity_id)
                return
        except Error as error:
            logger.info(
                "Changes of the entity %s are polled, because LISTEN failed: %s",
                self.entity_id,
                type(error).__name__,
            )
        self.close()

    def fileno(self) -> int | None:
        driver = self.connection.connection
        return None if driver is None else int(driver.fileno())

    def close(self) -> None:
        self.connection.close()

    def _discard_notices(self) -> bool:
        """Discard notifications; return False if there is no usable connection."""
        if self.connection.connection is None:
            return False
        try:
            forget_notices(self.connection)
        except Error:
            return False
        return True
