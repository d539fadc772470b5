"""Hooks of MkDocs: the pages of the site are the repository's texts, and a reference made from docstrings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pymdownx.slugs import slugify
from reference_pages import reference_pages
from repository_pages import gather

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
# Path on the site to a file. The script is iframe-worker 1.0.4 of Martin Donath, from npm, under the MIT licence; the
# theme would ask another host for it.
ASSETS = {
    "assets/iframe-worker/shim.js": HERE / "iframe_worker/shim.js",
    "assets/iframe-worker/LICENSE": HERE / "iframe_worker/LICENSE",
    "assets/style.css": HERE / "style.css",
}
PAGES: dict[str, str] = {}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Headings get the anchors of code hosts, and the navigation the pages of the reference."""
    config.mdx_configs.setdefault("toc", {})["slugify"] = slugify(case="lower")
    made, entries = reference_pages()
    PAGES.clear()
    PAGES.update(made)
    (reference,) = [entry["Reference"] for entry in config.nav or [] if "Reference" in entry]
    reference += entries
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Put files of the repository, at their paths, in the place of those that MkDocs found in its one folder."""
    for file in [file for file in files if (file.abs_src_path or "").startswith(str(ROOT / "docs"))]:
        files.remove(file)
    texts = [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")]
    pages, copied = gather(ROOT, [*paths_of(config.nav), *texts])
    for path, text in (pages | PAGES).items():
        files.append(File.generated(config, path, content=text))
    for path, file in ({path: ROOT / path for path in sorted(copied)} | ASSETS).items():
        files.append(File.generated(config, path, abs_src_path=str(file)))
    return files


def paths_of(nav: Any) -> list[str]:
    """Paths in the repository of all pages of a navigation; notebooks stand there as the pages that show them."""
    if isinstance(nav, str):
        return [nav.removesuffix(".md") if nav.endswith(".ipynb.md") else nav]
    parts = nav.values() if isinstance(nav, dict) else nav or []
    return [path for part in parts for path in paths_of(part)]
