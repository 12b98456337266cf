"""Optional dependencies, which the extras of the package install."""

from __future__ import annotations

from importlib.util import find_spec

from mastra_engine.exceptions import EngineConfigError


def require(extra: str, *libraries: str, by: str) -> None:
    """Raise EngineConfigError with the install command if a library is missing.

    The libraries are located, not imported, so that checking them costs little.
    """
    if not all(map(find_spec, libraries)):
        raise EngineConfigError(f"{by} needs pip install 'django-mastra-engine[{extra}]'")
