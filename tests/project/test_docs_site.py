"""The documentation site: its navigation has every page, links lead somewhere, it opens and searches offline."""

import os
import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from ruamel.yaml import YAML
from support.browser import Visit, chromium

from presence_only.datasets import KINDS
from presence_only.losses.registry import LOSSES
from presence_only.study.params import load_params

ROOT = Path(__file__).parents[2]
SITE_CODE = ROOT / "tools/docs_site"
CONFIG = YAML(typ="safe").load((ROOT / "mkdocs.yml").read_text())
FIRST_STUDY = (ROOT / "docs/first_study.md").read_text()
# Structure of a page, whichever program rendered it.
TAGS = ("ul", "ol", "li", "pre", "table", "tr", "h1", "h2", "h3", "h4")


def in_navigation(nav):
    if isinstance(nav, str):
        return [nav]
    return [path for part in (nav.values() if isinstance(nav, dict) else nav) for path in in_navigation(part)]


def texts():
    """Every text of the site that is written by hand."""
    further = [ROOT / path for path in ("README.md", "CONTRIBUTING.md")]
    return sorted([*further, *(ROOT / "docs").rglob("*.md"), *(ROOT / "experiments").glob("*/*.md")])


def without_code(text):
    return re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)


@cache
def anchors(path):
    """Anchors of the headings of a text, as code hosts make them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", without_code(path.read_text()), flags=re.MULTILINE):
        plain = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-"))
    return found


def test_the_navigation_has_every_guide_and_write_up_once():
    pages = in_navigation(CONFIG["nav"])
    written = {path.relative_to(ROOT).as_posix() for path in texts()} | {"experiments/README.md"}
    notebooks = {f"results/notebooks/{path.name}.md" for path in (ROOT / "results/notebooks").glob("*.ipynb")}
    assert sorted(pages) == sorted(written | notebooks)


@pytest.mark.parametrize("path", texts(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings(path):
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(path.read_text())):
        if link.startswith(("http", "mailto")):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_the_table_of_guides_names_every_guide():
    text = (ROOT / "docs/README.md").read_text()
    linked = {(ROOT / "docs" / link).resolve() for link in re.findall(r"\]\(([^)#]+)", text)}
    # Those of kinds of files stand in a table of their own.
    assert set((ROOT / "docs").glob("*.md")) - linked == {ROOT / "docs/README.md"}
    records = (ROOT / "docs/bring_your_own_records.md").read_text()
    assert all(f"](records/{path.name})" in records for path in (ROOT / "docs/records").glob("*.md"))


def test_the_settings_of_the_first_study_can_be_read(tmp_path):
    """The whole file as the page gives it, then with the variant that the page adds."""
    text, added = re.findall(r"```yaml\n(.+?)```", FIRST_STUDY, re.DOTALL)
    (name,) = YAML(typ="safe").load(added)
    assert text.rstrip().splitlines()[-1].startswith("  bce_background:")
    changed = text.replace("[bce, bce_background]", f"[bce, bce_background, {name}]") + added
    for written, variants in ((text, ["bce", "bce_background"]), (changed, ["bce", "bce_background", name])):
        (tmp_path / "params.yaml").write_text(written)
        params = load_params(tmp_path / "params.yaml")
        assert list(params.study.variants) == variants
        assert [params.variant(variant).loss.loss for variant in variants] == ["bce", "bce", "asl"][: len(variants)]
        assert params.dataset("world").kind == "virtual"


def test_the_commands_of_the_first_study_exist():
    makefile = (ROOT / "Makefile").read_text()
    assert all(f"\n{target}:" in makefile for target in re.findall(r"^make ([a-z-]+)", FIRST_STUDY, re.MULTILINE))
    for module in re.findall(r"python -m ([\w.]+)", FIRST_STUDY):
        assert (ROOT / "src" / f"{module.replace('.', '/')}.py").exists()
    assert all((ROOT / script).exists() for script in re.findall(r"python (\w+/\w+\.py)", FIRST_STUDY))


def test_the_workflow_calls_ci_and_publishes_the_site():
    workflow = YAML(typ="safe").load((ROOT / ".github/workflows/ci.yml").read_text())
    commands = "\n".join(step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"])
    assert ".ci/run" in commands
    assert "make docs" in commands
    assert "refs/heads/main" in workflow["jobs"]["publish"]["if"]


def test_hooks_before_a_commit_run_what_make_lint_runs():
    hooks = YAML(typ="safe").load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    entries = [hook["entry"] for repository in hooks for hook in repository["hooks"]]
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE).group(1)
    assert entries == [line.strip() for line in recipe.splitlines()]


class Structure(HTMLParser):
    """The tags of :data:`TAGS` in their order, opened and closed."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag in TAGS:
            self.tags.append(tag)

    def handle_endtag(self, tag):
        if tag in TAGS:
            self.tags.append("/" + tag)


@pytest.fixture
def site_code(monkeypatch):
    monkeypatch.syspath_prepend(SITE_CODE)


LISTS = {
    "after a line": "Two things:\n* one\n* two\n",
    "several paragraphs": "1. one\n\n   more of one\n2. two\n\n   ```python\n   x = 1\n   ```\n3. three\n",
    "nested": "* one\n  * inner\n\n    more of inner\n  * other\n* two\n\nAfter.\n",
    "in code": "```text\n* no list\n  * nor this\n```\n",
    "ten": "".join(f"{number}. item\n\n   further\n" for number in range(8, 12)),
}


@pytest.mark.parametrize("text", [*LISTS.values(), *texts()], ids=str)
def test_lists_are_those_of_code_hosts(site_code, text):
    """Python-Markdown makes of the rewritten text what CommonMark says of the text itself."""
    markdown = pytest.importorskip("markdown", reason="Markdown is not installed (extra docs)")
    from commonmark_lists import with_wide_lists

    text = text if isinstance(text, str) else text.read_text()
    expected = Structure(MarkdownIt("commonmark").enable("table").render(text)).tags
    made = markdown.markdown(with_wide_lists(text), extensions=["tables", "pymdownx.superfences"])
    assert Structure(re.sub("</?t(head|body)>", "", made)).tags == expected


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` builds it."""
    pytest.importorskip("material", reason="mkdocs-material is not installed (extra docs)")
    pytest.importorskip("mkdocstrings", reason="mkdocstrings is not installed (extra docs)")
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_reference_has_every_loss_and_every_kind_of_data_set(site):
    losses = "".join(path.read_text() for path in (site / "reference/losses").glob("*.html"))
    assert all(f"<code>loss: {name}</code>" in losses for name in LOSSES)
    assert "pos_lambda" in (site / "reference/losses/sinr.html").read_text()
    for kind in KINDS:
        assert f"<code>kind: {kind}</code>" in (site / f"reference/datasets/{kind}.html").read_text()


def test_every_setting_of_the_reference_has_a_meaning(site_code):
    pytest.importorskip("griffe", reason="griffe is not installed (extra docs)")
    from reference_pages import reference_pages

    pages, _ = reference_pages()
    rows = [row for text in pages.values() for row in re.findall(r"^\| (`\w+` \| .*) \|$", text, re.MULTILINE)]
    assert len(rows) > 200
    assert not [row for row in rows if row.endswith("<br>")]


def test_no_page_asks_another_host(site):
    for path in site.rglob("*.html"):
        text = path.read_text()
        loaded = re.findall(r'<(?:script|img|iframe)\b[^>]*\bsrc="(https?:)?//', text)
        loaded += re.findall(r'<link\b[^>]*\brel="(?:stylesheet|preconnect|icon)"[^>]*\bhref="(?:https?:)?//', text)
        assert not loaded, path


def test_it_searches_from_the_disk(site):
    with chromium() as browser, Visit(browser, site / "index.html") as visit:
        visit.page.click(".md-search__input")
        # All but the last letter at once: a query that ends with a dash, while it is being typed, is a mistake to the
        # search.
        visit.page.fill(".md-search__input", "two-way los")
        visit.page.keyboard.type("s")
        first = visit.page.locator(".md-search-result__link").first
        first.wait_for(state="attached")
        assert "/reference/losses/two_way.html" in first.get_attribute("href")
        first.click()
        visit.page.wait_for_url("**/two_way.html*")
        assert visit.page.locator("h1").inner_text().startswith("Two-way loss")
        assert not visit.mistakes
        assert all(request.startswith(("file:", "data:", "blob:")) for request in visit.requests)
