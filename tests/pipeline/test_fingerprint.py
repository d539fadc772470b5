"""The fingerprint of the code: what changes it, what does not, and that nothing which runs escapes it."""

import ast
import shutil
import sys
from importlib import import_module
from pathlib import Path
from textwrap import dedent

import pytest
from matplotlib.figure import Figure
from ruamel.yaml import YAML
from support import tiny

import presence_only
from presence_only.losses.registry import LOSSES
from presence_only.pipeline import code, workers
from presence_only.pipeline.fingerprint import Fingerprints
from presence_only.search import objective
from presence_only.search.settings import HeldOutSettings
from presence_only.study.params import Tree
from presence_only.training import loss_computation

PACKAGE = Path(presence_only.__file__).parent

MODULES = {
    "__init__": "",
    "run": '''
        """A command."""
        from toy.tools import helper, table
        from toy.passed import passed_on

        def main():
            """Run."""
            return helper(2) + passed_on() + table()["a"]

        def unused():
            return 1

        if __name__ == "__main__":
            main()
        ''',
    "tools": '''
        from __future__ import annotations

        import math
        from dataclasses import dataclass

        from toy.lazy import resolve

        FACTOR, OTHER = 3.0, 4.0
        UNUSED = 5
        TABLE = {"a": "toy.entries:first", "b": "toy.entries:second"}

        @dataclass
        class Pair:
            """Two numbers."""
            x: float = 1.0

            def area(self):
                # A comment.
                return self.x * FACTOR

        def helper(n):
            from toy.late import late
            return math.sqrt(Pair(n).area()) + late()

        def table():
            return {key: resolve(value) for key, value in TABLE.items()}
        ''',
    "lazy": "def resolve(reference):\n    return reference\n",
    "entries": "def first():\n    return one()\n\ndef one():\n    return 1\n\ndef second():\n    return 2\n",
    "passed": "from toy.late import passed_on\n__all__ = ['passed_on']\n",
    "late": """
        from toy.shown import page

        def late():
            return 7

        def passed_on():
            return page()
        """,
    "shown": """
        from typing import TYPE_CHECKING
        try:
            from toy.fast import speed
        except ImportError:
            speed = None
        if TYPE_CHECKING:
            from toy.alone import Alone

        def page():
            return speed(), "page.html"
        """,
    "fast": "def speed():\n    return 9\n",
    "alone": "class Alone:\n    pass\n",
}


@pytest.fixture
def toy(tmp_path):
    root = tmp_path / "toy"
    root.mkdir()
    for name, text in MODULES.items():
        (root / f"{name}.py").write_text(dedent(text).lstrip())
    (root / "pages").mkdir()
    (root / "pages/page.html").write_text('{% include "style.css" %}')
    (root / "pages/style.css").write_text("p {}")
    (root / "pages/other.html").write_text("other")
    return root


def fingerprint(root, **choice):
    return Fingerprints(root).of("toy.run", {f"toy.tools:{name}": entries for name, entries in choice.items()})


def replace(root, name, old, new):
    text = (root / name).read_text()
    assert old in text
    (root / name).write_text(text.replace(old, new))


SAME = [
    ("run.py", '"""Run."""', '"""Run it."""'),
    ("run.py", '"""A command."""', '"""The command, explained."""\n'),
    ("tools.py", "# A comment.", "# Another comment."),
    ("tools.py", '"""Two numbers."""\n', "\n"),
    ("run.py", "helper(2) + passed_on()", "(helper(2)\n            + passed_on())"),
    ("run.py", "return 1", "return 2"),
    ("tools.py", "UNUSED = 5", "UNUSED = 6"),
    ("alone.py", "pass", "x = 1"),
    ("late.py", "def late", "def more():\n    return 8\n\ndef late"),
    ("pages/other.html", "other", "changed"),
]


@pytest.mark.parametrize("edit", SAME, ids=[f"{file}-{new[:12]!r}" for file, _, new in SAME])
def test_what_cannot_change_a_result_does_not_count(toy, edit):
    before = fingerprint(toy)
    replace(toy, *edit)
    assert fingerprint(toy) == before


OTHER = [
    ("run.py", "helper(2)", "helper(3)"),
    ("tools.py", "FACTOR, OTHER = 3.0", "FACTOR, OTHER = 3.5"),
    ("tools.py", "x: float = 1.0", "x: float = 1.5"),
    ("tools.py", "@dataclass\n", "@dataclass(frozen=True)\n"),
    ("tools.py", "math.sqrt", "math.cbrt"),
    ("tools.py", "import math", "import cmath as math"),
    ("late.py", "return 7", "return 8"),
    ("late.py", "return page()", "return page(), 1"),
    ("fast.py", "return 9", "return 10"),
    ("entries.py", "return 1", "return 3"),
    ("entries.py", "return 2", "return 3"),
    ("pages/page.html", "{%", "<p>{%"),
    ("pages/style.css", "p", "b"),
    ("alone.py", "class Alone", "import toy.tools\ntoy.tools.Pair.area = None\nclass Alone"),
    ("late.py", "def late", "def helper():\n    return 1\n\nif True:\n    passed_on = helper\n\ndef late"),
    ("late.py", "return page()\n", "return page()\n\ndef late():\n    return 70\n"),
]


@pytest.mark.parametrize("edit", OTHER, ids=[f"{file}-{new[:12]!r}" for file, _, new in OTHER])
def test_what_can_change_a_result_counts(toy, edit):
    # Whatever is imported runs its loose statements.
    replace(toy, "late.py", "from toy.shown", "import toy.alone\nfrom toy.shown")
    before = fingerprint(toy)
    replace(toy, *edit)
    assert fingerprint(toy) != before


def test_of_a_table_only_the_chosen_entries_count(toy):
    chosen, all_entries = fingerprint(toy, TABLE=["a"]), fingerprint(toy)
    replace(toy, "entries.py", "return 2", "return 3")
    replace(toy, "tools.py", '"b": "toy.entries:second"', '"b": "toy.entries:second", "c": "toy.entries:one"')
    assert fingerprint(toy, TABLE=["a"]) == chosen
    assert fingerprint(toy) != all_entries
    replace(toy, "entries.py", "return 1", "return 3")
    assert fingerprint(toy, TABLE=["a"]) != chosen
    with pytest.raises(ValueError, match=r"toy\.tools:TABLE has no entry 'z'; known: a, b, c"):
        fingerprint(toy, TABLE=["z"])


def test_a_definition_may_move(toy):
    before = fingerprint(toy)
    shutil.move(toy / "late.py", toy / "moved.py")
    for name in ("tools.py", "passed.py"):
        replace(toy, name, "toy.late", "toy.moved")
    assert fingerprint(toy) == before


def test_a_name_that_comes_to_mean_other_code_counts(toy):
    (toy / "twin.py").write_text("from toy.fast import speed\n\ndef late():\n    return speed()\n")
    (toy / "twin2.py").write_text("from toy.entries import one as speed\n\ndef late():\n    return speed()\n")
    replace(
        toy, "tools.py", "from toy.late import late", "from toy.twin import late\n    from toy.twin2 import late as b"
    )
    before = fingerprint(toy)
    replace(toy, "tools.py", "from toy.twin import late\n", "from toy.twin2 import late\n")
    assert fingerprint(toy) != before


def test_code_that_cannot_be_followed_is_refused(toy):
    replace(toy, "late.py", "from toy.shown import page", "from toy.shown import *")
    with pytest.raises(ValueError, match=r"toy.late imports \* from toy.shown"):
        fingerprint(toy)
    replace(toy, "late.py", "from toy.shown import *", "from .shown import page")
    with pytest.raises(ValueError, match=r"toy\.late imports from '\.shown'"):
        fingerprint(toy)
    replace(toy, "late.py", "from .shown import page", "from toy.shown import pages")
    replace(toy, "late.py", "return page()", "return pages()")
    with pytest.raises(ValueError, match=r"toy\.shown has no 'pages'"):
        fingerprint(toy)
    with pytest.raises(ValueError, match=r"toy\.nothing: there is no such module"):
        Fingerprints(toy).of("toy.nothing")


def test_a_script_counts_with_all_that_it_uses(toy, tmp_path):
    script = tmp_path / "draw.py"
    script.write_text("# %%\nfrom toy.entries import first\n\nfirst()\n")

    def of_script():
        prints = Fingerprints(toy)
        return prints.of(prints.add_script(script))

    before = of_script()
    replace(toy, "entries.py", "return 2", "return 3")
    assert of_script() == before
    replace(toy, "entries.py", "return 1", "return 3")
    assert of_script() != before
    before = of_script()
    script.write_text("# %%\nfrom toy.entries import first\n\nfirst()\nfirst()\n")
    assert of_script() != before


BESIDE = {
    "draw": "import shapes\nfrom colours import red\n\nprint(red(), shapes.circle())\n",
    "colours": "from toy.entries import first\n\ndef red():\n    return first()\n\ndef blue():\n    return 5\n",
    "shapes": "def circle():\n    from colours import red\n    return red()\n",
    "unused": "def nothing():\n    return 0\n",
}


@pytest.mark.parametrize(
    ("file", "old", "new", "counts"),
    [
        ("draw.py", "circle())", "circle(), 1)", True),
        ("colours.py", "return first()", "return first() + 1", True),
        ("colours.py", "return 5", "return 6", False),
        ("colours.py", "def red", "# A comment.\ndef red", False),
        ("colours.py", "def blue", "print(1)\ndef blue", True),
        ("shapes.py", "return red()", "return red() * 2", True),
        ("unused.py", "return 0", "return 1", False),
        ("toy/entries.py", "return 1", "return 3", True),
        ("toy/entries.py", "return 2", "return 3", False),
    ],
)
def test_modules_beside_a_script_count_by_what_it_uses_of_them(toy, tmp_path, file, old, new, counts):
    for name, text in BESIDE.items():
        (tmp_path / f"{name}.py").write_text(text)

    def of_script():
        prints = Fingerprints(toy)
        return prints.of(prints.add_script(tmp_path / "draw.py"))

    before = of_script()
    replace(tmp_path, file, old, new)
    assert (of_script() != before) is counts


def test_what_lies_beside_a_script_and_cannot_be_followed_is_refused(toy, tmp_path):
    script = tmp_path / "draw.py"
    for text, sentence in (
        ("from colours import *\n", r"imports \* from colours: must name what it uses"),
        ("import paints\n", r"imports the package 'paints' beside it: must be a module"),
    ):
        (tmp_path / "colours.py").write_text("RED = 1\n")
        (tmp_path / "paints").mkdir(exist_ok=True)
        (tmp_path / "paints/__init__.py").write_text("")
        script.write_text(text)
        with pytest.raises(ValueError, match=sentence):
            Fingerprints(toy).add_script(script)


def without_late(root):
    return Fingerprints(root, ["toy.late:late"]).of("toy.run")


def test_what_is_left_out_does_not_count_nor_what_only_it_reaches_but_who_calls_it_does(toy):
    replace(toy, "late.py", "return 7", "return words()\n\ndef words():\n    return 7")
    before = without_late(toy)
    replace(toy, "late.py", "return words()", "return words() + 0")
    replace(toy, "late.py", "return 7", "return 8")
    assert without_late(toy) == before
    # What others reach too.
    replace(toy, "fast.py", "return 9", "return 10")
    assert without_late(toy) != before
    replace(toy, "fast.py", "return 10", "return 9")
    replace(toy, "tools.py", " + late()", " + 2 * late()")
    assert without_late(toy) != before
    replace(toy, "tools.py", " + 2 * late()", " + late()")
    replace(toy, "tools.py", "from toy.late import late", "from toy.entries import one as late")
    assert without_late(toy) != before


def test_what_is_left_out_must_exist(toy):
    replace(toy, "late.py", "def late", "def renamed")
    with pytest.raises(ValueError, match=r"left out is toy\.late:late, which does not exist"):
        without_late(toy)


# The package itself.
OF_PACKAGE = Fingerprints(PACKAGE, code.LEFT_OUT)


def forbidden(tree):
    names = {"__subclasses__", "__init_subclass__", "globals", "exec", "eval", "iter_modules", "walk_packages"}
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    found |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    found |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return names & found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_package_looks_nothing_up_that_a_reader_of_its_names_would_miss(path):
    tree = ast.parse(path.read_text())
    # model.eval() and DataFrame.eval are methods; the built-in is a bare name.
    assert forbidden(tree) <= {"eval"}
    assert not [
        n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "eval"
    ]
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id == "import_module"]
    # rasterio is another package; everything else goes through the registry.
    assert not imports or path.name in ("registry.py", "rasters.py", "published_files.py")


def test_every_shipped_file_is_named_by_code_that_reads_it():
    unread = {"CREDITS.md"}
    text = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    text += "\n".join(path.read_text() for path in PACKAGE.rglob("*.html"))
    for path in PACKAGE.rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc", ".typed") and path.name not in unread:
            assert any(f"{path.name}{quote}" in text for quote in "'\""), path


def settings(variant, **changes):
    """One data set and one variant, so that whatever runs is the code of these."""
    return tiny.params(variants={"it": variant}, study__variants=["it"], study__seeds=[0, 1], **changes)


def file_of(module):
    path = PACKAGE.parent.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


LEFT_OUT = {tuple(reference.split(":")) for reference in code.LEFT_OUT}
# What definitions that are left out return; none of it is a number that is computed with.
HARMLESS = {"None", "str", "Path", "Table", "Wording", "argparse.Namespace", "Iterator[None]"}
# What each task returned, by its key: test_workers.py compares.
HANDED_ON = {
    ("presence_only.pipeline.workers", "run_side_by_side"),
    ("presence_only.pipeline.together", "run_together"),
}


@pytest.mark.parametrize(("module", "name"), sorted(LEFT_OUT - HANDED_ON))
def test_nothing_that_is_left_out_hands_a_number_to_what_is_computed(module, name):
    (found,) = [node for node in ast.parse(file_of(module).read_text()).body if getattr(node, "name", "") == name]
    functions = [node for node in ast.walk(found) if isinstance(node, ast.FunctionDef)]
    assert {ast.unparse(function.returns) for function in functions} <= HARMLESS


class Watch:
    """Every top-level definition of the package that is called while the block runs, but for what is left out."""

    def __init__(self):
        self.called, self.others, self.places = set(), set(), {}
        self.left_out = {(str(file_of(module)), name) for module, name in LEFT_OUT}

    def __enter__(self):
        sys.setprofile(self.note)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)

    def note(self, frame, event, _):
        # Every call of every library comes here.
        code = frame.f_code
        if event != "call" or code in self.called or code in self.others:
            return
        if not code.co_filename.startswith(str(PACKAGE)) or not code.co_filename.endswith(".py"):
            self.others.add(code)
            return
        above = frame
        while above is not None:
            # What importing a module calls is no part of the command.
            if above.f_code.co_name == "<module>" and above.f_code.co_filename.startswith(str(PACKAGE)):
                return
            if (above.f_code.co_filename, above.f_code.co_name) in self.left_out:
                return
            above = above.f_back
        self.called.add(code)

    def definitions(self):
        found = set()
        for file, line in {(c.co_filename, c.co_firstlineno) for c in self.called}:
            if file not in self.places:
                body = ast.parse(Path(file).read_text()).body
                self.places[file] = [node for node in body if hasattr(node, "name") or isinstance(node, ast.Assign)]
            parts = Path(file).relative_to(PACKAGE.parent).with_suffix("").parts
            module = ".".join(parts).removesuffix(".__init__")
            for node in self.places[file]:
                first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
                if first <= line <= node.end_lineno:
                    name = node.name if hasattr(node, "name") else node.targets[0].id
                    found.add((module, name))
        return found


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a stage in this process, tasks in turn; returns what it called of the package."""
    monkeypatch.chdir(tmp_path)

    def side_by_side(tasks, *_):
        for task in tasks:
            task.output.mkdir(parents=True)
        return {task.key: task.work(task.inputs, task.output, lambda *_: None) for task in tasks}

    def run(raw, stage, *arguments):
        YAML().dump(raw, tmp_path / "params.yaml")
        module = import_module(f"presence_only.pipeline.{stage}")
        monkeypatch.setattr(workers, "run_side_by_side", side_by_side)
        monkeypatch.setattr(sys, "argv", [stage, *arguments])
        with Watch() as watch:
            module.main()
        return watch.definitions()

    return run


def missed(stage, called, choice):
    """What a stage called, and its fingerprint does not cover."""
    reached = OF_PACKAGE.reached(f"presence_only.pipeline.{stage}", choice)
    assert len(called) > 10
    assert not reached & LEFT_OUT
    return called - reached - LEFT_OUT


VARIANTS = [
    *({"loss": name} for name in LOSSES if name != "multitask"),
    {"loss": "multitask", "encoder": {"environment_head": True, "habitat_head": True}, "habitat_weight": 0.5},
    {"loss": "bce", "pos_weight": True, "background_weight": 0.5},
    {"loss": "an_full", "penalty": "asl", "clip": 0.1},
    {"loss": "full_weighted", "penalty": "focal"},
    {"loss": "assume_negative", "neg_samples": 3, "spatial": "batch", "label_smoothing": 0.1},
    {"loss": "maxent", "members": [{}, {"loss": "bce", "encoder": {"kind": "additive", "expansion": "hinge"}}]},
    {"loss": "bce", "encoder": {"input": "both", "coordinates": "local", "expansion": "rank"}},
    *(
        {"loss": name, "training": {"loss_computation": "sampled", "sampled_species": 3}}
        for name in ("bce", "focal", "an_full", "softmax")
    ),
]


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """A data set with covariates, as training and evaluation read it."""
    folder = tmp_path_factory.mktemp("generated")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        YAML().dump(settings({"loss": "bce"}), folder / "params.yaml")
        patch.setattr(sys, "argv", ["generate", "--dataset", "virtual"])
        import_module("presence_only.pipeline.generate").main()
    return folder


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: "-".join(str(x) for x in v.values())[:40])
def test_no_training_runs_code_outside_of_its_fingerprint(variant, run, generated, tmp_path, monkeypatch):
    monkeypatch.setattr(loss_computation, "CHUNKS_PAY_FROM", 1)
    shutil.copytree(generated / "data", tmp_path / "data")
    called = run(settings(variant), "train", "--dataset", "virtual", "--variant", "it")
    assert ("presence_only.training.fit", "fit") in called
    assert not missed("train", called, code._training(variant, {}))


@pytest.mark.parametrize("variant", VARIANTS[::4], ids=lambda v: "-".join(str(x) for x in v.values())[:40])
def test_no_trial_of_a_search_runs_code_outside_of_its_fingerprint(variant, generated):
    made = Tree.parse(settings(variant), "").variant("it")
    plan = objective.Plan(made, HeldOutSettings(folds=3, used=2), "boyce", 0, 2, {})
    inputs = {"training": generated / "data/virtual/training"}
    with Watch() as watch:
        outcome = objective.run_trial(plan, inputs, Path(), lambda *_: None)
    assert outcome.state == objective.FINISHED
    called = watch.definitions()
    assert {("presence_only.search.judge", "judge"), ("presence_only.training.fit", "fit")} <= called
    reached = OF_PACKAGE.reached("presence_only.search.objective", code._training(variant, {}), ["run_trial"])
    assert not called - reached - LEFT_OUT


def test_the_fingerprint_of_trials_is_that_of_what_is_tried():
    one, other = {"loss": "bce"}, {"loss": "an_full"}
    assert code.of_trials(OF_PACKAGE, [one], {}) == code.of_trials(OF_PACKAGE, [one, {**one, "pos_weight": True}], {})
    different = [[one], [other], [one, {**one, "encoder": {"expansion": "hinge"}}], [{**other, "penalty": "asl"}]]
    assert len({code.of_trials(OF_PACKAGE, tried, {}) for tried in different}) == 4


def unwatched(function):
    """The function without the watch, which makes slow work of many calls slower by far."""

    def call(*arguments, **options):
        watch = sys.getprofile()
        sys.setprofile(None)
        try:
            return function(*arguments, **options)
        finally:
            sys.setprofile(watch)

    return call


def test_no_other_stage_runs_code_outside_of_its_fingerprint(run, monkeypatch):
    # Drawing what was built calls matplotlib alone.
    monkeypatch.setattr(Figure, "savefig", unwatched(Figure.savefig))
    raw = settings({"loss": "asl"})
    raw["variants"]["other"] = {"loss": "an_full"}
    raw["study"]["variants"] = ["it", "other"]
    cells = [("--dataset", "virtual", "--variant", name) for name in raw["study"]["variants"]]
    called = run(raw, "generate", "--dataset", "virtual")
    assert ("presence_only.datasets.virtual.dataset", "build") in called
    assert not missed("generate", called, {**code.NONE, code.DATASETS: ["virtual"]})
    for arguments in cells:
        run(raw, "train", *arguments)
    for stage in ("evaluate", "compare", "figures"):
        for arguments in cells if stage == "evaluate" else [()]:
            assert not missed(stage, run(raw, stage, *arguments), code.NONE | {code.EXPANSIONS: ["none"]})
    choice = {
        code.DATASETS: ["virtual"],
        code.LOSSES: ["an_full", "asl"],
        code.PENALTIES: ["bce"],
        code.EXPANSIONS: ["none"],
    }
    assert not missed("settings", run(raw, "settings"), choice)
    assert not missed("report", run(raw, "report"), code.NONE)
