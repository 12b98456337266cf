"""The configuration of the Django app."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks
from django.db.models.signals import post_migrate, post_save
from django.utils.module_loading import autodiscover_modules


class MastraEngineConfig(AppConfig):
    name = "mastra_engine"
    label = "mastra_engine"
    verbose_name = "Mastra Engine"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from mastra_engine.backends.postgres.aliases import remember_names
        from mastra_engine.backends.postgres.partitions import (
            create_partition,
            drop_orphaned_partitions,
        )
        from mastra_engine.checks import (
            check_admin,
            check_api,
            check_engines,
            check_servers,
            check_tables,
        )
        from mastra_engine.handler import engines
        from mastra_engine.task_queue import TaskQueue

        checks.register(check_engines)
        checks.register(check_tables)
        checks.register(check_api)
        checks.register(check_admin)
        checks.register(check_servers, checks.Tags.database)
        engines.make_queue = TaskQueue
        remember_names()
        post_save.connect(create_partition, sender=self.get_model("VectorIndex"))
        post_migrate.connect(drop_orphaned_partitions, sender=self)
        autodiscover_modules("syncs")  # the modules in which apps declare their syncs
