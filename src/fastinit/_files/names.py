"""The names of the files that belong to NAME, and the command that resumes writing."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from .errors import RefusedError


def resolved(target: Path) -> Path:
    """Return the target, or the file that it points to if it is a symbolic link."""
    if not target.is_symlink():
        return target
    file = Path(os.path.realpath(target))
    if file.is_symlink():
        raise RefusedError(f"{target} is a loop of symbolic links")
    return file


def partial_of(file: Path) -> Path:
    """Return the name that a file has until it is complete."""
    return file.with_name(f"{file.name}.partial")


def record_of(file: Path) -> Path:
    """Return the name of the record beside a file."""
    return file.with_name(f"{file.name}.json")


def command_to_resume(target: Path, *options: str) -> str:
    """Return the command that continues after an interruption."""
    name, options = str(target), ("--resume", *options)
    arguments = [*options, "--", name] if name.startswith("-") else [name, *options]
    return shlex.join(["fastinit", "create", *arguments])
