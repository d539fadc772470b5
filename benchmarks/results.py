"""Writes a benchmark's table with what one needs to judge it: machine, versions, commit and command."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from presence_only.common.atomic_files import write_whole

FOLDER = Path(__file__).parent / "results"


def write_results(script: Path, lines: Sequence[str], *, name: str | None = None) -> Path:
    """Write ``benchmarks/results/<script>.md``, whole or not at all.

    Args:
        script: The benchmark's file, which the table names with the arguments that it was given.
        lines: The table in Markdown, with what it shows.
        name: Another name for file and heading, for a benchmark with several tables.
    """
    path = FOLDER / f"{name or script.stem}.md"
    command = shlex.join(["python", f"benchmarks/{script.name}", *sys.argv[1:]])
    head = [f"# {path.stem}", "", f"`{command}`", "", f"{machine()}.", ""]
    with write_whole(path) as temporary:
        temporary.write_text("\n".join([*head, *lines]) + "\n")
    print(f"written to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    return path


def machine() -> str:
    """The machine, the versions and the commit in one line."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "polars", "scikit-learn"))
    return (
        f"{processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {packages}, "
        f"commit {commit()}"
    )


def processor() -> str:
    """The processor's name, as the system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def commit() -> str:
    """The checked-out commit, with ``-dirty`` where the package differs from it."""
    folder = Path(__file__).parents[1]
    try:
        head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=folder, capture_output=True, text=True)
        changed = subprocess.run(["git", "status", "--porcelain", "src"], cwd=folder, capture_output=True, text=True)
    except OSError:
        return "unknown"
    return head.stdout.strip() + "-dirty" * bool(changed.stdout.strip()) if head.returncode == 0 else "unknown"
