"""Species, groups and covariates whose names are markup, mathematics or commands to a terminal: shown as text alone."""

import contextlib
import dataclasses
import io
import json
import sys
import unicodedata
import warnings
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.image
import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure
from rich.console import Console
from ruamel.yaml import YAML
from support import tiny
from support.torture import record_trials, trials

from presence_only.common.errors import UserError
from presence_only.common.shown_names import in_a_figure, in_a_line, visible, write_any_text
from presence_only.data.dataset import Dataset
from presence_only.evaluation.permutation_importance import MEAN
from presence_only.export.markdown import text as markdown
from presence_only.model.files import save_model
from presence_only.pipeline import predict
from presence_only.pipeline.command import run_stage
from presence_only.reporting.console import as_text, print_summary
from presence_only.reporting.figures.explanation import importance_figure, response_figure
from presence_only.reporting.figures.style import save_figure
from presence_only.reporting.figures.svg import inline_svg
from presence_only.reporting.map_page.packs import read_description, write_description
from presence_only.study.paths import CellFiles, DatasetFiles

NAMES = (
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "=cmd|' /C calc'!A0",
    "a\x1b[31mred\x1b[0m\x1b]0;t\x07",
    "a [/red] [bold]x", "[/]", "[", "\\", "[link=http://x]y", ":bug: :smile:", "a $\\frac$ $x_1^$", "$", "$$", "\\$a$",
    "{{7*7}}${7*7}", "{% raw %}", "{0}%s%n", "' or 1=1 --", "\u202egnp.exe", "\u2066a\u2069", "a\u200bb", "a\xadb",
    "&lt;b&gt; & ]]>", "javascript:alert(1)", "a\nb", "a\r\nb\tc", "\x00", "a\x00b", "\x85\u2028\u2029", "_hidden",
    "^x_y", "中文 ねこ", "🦜🏳️‍🌈", "e\u0301" * 30, "Z" + "\u0300" * 200, "x" * 5000, " ", "  a  ", "\ud800", "a\udfffb",
    "\ufffe\uffff", "| a | b |", "# a", "* a", "../../etc/passwd", "CON", "a/b\\c:d", "--help", "-", "%", "\x9b31m",
    "\x7f",
)  # fmt: skip
LETTERS = [
    *"abz $\\_^{}[]<>&\"'`|*#%:/.-=!~@\x00\x07\x08\x1b\x7f\x85\x9b\t\n\r\u200b\u200f\u2028\u202e\u2066\ufeffé中🦜",
    *("\ud800", "\udfff", "[/]", "[b]", "]0;", "\x1b[", "<b>", "$x$", ":cat:"),
]


def drawn_names(n, seed):
    """Names of a few letters each, of those that mean something somewhere."""
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(LETTERS, rng.integers(1, 12))) for _ in range(n)]


def is_shown(text, lines=True):
    """Whether no character of a text is a command, hidden, or turns the order of letters."""
    allowed = "\n\t" if lines else ""
    return all(c in allowed or unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp") for c in text) and not (
        set(text) & set("\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\xad")
    )


class Text(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self):
        super().__init__()
        self.tags, self.text = set(), ""

    def handle_starttag(self, tag, attributes):
        self.tags |= {tag, *(name for name, _ in attributes)}

    def handle_data(self, data):
        self.text += data


def test_every_form_of_a_name(tmp_path):
    """Terminal, rich, figure, Markdown and script: no name changes more than itself."""
    fell, names = [], [*NAMES, *drawn_names(trials(300, 10_000), 1)]
    for name in names:
        line = in_a_line(name)
        if not is_shown(line, lines=False) or len(line) != len(name) or not is_shown(visible(name).replace("\r", "")):
            fell.append(f"{name!r} as a line")
        out = io.StringIO()
        Console(file=out, width=20_000, force_terminal=False).print(as_text(name), end="")
        if out.getvalue().rstrip(" ") != line.rstrip(" "):
            fell.append(f"{name!r} in the terminal: {out.getvalue()!r}")
        if not is_shown(markdown(name), lines=False):
            fell.append(f"{name!r} as Markdown")
        drawn = in_a_figure(name)
        if len(drawn.replace("\\$", "$")) > 101 or drawn.startswith("_") or not is_shown(drawn, lines=False):
            fell.append(f"{name!r} in a figure")
        write_description(tmp_path / "d.js", {"species": [name]})
        # In JavaScript, two halves that follow each other are the character that they make.
        joined = name.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        if read_description(tmp_path / "d.js")["species"] != [joined] or "<" in (tmp_path / "d.js").read_text():
            fell.append(f"{name!r} in a script")
    assert in_a_line("Parus major (É. 中)") == visible("Parus major (É. 中)") == in_a_figure("Parus major (É. 中)")
    record_trials("hostile names shown", 5 * len(names), fell)


def test_names_in_figures(tmp_path):
    """Titles, labels of axes and legends draw what the name says."""
    fell, names = [], [*NAMES, *drawn_names(trials(10, 300), 2)]
    for start in range(0, len(names), 12):
        some = names[start : start + 12]
        figure = Figure(figsize=(6, 6))
        axes = figure.subplots()
        for place, name in enumerate(some):
            axes.plot([0, 1], [place, place], label=in_a_figure(name))
        axes.set_yticks(range(len(some)), [in_a_figure(name) for name in some])
        axes.set_title(in_a_figure(some[0]))
        if len(axes.get_legend_handles_labels()[1]) != len(some):
            fell.append(f"{some!r}: not all are in the legend")
        axes.legend()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                save_figure(figure, tmp_path / "f.png")
                svg = str(inline_svg(figure, f"f{start}", some[0]))
            except Exception as error:
                fell.append(f"{some!r}: {type(error).__name__}: {error}")
                continue
        page = Text()
        page.feed(svg)
        shown = [in_a_figure(name).replace("\\$", "$").strip() for name in some]
        fell += [
            f"{name!r} is not in the figure"
            for name in shown
            if " ".join(name.split()) not in " ".join(page.text.split())
        ]
        if not is_shown(svg) or page.tags & {"script", "img", "onerror", "b"}:
            fell.append(f"{some!r}: the page has {page.tags}")
    record_trials("hostile names drawn", len(names), fell)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A run whose species, groups and covariates have such names."""
    folder = tmp_path_factory.mktemp("names")
    data = tiny.dataset(rows=200, species=len(NAMES), covariates=6)
    covariates = tuple(f"{name} ({unit})" for name, unit in zip(NAMES[:6], NAMES[6:12], strict=True))
    records = dataclasses.replace(
        data.training.records,
        species=NAMES,
        groups=tuple(NAMES[i % 7] for i in range(len(NAMES))),
        covariate_names=covariates,
    )
    training = dataclasses.replace(data.training, records=records)
    survey = dataclasses.replace(data.survey, species=NAMES, covariate_names=covariates)
    raw = tiny.params()
    YAML(typ="safe").dump(raw, folder / "params.yaml")
    hostile = Dataset(training, survey)
    for seed in (0, 1):
        save_model(tiny.model(hostile, seed=seed), folder / CellFiles("virtual", "reads_all").encoder(seed))
        save_model(
            tiny.model(hostile, seed=seed, input="coordinates"), folder / CellFiles("virtual", "an_full").encoder(seed)
        )
    return folder, hostile


@pytest.fixture(scope="module")
def written(study):
    """The same with the data set written, of those names that a table can hold."""
    folder, hostile = study
    records = hostile.training.records
    kept = tuple(name.encode("utf-8", "replace").decode() or "?" for name in records.species)
    records = dataclasses.replace(
        records,
        species=tuple(f"{name}{i if kept.count(name) > 1 else ''}" for i, name in enumerate(kept)),
        groups=tuple(group.encode("utf-8", "replace").decode() for group in records.groups),
    )
    dataclasses.replace(hostile.training, records=records).save(folder / DatasetFiles("virtual").training)
    return folder, records


def said(monkeypatch, command, *arguments):
    """What a command prints to a terminal, and how it ends."""
    monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            run_stage(command.main)
            code = 0
        except SystemExit as end:
            code = end.code
    return out.getvalue() + errors.getvalue(), code


def test_lists_of_a_place(written, monkeypatch):
    folder, _ = written
    cell = folder / "runs/virtual/an_full"
    for further in ([], ["--list", "top10"], ["--list", "threshold"], ["--list", "expected_f1"], ["--spread", "seeds"]):
        top = [] if "--list" in further else ["--top", 60]
        text, code = said(monkeypatch, predict, "--run", cell, "--at", 8.5, 47.4, *further, *top)
        assert code == 0
        assert is_shown(text)
    assert "a [/red] [bold]x" in " ".join(
        said(monkeypatch, predict, "--run", cell, "--at", 8.5, 47.4, "--top", 60)[0].split()
    )


def test_maps_of_every_species(written, monkeypatch, tmp_path):
    folder, records = written
    rng = np.random.default_rng(4)
    names = list(records.species)
    some = names if trials(0, 1) else [names[i] for i in rng.choice(len(names), 6, replace=False)]
    fell = []
    box = ("--box", -10, 40, 10, 50, "--resolution", 2)
    for name in some:
        for ending in (".png", ".csv", ".tif"):
            if ending == ".tif":
                rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")
            out = tmp_path / f"map{ending}"
            out.unlink(missing_ok=True)
            for further in ([], ["--binary"]):
                arguments = (
                    "--run",
                    folder / "runs/virtual/an_full",
                    f"--species={name}",
                    "--out",
                    out,
                    *box,
                    *further,
                )
                text, code = said(monkeypatch, predict, *arguments)
                if code != 0 or not is_shown(text) or not out.exists():
                    fell.append(f"{name!r} as {ending}: {code} {text!r}")
            match ending:
                case ".png":
                    assert matplotlib.image.imread(out).std() > 0.01
                case ".tif":
                    with rasterio.open(out) as raster:
                        assert raster.tags().get("SPECIES", "").strip() == in_a_line(name).strip()
    record_trials("maps of hostile names", 6 * len(some), fell)


def test_an_unknown_species_is_told_in_a_line(written, monkeypatch, tmp_path):
    folder, _ = written
    for name in ("\x1b[31mno such", "[/red] no such", "\u202eno such", "x" * 3000):
        asked = ("--run", folder / "runs/virtual/an_full", f"--species={name}", "--out", tmp_path / "a.png")
        text, code = said(monkeypatch, predict, *asked)
        assert code == 1
        assert is_shown(text)
        assert text.startswith("error: ")
        assert text.count("\n") == 1


def test_figures_of_an_explanation(tmp_path):
    names = [*NAMES[:8], MEAN]
    rows = [
        {"species": species, "input": NAMES[i], "ap": 0.5, "drop": 0.1, "drop_sd": 0.01}
        for species in names
        for i in range(5)
    ]
    importance = pl.DataFrame(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_figure(importance_figure(importance, NAMES[3]), tmp_path / "importance.png")
    curves = pl.DataFrame(
        [
            {"covariate": covariate, "species": species, "value": value, "suitability": 0.5, "spread": 0.1}
            for covariate in NAMES[8:14]
            for species in NAMES[:8]
            for value in (0.0, 1.0)
        ]
    )
    background = {covariate: np.linspace(0, 1, 20) for covariate in NAMES[8:14]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_figure(response_figure(curves, background, NAMES[10]), tmp_path / "curves.png")


def test_the_summary_of_a_data_set(capsys):
    data = tiny.dataset()
    rules = tuple((f"rule {name}", 100 - i) for i, name in enumerate(NAMES) if "\n" not in name and name.isprintable())
    notes = tuple(f"Layer {name!r}: {name}" for name in NAMES)
    hostile = dataclasses.replace(data, filters=rules, notes=notes)
    print_summary("a [/b] name", hostile, {"records": 1, "species": 1, "survey_sites": 1}, 1.0)
    text = capsys.readouterr().out
    assert is_shown(text)
    assert "rule a [/red] [bold]x" in text
    assert "rule :bug: :smile:" in text


def test_sentences_of_errors(monkeypatch):
    for name in [*NAMES, *drawn_names(trials(50, 1000), 6)]:

        def fails(name=name):
            raise UserError(f"species = {name!r}, {name}: is wrong")

        monkeypatch.setattr(sys, "argv", ["command"])
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), pytest.raises(SystemExit):
            run_stage(fails)
        assert is_shown(errors.getvalue())
        assert errors.getvalue().count("\n") == 1


def test_a_terminal_that_lacks_letters(tmp_path):
    for encoding in ("ascii", "latin-1", "utf-8"):
        with Path(tmp_path / encoding).open("w", encoding=encoding) as log:
            write_any_text(log)
            for name in NAMES:
                print(name, in_a_line(name), json.dumps(name), file=log)
    write_any_text(io.StringIO())
