"""The report's stage on a study of a few species."""

import re

import numpy as np
import polars as pl
import pytest
from ruamel.yaml import YAML
from support import tiny
from support.report_study import draw_nothing

from presence_only.common.atomic_files import write_json
from presence_only.evaluation.metrics import evaluate
from presence_only.model.files import load_model, save_model
from presence_only.pipeline import compare as compare_stage
from presence_only.pipeline import report
from presence_only.statistics.comparison import CellResult, compare
from presence_only.study.params import load_params
from presence_only.study.paths import COMPARISON, PAIRS, REPORT, CellFiles, DatasetFiles
from presence_only.study.results import MissingResultsError, StudyResults

SEEDS, VARIANTS = (0, 1), ("bce", "an_full")


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The files that a study of untrained encoders would have."""
    monkeypatch.chdir(tmp_path)
    YAML().dump(tiny.params(), tmp_path / "params.yaml")
    data, files = tiny.dataset(species=5), DatasetFiles("virtual")
    data.training.save(files.training)
    data.save_survey(files.survey)
    write_json(files.summary, {"rows": 60, "survey_sites": 50})
    cells = [write_cell(CellFiles("virtual", variant), data, i) for i, variant in enumerate(VARIANTS)]
    compare(cells, resamples=20).write_csv(COMPARISON)
    compare_stage.all_pairs(cells).write_csv(PAIRS)
    return data


def write_cell(cell, data, offset):
    found, sites = [], []
    for seed in SEEDS:
        model = tiny.model(data, seed=10 * offset + seed)
        save_model(model, cell.encoder(seed))
        write_json(cell.history(seed), {"loss": [0.7, 0.6 - seed / 10], "steps": 4})
        result = evaluate(model.predict(data.survey.sites_M2, data.survey.covariates_MC), data.survey.truth)
        found.append(pl.DataFrame({"seed": seed, "species": data.survey.species} | result.per_species))
        sites.append(pl.DataFrame({"seed": seed} | result.per_site))
    for path, tables in ((cell.per_species, found), (cell.per_site, sites)):
        path.parent.mkdir(parents=True, exist_ok=True)
        pl.concat(tables).write_parquet(path)
    return CellResult(
        dataset=cell.dataset,
        variant=cell.variant,
        seeds=SEEDS,
        per_species={"species_map": np.stack([table["ap"].to_numpy() for table in found])},
        per_site={"sample_map": np.stack([table["ap"].to_numpy() for table in sites])},
        n_species=5,
        n_sites=50,
    )


def test_it_writes_the_page_of_what_is_there(study, monkeypatch):
    draw_nothing(monkeypatch)
    report.main()
    page = REPORT.read_text()
    for mean in pl.read_csv(COMPARISON)["mean"]:
        assert f"<td>{mean:.4f}</td>" in page
    for text in (
        "bce",
        "an_full",
        "Range maps",
        "By observer effort",
        "loss bce",
        "encoder width",
        "seeds",
        "species_2",
    ):
        assert text in page
    assert "Precision, recall" not in page
    assert not re.search("(src|href)=.?http", page)


def test_what_it_reads(study):
    cell = CellFiles("virtual", "bce")
    cell.curves.parent.mkdir(parents=True)
    row = {"seed": 0, "curve": "precision_recall", "x": 0.5, "y": 0.25, "n": 5}
    pl.DataFrame([row]).write_parquet(cell.curves)
    found = report.dataset_content(StudyResults(), "virtual")
    assert found.curves["precision_recall"].keys() == {"bce"}
    assert found.curves["calibration"] == {}
    assert found.pairs == StudyResults().pairs("virtual")
    assert found.losses["bce"] == pytest.approx([0.7, 0.55])
    assert found.probes == {}
    assert found.records_png is None
    np.testing.assert_array_equal(found.records_S, study.training.records.records_per_species())
    assert found.effort_M.sum() >= 0
    assert [set(own.scores) for own in found.maps] == [set(VARIANTS)] * len(found.maps)
    one = found.maps[0]
    s = study.survey.species.index(one.species)
    np.testing.assert_array_equal(one.truth_M, study.survey.truth.matrix()[:, s])
    model = load_model(cell.encoder(0))
    logits = model.predict(study.survey.sites_M2, study.survey.covariates_MC)[:, s]
    np.testing.assert_allclose(one.scores["bce"], 1 / (1 + np.exp(-logits)), rtol=1e-5)
    pl.DataFrame([row]).write_parquet(CellFiles("virtual", "an_full").curves)
    again = report.dataset_content(StudyResults(), "virtual")
    assert again.curves["precision_recall"].keys() == set(VARIANTS)
    PAIRS.unlink()
    with pytest.raises(MissingResultsError, match=r"`results/pairs\.csv` is not there; `make study` makes it"):
        report.dataset_content(StudyResults(), "virtual")


def test_settings_in_words_and_losses_alike(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    variants = {
        "bce": {"loss": "bce", "training": {"epochs": 5}},
        "an_full": {"loss": "an_full", "pos_lambda": 16.0},
        "an": {"loss": "assume_negative", "penalty": "asl", "clip": 0.2},
        "asl": {"loss": "asl", "gamma_pos": 0.0, "gamma_neg": 2.0, "clip": 0.2},
        "slds": {"loss": "an_slds"},
    }
    settings = tiny.params(variants=variants, study__variants=list(variants))
    YAML().dump(settings, tmp_path / "params.yaml")
    params = load_params()
    words = report.settings_in_words(params.variants["bce"], params)
    assert words.startswith("loss bce")
    assert words.endswith("epochs 5")
    assert "width" not in words
    an = report.settings_in_words(params.variants["an"], params)
    assert "clip 0.2" in an
    assert "alpha" not in an
    assert "clip" not in report.settings_in_words(params.variants["slds"], params)
    assert "gamma_neg 2.0" in report.settings_in_words(params.variants["asl"], params)
    drawn = report.penalties(params)
    assert "an, asl" in drawn
    assert any(name.startswith("bce") for name in drawn)
    assert report.common_settings(params)["seeds"] == "0, 1"
