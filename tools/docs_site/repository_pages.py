"""Pages of the documentation site that are files of the repository: texts, what they link, and nothing else.

A page keeps its path, so that relative links serve on a code host and on the site. Code, settings and notebooks that a
text links become pages that show them; other files are copied.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from commonmark_lists import with_wide_lists

LINK = re.compile(r"(?<=\]\()([^)\s#]+)(?=(?:#[^)\s]*)?\))")
FENCE = re.compile(r"^ *(```|~~~)")
# Files that browsers would download, or show without form, to the language that they are shown in.
SHOWN = {".py": "python", ".yaml": "yaml", ".cff": "yaml", ".json": "json"}
OUTSIDE = re.compile(r"[a-z]+:|/|#", re.IGNORECASE)


def gather(root: Path, first: Iterable[str]) -> tuple[dict[str, str], set[str]]:
    """Pages and files of a site.

    Args:
        root: The repository.
        first: Paths of pages to begin with; what they link is followed, from page to page.

    Returns:
        Path on the site to the text of the page, and the paths of files to copy. A link to what does not exist is left
        for the strict build to tell.
    """
    pages: dict[str, str] = {}
    copied: set[str] = set()
    todo = list(first)
    while todo:
        path = todo.pop()
        place = on_site(root, path)
        if place in pages or path in copied or not (root / path).exists():
            continue
        if place == path and not path.endswith(".md"):
            copied.add(path)
            continue
        text = page_text(root, path)
        if path.endswith(".md"):
            todo += linked(path, text)
            text = with_wide_lists(with_site_links(root, path, text))
        elif (root / path).is_dir():
            todo += [posixpath.join(path, name) for name in text_files(root / path)]
        pages[place] = text
    return pages, copied


def on_site(root: Path, path: str) -> str:
    """Where the page of a path of the repository lies; a file that is copied keeps its path."""
    if (root / path).is_dir():
        return posixpath.join(path, "README.md" if (root / path / "README.md").exists() else "index.md")
    return path + ".md" if Path(path).suffix in (*SHOWN, ".ipynb") else path


def page_text(root: Path, path: str) -> str:
    """A page as Markdown: a text as it is, code in a frame, a notebook with its outputs, a folder as a list."""
    file = root / path
    if file.is_dir():
        if (file / "README.md").exists():
            return page_text(root, posixpath.join(path, "README.md"))
        return f"# {path}\n\n" + "".join(f"- [{name}]({name})\n" for name in text_files(file))
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".ipynb":
        return notebook_text(text)
    if file.suffix in SHOWN:
        fence = "`" * (max(map(len, re.findall(r"`+", text)), default=2) + 1)
        return f"# {path}\n\n{fence}{SHOWN[file.suffix]}\n{text.rstrip()}\n{fence}\n"
    return text


def notebook_text(text: str) -> str:
    """The cells of a notebook with their outputs; figures are part of the page."""
    parts = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(with_wide_lists(source))
        elif cell["cell_type"] == "code":
            parts.append(f"```python\n{source}\n```")
            parts += [output_text(output) for output in cell["outputs"]]
    return "\n\n".join(part for part in parts if part) + "\n"


def output_text(output: dict[str, object]) -> str:
    """One output of a cell: a figure, a table, or lines of text."""
    data = output.get("data", {})
    assert isinstance(data, dict)
    if "image/png" in data:
        return f"![Figure of the cell above](data:image/png;base64,{''.join(data['image/png']).replace(chr(10), '')})"
    if "text/html" in data:
        # A blank line would end the block.
        return re.sub(r"\n\s*\n", "\n", "".join(data["text/html"])).strip()
    plain = data.get("text/plain", output.get("text", ""))
    return f"```text\n{''.join(plain).rstrip()}\n```" if plain else ""


def text_files(folder: Path) -> list[str]:
    """Names of the texts in a folder, sorted."""
    return sorted(path.name for path in folder.glob("*.md"))


def linked(path: str, text: str) -> list[str]:
    """Paths in the repository that a text links."""
    found = (link for line in outside_of_fences(text) for link in LINK.findall(line))
    return [resolved(path, link) for link in found if not OUTSIDE.match(link)]


def with_site_links(root: Path, path: str, text: str) -> str:
    """The text with links that lead to the pages of the site."""

    def led(match: re.Match[str]) -> str:
        link = match[1]
        target = resolved(path, link)
        if OUTSIDE.match(link) or not (root / target).exists():
            return link
        place = on_site(root, target)
        return link if place == target else posixpath.relpath(place, posixpath.dirname(path) or ".")

    lines = text.split("\n")
    kept = iter(outside_of_fences(text))
    return "\n".join(line if not (seen := next(kept)) else LINK.sub(led, seen) for line in lines)


def resolved(path: str, link: str) -> str:
    """The path in the repository that a relative link of a page leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(link)))


def outside_of_fences(text: str) -> list[str]:
    """Every line, empty where it belongs to a block of code."""
    lines, inside = [], False
    for line in text.split("\n"):
        fence = FENCE.match(line) is not None
        lines.append("" if inside or fence else line)
        inside ^= fence
    return lines
