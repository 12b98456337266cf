"""Optional libraries, each brought by an extra of the package."""

from __future__ import annotations

from importlib.util import find_spec

from mastra_engine.exceptions import EngineConfigError


def require(extra: str, *libraries: str, by: str) -> None:
    """Raise EngineConfigError, which says what to install, unless the libraries are there.

    They are looked for, not loaded: it may be asked long before they are used.
    """
    if not all(map(find_spec, libraries)):
        raise EngineConfigError(f"{by} needs pip install 'django-mastra-engine[{extra}]'")
