"""Paths of all files of a study, relative to the folder of its params.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from presence_only.training.seed_files import ENCODER, HISTORY

CODE = Path("code.yaml")
COMPARISON = Path("results/comparison.csv")
PAIRS = Path("results/pairs.csv")
# Over all data sets; without rows where a study has fewer than three.
ACROSS = Path("results/across.csv")
ACROSS_PAIRS = Path("results/across_pairs.csv")
METRICS_OF_STUDY = Path("results/metrics.json")
SETTINGS = Path("results/settings.yaml")
DESCRIPTION = Path("results/description/settings.json")
PENALTIES = Path("results/description/penalties.parquet")
# The main figure of every data set, which is in git; and all others, which are not.
FIGURES, MORE_FIGURES = Path("results/figures"), Path("results/more_figures")
REPORT = Path("results/report.html")


def seed_folder(seed: int) -> str:
    """The name of a seed's folder among those of its cell."""
    return f"seed_{seed}"


def added_map(dataset: str) -> Path:
    """A map of the presences that label propagation added to a data set, where it added some."""
    return MORE_FIGURES / f"added_{dataset}.png"


@dataclass(frozen=True)
class DatasetFiles:
    """The files of one data set."""

    name: str

    @property
    def training(self) -> Path:
        """Presence records and background: all that training may open."""
        return Path("data", self.name, "training")

    @property
    def survey(self) -> Path:
        """The truth: no stage that trains or chooses opens it; the evaluation scores by it, the report draws it."""
        return Path("data", self.name, "survey")

    @property
    def summary(self) -> Path:
        """Counts, prevalence and settings."""
        return Path("results/datasets", f"{self.name}.json")

    @property
    def map(self) -> Path:
        """A map of the records."""
        return MORE_FIGURES / f"records_{self.name}.png"


@dataclass(frozen=True)
class CellFiles:
    """The files of one cell: a data set under a variant."""

    dataset: str
    variant: str

    @property
    def runs(self) -> Path:
        """One folder a seed; equal settings give equal bytes."""
        return Path("runs", self.dataset, self.variant)

    def seed(self, seed: int) -> Path:
        """What training one seed makes: its encoder and its history."""
        return self.runs / seed_folder(seed)

    def encoder(self, seed: int) -> Path:
        """Weights of one seed."""
        return self.seed(seed) / ENCODER

    def history(self, seed: int) -> Path:
        """Loss per epoch of one seed."""
        return self.seed(seed) / HISTORY

    @property
    def timing(self) -> Path:
        """Seconds per seed. No output of a stage, for no two runs take the same time and dvc.lock should."""
        return Path("timing", self.dataset, f"{self.variant}.json")

    @property
    def metrics(self) -> Path:
        """Means over seeds, and the value of every seed."""
        return Path("results/metrics", self.dataset, f"{self.variant}.json")

    @property
    def per_species(self) -> Path:
        """One row per seed and species."""
        return Path("results/per_species", self.dataset, f"{self.variant}.parquet")

    @property
    def per_site(self) -> Path:
        """One row per seed and survey site."""
        return Path("results/per_site", self.dataset, f"{self.variant}.parquet")

    @property
    def curves(self) -> Path:
        """Precision against recall, and share present against score: one row per seed and point."""
        return Path("results/curves", self.dataset, f"{self.variant}.parquet")

    @property
    def maps(self) -> Path:
        """Scores of the species that the report maps: one row per species and survey site."""
        return Path("results/maps", self.dataset, f"{self.variant}.parquet")


@dataclass(frozen=True)
class SearchFiles:
    """The files of one search, of the settings of a variant on a data set; all but the journal are for git."""

    dataset: str
    variant: str

    @property
    def folder(self) -> Path:
        """Everything that the search leaves."""
        return Path("searches", self.dataset, self.variant)

    @property
    def journal(self) -> Path:
        """Every trial that has ended, by which an interrupted search goes on."""
        return self.folder / "journal.log"

    @property
    def trials(self) -> Path:
        """One row per trial."""
        return self.folder / "trials.csv"

    @property
    def best(self) -> Path:
        """The best settings, and what they were chosen by."""
        return self.folder / "best.yaml"

    @property
    def figure(self) -> Path:
        """The best value so far against trials and against CPU time."""
        return self.folder / "best_so_far.png"
