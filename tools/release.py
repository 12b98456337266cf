"""Prepare a release: `python tools/release.py 0.2.0`.

Checks that the work tree is clean and the version is new, writes the version and the changelog,
builds the package and checks its metadata, then commits and tags. Pushing the tag publishes: the
workflow release.yml uploads to PyPI by trusted publishing. Nothing is pushed here.
"""

from __future__ import annotations

import argparse
import datetime
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
VERSION_FILE = ROOT / "mastra_engine/__init__.py"
CHANGELOG = ROOT / "CHANGELOG.md"

_VERSION = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)
_UNRELEASED = "## Unreleased\n"


class NotReady(Exception):
    """The repository is not in a state to release from; the message says why."""


def parse(version: str) -> tuple[int, int, int]:
    """Return a version as numbers; raise NotReady unless it is MAJOR.MINOR.PATCH."""
    match = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", version)
    if match is None:
        raise NotReady(f"{version!r} is not a version of the form MAJOR.MINOR.PATCH")
    major, minor, patch = map(int, match.groups())
    return major, minor, patch


def with_version(source: str, version: str) -> str:
    """Return the package's `__init__.py` with another version; raise NotReady for an older one."""
    match = _VERSION.search(source)
    if match is None:
        raise NotReady(f"{VERSION_FILE.name} has no line __version__ = …")
    if parse(version) < parse(match[1]):
        raise NotReady(f"{version} is older than {match[1]}")
    return _VERSION.sub(f'__version__ = "{version}"', source)


def with_release(changelog: str, version: str, date: datetime.date) -> str:
    """Return the changelog with its unreleased entries under the version.

    Raises NotReady when there are no entries.
    """
    before, heading, after = changelog.partition(_UNRELEASED)
    entries = after.partition("\n## ")[0]
    if not heading or not re.search(r"^- ", entries, re.MULTILINE):
        raise NotReady("The changelog has no entries under 'Unreleased'")
    return f"{before}{_UNRELEASED}\n## {version} - {date.isoformat()}\n{after}"


def run(*command: str) -> str:
    """Run a command in the repository and return its output; raise NotReady when it fails."""
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if process.returncode:
        raise NotReady(f"{' '.join(command)} failed:\n{process.stdout}{process.stderr}")
    return process.stdout


def release(version: str) -> None:
    """Write, build, commit and tag a version; the work tree is restored when a step fails."""
    if run("git", "status", "--porcelain"):
        raise NotReady("The work tree has changes that are not committed")
    if version in run("git", "tag").split():
        raise NotReady(f"The tag {version} exists")
    source = with_version(VERSION_FILE.read_text(), version)
    changelog = with_release(
        CHANGELOG.read_text(), version, datetime.datetime.now(datetime.UTC).date()
    )
    try:
        VERSION_FILE.write_text(source)
        CHANGELOG.write_text(changelog)
        shutil.rmtree(ROOT / "dist", ignore_errors=True)
        run(sys.executable, "-m", "build")
        run(
            sys.executable, "-m", "twine", "check", "--strict", *map(str, (ROOT / "dist").iterdir())
        )
        run("git", "commit", "--all", "--message", f"Release {version}")
    except BaseException:
        run("git", "checkout", "--", ".")
        raise
    run("git", "tag", "--annotate", version, "--message", f"Release {version}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Prepare a release.")
    parser.add_argument("version")
    version = parser.parse_args().version
    try:
        release(version)
    except NotReady as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Tagged. To publish it: git push origin main {version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
