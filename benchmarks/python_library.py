"""The documented functions, classes and methods of Python's standard library, as texts."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

_NAMES = """
argparse asyncio base64 bisect calendar collections concurrent.futures configparser contextlib copy
csv dataclasses datetime decimal difflib email.message email.utils enum fileinput fnmatch fractions
functools gc getpass glob gzip hashlib heapq hmac html http.client http.cookies importlib inspect
io ipaddress itertools json linecache locale logging logging.handlers mailbox math mimetypes
multiprocessing operator os os.path pathlib pickle platform pprint queue random re sched secrets
selectors shelve shlex shutil signal smtplib socket sqlite3 ssl stat statistics string struct
subprocess sys tarfile tempfile textwrap threading time timeit tokenize traceback types typing
unicodedata unittest unittest.mock urllib.parse urllib.request uuid warnings weakref
xml.etree.ElementTree zipfile zlib zoneinfo
"""
MODULES = _NAMES.split()
#: Modules that define functions of `os` and of `os.path`.
IMPLEMENTATIONS = ("posix", "posixpath", "genericpath")


def documented() -> Iterator[tuple[str, str]]:
    """Yield the qualified name of each documented object, and its name and first paragraph."""
    for module_name in MODULES:
        module = import_module(module_name)
        for name in sorted(getattr(module, "__all__", dir(module))):
            value = getattr(module, name, None)
            if not name.startswith("_") and _is_defined_in(value, module):
                yield from _with_methods(f"{module_name}.{name}", value)


def _with_methods(qualified: str, value: Any) -> Iterator[tuple[str, str]]:
    methods = vars(value) if inspect.isclass(value) else {}
    members = {f"{qualified}.{name}": methods[name] for name in sorted(methods) if name[0] != "_"}
    for name, member in {qualified: value, **members}.items():
        if (member is value or inspect.isroutine(member)) and (text := inspect.getdoc(member)):
            yield name, f"{name}\n{text.partition(chr(10) * 2)[0]}"


def _is_defined_in(value: Any, module: ModuleType) -> bool:
    """Return whether a function or class belongs to the module, or to its implementation in C."""
    if not inspect.isroutine(value) and not inspect.isclass(value):
        return False
    home = getattr(value, "__module__", None) or module.__name__
    package = module.__name__.partition(".")[0]
    return home.lstrip("_").startswith(package) or home in IMPLEMENTATIONS
