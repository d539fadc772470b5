"""Surveys of any file made into the truth that a model is scored by, with its coverage counted.

A species of training is, at a site of the survey,

- *present*, where it was found;
- *absent*, where it was looked for and not found: its group is one of the survey's groups, or its absence is written;
- *not surveyed*, elsewhere.

Several surveys of one site, or with weeks of one site and week, are merged unless the user asks to keep them: a species
is present if one of them found it, and absent if one looked for it and none found it. A model gives one site one
score, so that repeated visits would count a site several times, and contradict each other wherever a visit overlooked
a species. Surveys that bring covariates of their own are merged only if these are equal too.

A species that was found wherever it was looked for counts as not surveyed: any model would rank it perfectly.

Shape legend: M survey sites, S species, C covariates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from presence_only.common.errors import DataError
from presence_only.data.sites import layers_defined, sites_of, weeks_of
from presence_only.data.survey import Survey
from presence_only.geography.rasters import Environment
from presence_only.surveys.rows import SurveyRows
from presence_only.surveys.sites import SurveySites, covariates_at
from presence_only.surveys.truth import LookedFor, match_names

Visits = Literal["merge", "keep"]
_EXAMPLES = 3


@dataclass(frozen=True, eq=False)
class MadeSurvey:
    """A survey, and what was counted on the way.

    Args:
        filters: The funnel of surveys: each rule with those that remained after it.
        facts: How much of the survey and of the training vocabulary the truth covers.
        notes: Sentences that whoever reads the results must know.
    """

    survey: Survey
    filters: tuple[tuple[str, int], ...]
    facts: dict[str, int | float]
    notes: tuple[str, ...]


def survey_of_rows(
    rows: SurveyRows,
    species: Sequence[str],
    *,
    environment: Environment | None = None,
    covariate_names: tuple[str, ...] | None = None,
    weeks: bool = False,
    drop_undefined: bool = False,
    repeated_visits: Visits = "merge",
    sites: int | None = None,
    generator: np.random.Generator | None = None,
) -> MadeSurvey:
    """The truth of a training vocabulary at the places of surveys.

    Args:
        rows: What was surveyed.
        species: The species of training, S of them, which the survey is asked about; a survey's name is found among
            them whatever its case.
        environment: Where the sites' covariates come from, unless the surveys bring their own.
        covariate_names: Those of training, in their order; None: those of the environment.
        weeks: Whether a model reads the week of the year: every survey then needs one.
        drop_undefined: Leave out sites where a layer is undefined.
        repeated_visits: Whether surveys of one site, or of one site and week, are merged or kept.
        sites: At most so many sites are drawn, all alike; None: all.
        generator: Draws the sites; needed where ``sites`` is given.

    Returns:
        The survey, its sites in the order of the file; counts of the surveys that each rule left; coverage.

    Raises:
        DataError: If the survey and training have no species in common, weeks or covariates are missing, no site is
            left, or no species is present at one site and absent from another.
    """
    names = environment.names if covariate_names is None and environment is not None else (covariate_names or ())
    match = match_names(rows.species, species)
    found_S = {place for place in match.values() if place >= 0}
    if not found_S:
        raise DataError(
            f"evaluation: none of the {len(rows.species):,} species of the survey ({_some(rows.species)}) is one of "
            f"the {len(species):,} species of training ({_some(species)}); both must use the same names"
        )
    funnel = SurveySites(rows, weeks)
    looked = LookedFor.of(rows, match, funnel.table["survey"])
    if repeated_visits == "merge":
        funnel.merge(weeks)
    funnel.keep_sites(looked.useful(), "a species of training was looked for")
    n_found = funnel.n_sites
    if sites is not None and n_found > sites:
        assert generator is not None
        funnel.draw(sites, generator)
    covariates_MC = covariates_at(funnel.site_table(), environment, names)
    if drop_undefined:
        defined_M = layers_defined(covariates_MC)
        if not defined_M.any():
            raise DataError(
                "sea: drop leaves no site to evaluate: at every site of the survey some layer is undefined; "
                "give layers that cover the survey, or sea: keep or nearest"
            )
        funnel.keep_of_sites(defined_M, "all layers defined (sea: drop)")
        covariates_MC = covariates_MC[defined_M]
    table = funnel.site_table()
    truth, present_S = looked.truth(funnel.site_V, len(table), len(species))
    survey = Survey(sites_of(table), covariates_MC, truth, tuple(species), names, weeks_of(table) if weeks else None)
    facts = dict(rows.facts) | {"evaluation_sites_found": n_found, "survey_visits_merged": funnel.n_merged}
    facts |= _coverage(match, survey, present_S)
    return MadeSurvey(survey, tuple(funnel.filters), facts, (*rows.notes, *_notes(match, species, facts)))


def _coverage(match: Mapping[str, int], survey: Survey, present_S: NDArray[np.bool_]) -> dict[str, int | float]:
    """How much of the survey and of training the truth covers.

    Args:
        match: Place among the species of training of every name of the survey, -1 for none.
        survey: The survey.
        present_S: Whether a species was found at a site.
    """
    scored_S, surveyed_S = survey.truth.presences_per_species(), survey.truth.surveyed_per_species()
    never_absent_S = present_S & (scored_S == 0)
    known = [place for place in match.values() if place >= 0]
    return {
        "survey_species": len(match),
        "survey_species_unknown_to_training": len(match) - len(known),
        "survey_species_named_twice": len(known) - len(set(known)),
        "survey_presences": int(scored_S.sum()),
        "survey_absences": int(surveyed_S.sum() - scored_S.sum()),
        "training_species_scored": int((scored_S > 0).sum()),
        "training_species_not_looked_for": int(((surveyed_S == 0) & ~never_absent_S).sum()),
        "training_species_never_found": int(((surveyed_S > 0) & (scored_S == 0)).sum()),
        "species_never_absent": int(never_absent_S.sum()),
    }


def _notes(match: Mapping[str, int], species: Sequence[str], facts: Mapping[str, int | float]) -> tuple[str, ...]:
    """What whoever reads the results must know of the coverage."""
    unknown = [name for name, place in match.items() if place < 0]
    notes = [
        f"The survey scores {facts['training_species_scored']:,} of the {len(species):,} species of training: "
        f"{facts['training_species_not_looked_for']:,} were not looked for, {facts['training_species_never_found']:,} "
        f"were never found, and {facts['species_never_absent']:,} were found wherever they were looked for."
    ]
    if unknown:
        notes.append(
            f"{len(unknown):,} of the {len(match):,} species of the survey have no training record left, such as "
            f"{_some(unknown)}; they are not scored."
        )
    # Training tells species of one name apart by a key in brackets.
    homonyms = sorted({name.rsplit(" (", 1)[0] for name in species if name.endswith(")")} & set(unknown))
    if homonyms:
        notes.append(
            f"Training has several species of the name {homonyms[0]!r} ({len(homonyms):,} such names), told apart by "
            "their keys in brackets; the survey must name one with its key to score it."
        )
    return tuple(notes)


def _some(names: Sequence[str]) -> str:
    """The first names of a list."""
    return ", ".join(map(repr, names[:_EXAMPLES]))
