"""What every stage does with a mistake, and the small computations of the stages."""

import numpy as np
import pytest
import tiny

from presence_only.nouns import DataError
from presence_only.settings import SettingsError
from presence_only.stages import show
from presence_only.stages._cell import run_stage
from presence_only.stages.evaluate import summarise
from presence_only.stages.generate import summarise as summarise_dataset
from presence_only.training import TrainingError


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (SettingsError("unknown loss 'bcee'"), "error: unknown loss 'bcee'\n"),
        (DataError("record 3 has longitude 200"), "error: record 3 has longitude 200\n"),
        (TrainingError("the training loss is nan"), "error: the training loss is nan\n"),
        (
            FileNotFoundError(2, "no such file", "data/x"),
            "error: data/x is missing; run `dvc repro`, which makes what is absent\n",
        ),
    ],
)
def test_a_mistake_of_the_user_is_one_sentence_and_exit_code_1(error, sentence, capsys):
    def main():
        raise error

    with pytest.raises(SystemExit) as stopped:
        run_stage(main)
    assert stopped.value.code == 1
    assert capsys.readouterr().err == sentence


def test_a_mistake_of_ours_keeps_its_traceback():
    def main():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_stage(main)


def test_metrics_are_means_over_seeds_and_keep_every_seed():
    counts = {"n_species": 5, "n_species_without_presences": 1, "n_sites": 9}
    first = {"species_map": 0.2, "sample_map": 0.3, "auc_roc": 0.6} | counts
    second = {"species_map": 0.4, "sample_map": 0.5, "auc_roc": 0.8} | counts
    summary = summarise([first, second], (7, 8))
    assert summary["species_map"] == pytest.approx(0.3)
    assert summary["n_species"] == 5
    assert summary["seed_8"] == {"species_map": 0.4, "sample_map": 0.5, "auc_roc": 0.8}


def test_a_data_set_is_summed_up():
    dataset = tiny.dataset(rows=50, species=5, per_row=2)
    dataset.survey.truth_MS[:10] = -1
    dataset.survey.truth_MS[:, 0] = 0
    summary = summarise_dataset(dataset)
    assert (summary["species"], summary["rows"], summary["records"]) == (5, 50, 100)
    assert summary["records_per_species_max"] == np.bincount(dataset.training.records.species_P).max()
    assert summary["surveyed_share"] == pytest.approx((40 * 5 + 10) / 250)
    assert summary["species_without_presences"] == 1
    assert summary["prevalence_min"] == 0


def test_an_empty_table_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results/comparison.csv").touch()
    with pytest.raises(DataError, match=r"results/comparison\.csv is empty; run `dvc repro`, which writes it anew"):
        show.main()
