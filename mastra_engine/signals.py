"""What other apps of the project may listen to."""

from __future__ import annotations

from django.dispatch import Signal

#: Records of an entity were changed, and the change is committed. Sent once for each call, or page
#: of a declared sync, that wrote something, in the process that wrote it. The sender is the
#: engine's class; the arguments are `alias` (of the engine), `entity_id`, `entity_name`,
#: `connection_id`, `after` (the entity's `rev` before) and `rev` (its `rev` now). What a receiver
#: raises is logged and harms nobody.
records_changed = Signal()
