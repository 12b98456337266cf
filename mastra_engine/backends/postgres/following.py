"""Following changes in PostgreSQL."""

from __future__ import annotations

import logging
from uuid import UUID

from django.db import Error, connections

from mastra_engine.backends.base.records.following import FollowingContract, Listener
from mastra_engine.backends.postgres.records import PostgresRecords
from mastra_engine.postgres.channels import forget_notices, listen, notify
from mastra_engine.postgres.poolers import is_pooled

logger = logging.getLogger("mastra_engine.following")


class PostgresListener(Listener):
    """A connection of its own that does nothing but LISTEN.

    There is none behind a pooler, which would give what is heard to whoever comes next.
    """

    def __init__(self, alias: str, entity_id: UUID) -> None:
        self.entity_id = entity_id
        self.connection = connections[alias].copy()
        self.connection.settings_dict["AUTOCOMMIT"] = True
        self.connection.settings_dict["OPTIONS"].pop("pool", None)  # Django's, where it would stay
        self.connection.inc_thread_sharing()  # async code may come by another thread to close it
        self.pooled = False

    def listen(self) -> None:
        if self._forget() or self.pooled:
            return
        self.close()
        try:
            self.pooled = is_pooled(self.connection)
            if not self.pooled:
                listen(self.connection, self.entity_id)
                return
        except Error as error:
            logger.info("Nobody can listen to %s: %s", self.entity_id, type(error).__name__)
        self.close()

    def fileno(self) -> int | None:
        driver = self.connection.connection
        return None if driver is None else int(driver.fileno())

    def close(self) -> None:
        self.connection.close()

    def _forget(self) -> bool:
        """Forget what was heard; False if the connection is lost, or was not made yet."""
        if self.connection.connection is None:
            return False
        try:
            forget_notices(self.connection)
        except Error:
            return False
        return True


class PostgresFollowing(PostgresRecords, FollowingContract):
    """Following over the tables, woken by NOTIFY."""

    def _listener(self, entity_id: UUID) -> Listener:
        return PostgresListener(self.session.alias, entity_id)

    def _wake(self, entity_id: UUID) -> None:
        with self.session.translated():
            notify(self.session.connection, entity_id)

    def _rest(self) -> None:
        self.session.rest()
