"""SINR's data set: iNaturalist's records of 47,000 species, and four evaluations, from SINR's own folder.

Source: Cole et al. (2023), https://arxiv.org/abs/2306.02564; files and rules as in
https://github.com/elijahcole/sinr. ``docs/sinr.md`` says how to get the files and what to run.

Shape legend: N records, T taxa of an evaluation, M sites, S species of the vocabulary.

- A species is in the vocabulary if it has a training record after the cap; vocabulary and classes are
  in ascending order of iNaturalist's taxon number.
- Rows, caps, auxiliary species and the split of S&T are drawn as SINR draws them: same rows in the
  same order, same generators and seeds, so that the same records and sites come out.
- An evaluated species without a training record cannot be scored. SINR leaves it out of the mean; so
  does this module, which counts it in the facts and says so in the notes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from presence_only.common.arrays import Floats, Ints
from presence_only.common.errors import DataError
from presence_only.common.settings import Need
from presence_only.data.dataset import Dataset, DatasetKind, Further
from presence_only.data.geo_prior import GeoPriorImages
from presence_only.data.sites import sites_of, week_of
from presence_only.data.survey import Survey
from presence_only.datasets.sinr.country_layers import country_layers
from presence_only.datasets.sinr.expert_maps import CoveredMaps, Split, split_sites
from presence_only.datasets.sinr.published_files import (
    ExpertMaps,
    SinrFolder,
    read_geo_prior,
    read_iucn,
    read_names,
    read_records,
    read_snt,
    read_subset,
    taxon_names,
)
from presence_only.occurrences.assemble import assemble_training
from presence_only.occurrences.assembly_settings import AssemblySettings
from presence_only.occurrences.random_cap import at_most
from presence_only.occurrences.records import RecordTable

Maps = Literal["snt", "iucn"]
Evaluation = Literal["snt", "iucn", "geo_prior", "geo_feature"]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Known = Mapping[int, str]
Covariates = Callable[[Floats], Floats]

_TITLES = {"snt": "S&T", "iucn": "IUCN"}


class DatasetSettings(AssemblySettings, DatasetKind):
    """Which of SINR's records train, and what the model is scored by.

    Args:
        root: SINR's folder ``data``, or the folder that holds it; ``~`` is the home folder.
        subset: The species that train: ``all``; ``evaluated``, those of the expert maps in use; or
            ``snt_birds``, SINR's list of that name in ``taxa_subsets.json``.
        auxiliary_species: How many further species, drawn alike, are added to a subset.
        auxiliary_seed: Of that draw.
        cap: At most so many records a species, drawn alike; 0 for all.
        cap_seed: Of that draw.
        survey: The expert maps that make the survey: ``snt``, eBird Status and Trends, or ``iucn``.
        further: The other evaluations; without it, all whose files are there.
        split: Sites of S&T: each species' half for tuning, ``val``, the other half, ``test``, or ``all``.
        split_seed: Of those halves.
    """

    needs: ClassVar[Mapping[str, Need]] = {
        "auxiliary_seed": Need(lambda sinr: sinr.auxiliary_species, "auxiliary_species is more than 0"),
        "cap_seed": Need(lambda sinr: sinr.cap, "cap is more than 0"),
        "split": Need(lambda sinr: sinr.scores_by("snt"), "survey or further has 'snt'"),
        "split_seed": Need(
            lambda sinr: sinr.split != "all" and sinr.scores_by("snt"),
            "split is not 'all' and survey or further has 'snt'",
        ),
    }

    kind: Literal["sinr"]
    root: str
    subset: Literal["all", "evaluated", "snt_birds"] = "all"
    auxiliary_species: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    auxiliary_seed: Seed = 8099
    cap: Annotated[int, Field(ge=0, le=1_000_000_000)] = 1000
    cap_seed: Seed = 9472
    survey: Maps = "snt"
    further: Annotated[tuple[Evaluation, ...], Field(strict=False)] | None = None
    split: Split = "test"
    split_seed: Seed = 7499

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.auxiliary_species and self.subset == "all":
            raise ValueError("settings with a subset of species, or without auxiliary_species, as all train already")
        named = (self.survey, *(self.further or ()))
        if len(set(named)) != len(named):
            raise ValueError(f"settings with each evaluation once, as survey or in further; found {', '.join(named)}")
        return self

    def scores_by(self, maps: str) -> bool:
        """Whether an evaluation may be among those that score: ``further`` left out takes all whose files are there."""
        return maps == self.survey or self.further is None or maps in self.further

    def build(self) -> Dataset:
        """Read the records and evaluations; see :func:`build`."""
        return build(self)


def build(settings: DatasetSettings) -> Dataset:
    """Read SINR's records and evaluations.

    Returns:
        Species by their Latin names, in the order of their taxon numbers, all of one target group,
        for the files name none; rows, covariates and background by the settings of all records. S&T
        is known at other sites for every species; IUCN's maps say absent wherever they do not say
        present. Facts count the evaluated species, and those of them that the vocabulary covers.

    Raises:
        DataError: If a file is missing, damaged or not of its form, no record is left, or the
            vocabulary covers no species of an expert map.
    """
    folder = SinrFolder.under(settings.root)
    known = read_names(folder.taxa)
    further = _further(settings, folder)
    maps = {
        name: read_snt(folder.snt) if name == "snt" else read_iucn(folder.iucn)
        for name in (settings.survey, *further)
        if name in get_args(Maps)
    }
    assembled = assemble_training(_records(settings, folder, known, maps), settings)
    training = assembled.training
    species, covariate_names = training.records.species, training.records.covariate_names
    covariates = settings.covariate_source()

    facts: dict[str, int | float] = dict(assembled.facts)
    notes: list[str] = [*assembled.notes]
    surveys: dict[str, Survey] = {}
    for name, experts in maps.items():
        chosen = split_sites(experts, settings.split, settings.split_seed) if name == "snt" else experts
        covered = CoveredMaps.of(chosen, taxon_names(known, experts.taxon_T), species)
        facts |= covered.facts(name)
        notes += covered.notes(_TITLES[name])
        if covered.labels:
            surveys[name] = covered.survey(species, covariates, covariate_names, whole=name == settings.survey)
    if settings.survey not in surveys:
        n_species = len(maps[settings.survey].taxon_T)
        raise DataError(f"none of the {n_species} species of {_TITLES[settings.survey]} has a training record")

    tasks: dict[str, Further] = {name: surveys[name] for name in further if name in surveys}
    if "geo_prior" in further:
        tasks["geo_prior"] = prior = _geo_prior(folder, known, covariates)
        facts["geo_prior_classes"] = len(prior.classes)
        facts["geo_prior_classes_covered"] = len(set(prior.classes) & set(species))
    if "geo_feature" in further:
        tasks["geo_feature"] = country_layers(folder, covariates)
    return Dataset(training, surveys[settings.survey], assembled.filters, tuple(notes), facts, tasks, assembled.added)


def auxiliary_taxa(candidates: Ints, chosen: Ints, n: int, generator: np.random.Generator) -> Ints:
    """``n`` of the candidates that are not chosen yet, drawn alike, as SINR draws them.

    Raises:
        DataError: If there are fewer than ``n``.
    """
    left = np.setdiff1d(candidates, chosen)
    if n > len(left):
        raise DataError(f"auxiliary_species = {n}: only {len(left)} species are not in the subset already")
    drawn: Ints = left[generator.permutation(len(left))[:n]]
    return drawn


def _further(settings: DatasetSettings, folder: SinrFolder) -> tuple[str, ...]:
    """The evaluations beside the survey."""
    if settings.further is not None:
        return settings.further
    return tuple(name for name in get_args(Evaluation) if name != settings.survey and folder.has(name))


def _records(settings: DatasetSettings, folder: SinrFolder, known: Known, maps: dict[str, ExpertMaps]) -> RecordTable:
    """The records that train, by the rules of SINR, in the order of its file."""
    table, filters = read_records(folder.records, dates=settings.weeks)
    wanted = _wanted(settings, folder, known, maps)
    if wanted is not None:
        table = table.filter(np.isin(table["taxon"].to_numpy(), wanted))
        filters += ((f"species: {settings.subset}", len(table)),)
    if settings.cap:
        # SINR's own generator and seed, here and below, so that its records come out.
        generator = np.random.default_rng(settings.cap_seed)
        table = table.filter(at_most(table["taxon"].to_numpy(), settings.cap, generator))
        filters += ((f"at most {settings.cap} a species", len(table)),)
    taxon_S, species_N = np.unique(table["taxon"].to_numpy(), return_inverse=True)
    week_N = week_of(table["month"].to_numpy(), table["day"].to_numpy()) if settings.weeks else None
    groups = ["all"] * len(taxon_S)
    return RecordTable.of(sites_of(table), species_N, taxon_names(known, taxon_S), groups, week_N, filters)


def _wanted(
    settings: DatasetSettings, folder: SinrFolder, known: Known, maps: dict[str, ExpertMaps]
) -> NDArray[np.int64] | None:
    """Taxa that train; None for all."""
    if settings.subset == "all":
        return None
    if settings.subset == "evaluated":
        chosen = np.unique(np.concatenate([experts.taxon_T for experts in maps.values()]))
    else:
        chosen = read_subset(folder.subsets, settings.subset)
    generator = np.random.default_rng(settings.auxiliary_seed)
    candidates = np.array(list(known))
    return np.concatenate([chosen, auxiliary_taxa(candidates, chosen, settings.auxiliary_species, generator)])


def _geo_prior(folder: SinrFolder, known: Known, covariates: Covariates) -> GeoPriorImages:
    """The classifier's answers; its classes are called as the vocabulary's species are."""
    images = read_geo_prior(folder.predictions, folder.images)
    try:
        return GeoPriorImages(
            sites_M2=images.sites_M2,
            covariates_MC=covariates(images.sites_M2),
            candidates_MK=images.candidates_MK,
            probabilities_MK=images.probabilities_MK,
            label_M=images.label_M,
            classes=tuple(taxon_names(known, images.taxon_V)),
        )
    except DataError as error:
        raise DataError(f"{folder.predictions}: {error}") from None
