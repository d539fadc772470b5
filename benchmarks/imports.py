"""How long does a command take to import what it works with, beside the import of torch alone?

Every program is started in turn, round by round, so that a busy machine slows all alike. A program executes the import
statements of the command's module, those inside of its `main`, and what the command imports later in every run. CPU
seconds are those of user and system. `--help` is the command itself.

    python benchmarks/imports.py
    python benchmarks/imports.py --against ../older/src   # and the same commands of an older checkout
"""

from __future__ import annotations

import argparse
import ast
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

from rich.console import Console

from results import write_results

SOURCE = Path(__file__).resolve().parents[1] / "src"
COMMANDS = (
    "code", "generate", "train", "evaluate", "compare", "figures", "settings", "report", "publish", "show", "notebook",
    "predict",
)  # fmt: skip
# What a command imports inside of other functions, in every run.
LATER = {
    "compare": ["scipy.stats"],
    "generate": ["presence_only.datasets.virtual"],
    "publish": ["mlflow.tracking", "ruamel.yaml"],
}
LIMIT = 1.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--against", type=Path, help="folder src of another checkout")
    arguments = parser.parse_args()
    sources = {"now": SOURCE} | ({"before": arguments.against.resolve()} if arguments.against else {})
    programs: dict[tuple[str, str], tuple[list[str], Path]] = {("torch", ""): (["-c", "import torch"], SOURCE)}
    for when, source in sources.items():
        for command in COMMANDS:
            module = module_of(command, source)
            if module is None:
                continue
            programs[command, when] = (["-c", program_of(module, source, LATER.get(command, []))], source)
            # Commands without arguments did not know --help, and ran.
            if when == "now":
                programs[command, "help"] = (["-m", module, "--help"], source)
    # A first run writes the compiled code.
    for program in programs.values():
        measure(*program)
    taken: dict[tuple[str, str], list[tuple[float, float]]] = {name: [] for name in programs}
    for _ in range(arguments.rounds):
        for name, program in programs.items():
            taken[name].append(measure(*program))
    lines = table({name: (median(c for c, _ in both), median(w for _, w in both)) for name, both in taken.items()})
    for line in lines:
        Console(width=120).print(line)
    write_results(
        Path(__file__),
        [
            f"Medians of {arguments.rounds} rounds. Now, a command is to take at most {LIMIT} times what torch takes.",
            "Seconds are those of whole processes, with their start and their end.",
            "A dash: there was no such command. `predict` without the figure of a map, which needs matplotlib.",
            "",
            *lines,
        ],
    )


def module_of(command: str, source: Path) -> str | None:
    """The module of a command; before there were rooms it stood elsewhere."""
    folders = ("", "stages") if command == "predict" else ("pipeline", "stages")
    if command == "predict" and (source / "presence_only/pipeline").exists():
        folders = ("pipeline",)
    for folder in folders:
        path = source / "presence_only" / folder / f"{command}.py"
        if path.exists():
            return ".".join(path.relative_to(source).with_suffix("").parts)
    return None


def program_of(module: str, source: Path, later: list[str]) -> str:
    """The import statements of a module and of its ``main``, in their order, inside of the same blocks."""
    tree = ast.parse(source.joinpath(*module.split(".")).with_suffix(".py").read_text())
    lines = [f"import {module}"]
    for function in tree.body:
        if isinstance(function, ast.FunctionDef) and function.name == "main":
            for node in function.body:
                inner = [n for n in ast.walk(node) if isinstance(n, (ast.Import, ast.ImportFrom))]
                if isinstance(node, ast.With) and inner:
                    # As the command does: without collecting garbage, or without a package.
                    lines += [f"import {module} as command", *_with(node, inner)]
                elif not isinstance(node, (ast.If, ast.For)):
                    lines += [ast.unparse(n) for n in inner]
    return "\n".join([*lines, *(f"import {name}" for name in later)])


def _with(node: ast.With, imports: list[ast.stmt]) -> list[str]:
    """A ``with`` statement of nothing but imports."""
    contexts = ", ".join(f"command.{ast.unparse(item.context_expr)}" for item in node.items)
    return [f"with {contexts}:", *(f"    {ast.unparse(statement)}" for statement in imports)]


def measure(program: list[str], source: Path) -> tuple[float, float]:
    """CPU and wall seconds of one start of Python."""
    began = perf_counter()
    process = subprocess.Popen(
        [sys.executable, *program], env={**os.environ, "PYTHONPATH": str(source)}, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"error: {program} ended with exit code {process.returncode}")
    return used.ru_utime + used.ru_stime, perf_counter() - began


def table(taken: dict[tuple[str, str], tuple[float, float]]) -> list[str]:
    """The results in Markdown."""
    torch_cpu, torch_wall = taken["torch", ""]
    lines = [
        "| command | before: CPU s | of torch alone | now: CPU s | of torch alone | now: wall s | `--help`: CPU s |",
        "|---|---|---|---|---|---|---|",
        f"| `import torch` alone | | | {torch_cpu:.2f} | 1.00 | {torch_wall:.2f} | |",
    ]
    for command in COMMANDS:
        now_cpu, now_wall = taken[command, "now"]
        before, share = "-", "-"
        if (command, "before") in taken:
            cpu, _ = taken[command, "before"]
            before, share = f"{cpu:.2f}", f"{cpu / torch_cpu:.2f}"
        lines.append(
            f"| `{command}` | {before} | {share} | {now_cpu:.2f} | {now_cpu / torch_cpu:.2f} | {now_wall:.2f} | "
            f"{taken[command, 'help'][0]:.2f} |"
        )
    return lines


if __name__ == "__main__":
    main()
