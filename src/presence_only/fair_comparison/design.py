"""Design of a fair comparison: which worlds tune, which worlds score, and what is trained in each.

design.yaml has the groups of a study's params.yaml, and the group ``fair``. A *scenario* is an entry of ``datasets``,
such as few records per species. Its worlds differ in nothing but their seed. The settings of every variant are searched
for in one world of a scenario, by held-out presence records alone, and scored in other worlds, by their truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, field_validator

from presence_only.common.quoting import quoted
from presence_only.common.settings import Need, Settings, SettingsError, known_name
from presence_only.common.yaml_files import read_yaml
from presence_only.data.dataset import DatasetKind
from presence_only.search.criteria import CRITERIA
from presence_only.search.settings import SearchSettings
from presence_only.search.space import Searched, check_search
from presence_only.study.dataset_settings import inherited_dataset
from presence_only.study.params import Tree
from presence_only.study.settings import Name, Seed
from presence_only.training.settings import MOST_STEPS

DESIGN = Path("design.yaml")
# Which settings a run has: those that the search chose, those of the file, or the latter with another length.
TUNED, DEFAULT = "tuned", "default"


class FairSettings(Settings):
    """The group ``fair`` of design.yaml.

    Args:
        tuning_seed: World seed of the world in which settings are searched for.
        world_seeds: World seeds of the worlds that score, none of which tunes.
        training_seed: Of every run that is scored.
        chosen_by: The criterion that chooses among the trials of a search; None: the one that guided it. A name of
            ``presence_only.search.criteria.CRITERIA``.
        tuned_in: Scenario to the scenario whose search it takes its settings from; one that is left out is searched
            itself.
        default_in: Scenarios in which the settings of the file are scored beside the tuned ones.
        lengths: Optimizer steps of further runs with the settings of the file, for curves of quality against cost.
        lengths_in: Scenario of these runs; None: there are none.
        lengths_worlds: In how many worlds they are made.
        variants_in: Scenario to the variants that are scored there; one that is left out scores all.
        searched_too: Scenario to variants whose settings are searched for there as well, for the regret of criteria
            alone: no run takes them.
        unseen: Settings of the worlds that score and not of those that tune, such as cells whose records are held out
            as a further survey.
        titles: Scenario to its title in figures; one that is left out has its name.
        gains: Scenario to another of the same worlds, whose difference from it is told; see
            ``presence_only.fair_comparison.answers.scenario_gains``.
    """

    needs: ClassVar[Mapping[str, Need]] = {
        "lengths": Need(lambda fair: fair.lengths_in is not None, "lengths_in names a scenario"),
        "lengths_in": Need(lambda fair: fair.lengths, "lengths has some"),
        "lengths_worlds": Need(
            lambda fair: fair.lengths and fair.lengths_in is not None, "lengths and lengths_in are given"
        ),
    }

    tuning_seed: Seed
    world_seeds: Annotated[tuple[Seed, ...], Field(strict=False, min_length=1, max_length=10_000)]
    training_seed: Seed = 0
    chosen_by: str | None = None
    tuned_in: dict[Name, Name] = Field(default={})
    default_in: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    lengths: Annotated[tuple[Annotated[int, Field(ge=1, le=MOST_STEPS)], ...], Field(strict=False)] = ()
    lengths_in: Name | None = None
    lengths_worlds: Annotated[int, Field(ge=1, le=10_000)] = 1
    variants_in: dict[Name, Annotated[tuple[Name, ...], Field(strict=False, min_length=1)]] = Field(default={})
    searched_too: dict[Name, Annotated[tuple[Name, ...], Field(strict=False, min_length=1)]] = Field(default={})
    unseen: dict[str, Any] = Field(default={})
    titles: dict[Name, str] = Field(default={})
    gains: dict[Name, Name] = Field(default={})

    @field_validator("chosen_by")
    @classmethod
    def _exists(cls, name: str | None) -> str | None:
        return name if name is None else known_name(name, CRITERIA)

    @field_validator("world_seeds")
    @classmethod
    def _no_world_twice(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds):
            raise ValueError("a list without repeated entries")
        return seeds


@dataclass(frozen=True)
class World:
    """One world of a scenario.

    Args:
        scenario: Name of the scenario.
        seed: World seed.
        settings: Settings of its data set.
    """

    scenario: str
    seed: int
    settings: DatasetKind

    @property
    def name(self) -> str:
        """``<scenario>/<seed>``, which is also its folder."""
        return f"{self.scenario}/{self.seed}"


@dataclass(frozen=True)
class Run:
    """One training that is scored.

    Args:
        world: The world.
        variant: Name of the variant.
        settings: ``tuned``, ``default``, or ``steps_<n>``: ``default`` with another length.
        changes: What replaces settings of the variant, as a search names them; for ``tuned`` it is known only after the
            search.
    """

    world: World
    variant: str
    settings: str
    changes: Mapping[str, Any]

    @property
    def name(self) -> str:
        """World, variant and settings; unique."""
        return f"{self.world.name}/{self.variant}/{self.settings}"


@dataclass(frozen=True)
class Design:
    """What a fair comparison runs.

    Args:
        tree: The file but for the group ``fair``.
        fair: That group.
        search: Its group ``search``.
    """

    tree: Tree
    fair: FairSettings
    search: SearchSettings

    @classmethod
    def load(cls, path: Path = DESIGN) -> Self:
        """Read and check the file, with every world and every space.

        Raises:
            SettingsError: If the file is missing, is not YAML, or a setting is wrong.
        """
        raw = read_yaml(path)
        if not isinstance(raw, dict) or "fair" not in raw:
            raise SettingsError(f"{path.name} has no group 'fair', which says what a fair comparison runs")
        tree = Tree.parse({key: value for key, value in raw.items() if key != "fair"}, "")
        fair = FairSettings.parse(raw["fair"], "fair")
        search = check_search(tree)
        if search is None:
            raise SettingsError(f"{path.name} has no group 'search', which says what is tried")
        design = cls(tree, fair, search)
        design.check()
        return design

    def check(self) -> None:
        """Refuse names that the study does not have, and a world that both tunes and scores.

        Raises:
            SettingsError: If a rule is broken.
        """
        fair, study = self.fair, self.tree.study
        named = {
            "tuned_in": [*fair.tuned_in, *fair.tuned_in.values()],
            "default_in": fair.default_in,
            "lengths_in": [fair.lengths_in] if fair.lengths_in else [],
            "variants_in": list(fair.variants_in),
            "searched_too": list(fair.searched_too),
            "titles": list(fair.titles),
            "gains": [*fair.gains, *fair.gains.values()],
        }
        for key, scenarios in named.items():
            for scenario in scenarios:
                _check_name(f"fair.{key}", scenario, study.datasets)
        for key in ("variants_in", "searched_too"):
            for scenario, variants in getattr(fair, key).items():
                for variant in variants:
                    _check_name(f"fair.{key}.{scenario}", variant, study.variants)
        for scenario in fair.searched_too:
            if scenario not in fair.tuned_in:
                raise SettingsError(f"fair.searched_too names {scenario!r}, which is searched itself already")
        for scenario, other in fair.tuned_in.items():
            if other in fair.tuned_in:
                raise SettingsError(
                    f"fair.tuned_in.{scenario} = {other!r}: must be a scenario that is searched itself, and "
                    f"{other!r} takes its settings from {fair.tuned_in[other]!r}"
                )
        if fair.tuning_seed in fair.world_seeds:
            raise SettingsError(
                f"fair.tuning_seed = {fair.tuning_seed}: must not be among fair.world_seeds, whose worlds score what "
                "it tuned"
            )
        for scenario in study.datasets:
            self.world(scenario, fair.world_seeds[0])
        for variant in study.variants:
            Searched.of(self.tree, self.search, variant)

    def world(self, scenario: str, seed: int) -> World:
        """A world of a scenario.

        Raises:
            SettingsError: If the settings of its data set break a rule.
        """
        own = {"seed": seed} | ({} if seed == self.fair.tuning_seed else self.fair.unseen)
        entries = {**self.tree.datasets, scenario: {"like": "written", **own}, "written": self.tree.datasets[scenario]}
        return World(scenario, seed, inherited_dataset(entries, scenario))

    @property
    def criterion(self) -> str:
        """The criterion that chooses among the trials of a search."""
        return self.fair.chosen_by or self.search.criterion

    @property
    def main_scenario(self) -> str:
        """The scenario that figures of one scenario show: that of the lengths, or else the first."""
        return self.fair.lengths_in or self.tree.study.datasets[0]

    @property
    def titles(self) -> dict[str, str]:
        """Scenario to its title in figures, in the order of the study."""
        return {name: self.fair.titles.get(name, name) for name in self.tree.study.datasets}

    @property
    def searched_scenarios(self) -> tuple[str, ...]:
        """Scenarios in which settings are searched for."""
        return tuple(name for name in self.tree.study.datasets if name not in self.fair.tuned_in)

    @property
    def searches(self) -> tuple[tuple[str, str], ...]:
        """Scenario and variant of every search."""
        own = [(scenario, variant) for scenario in self.searched_scenarios for variant in self.tree.study.variants]
        too = [(scenario, variant) for scenario, names in self.fair.searched_too.items() for variant in names]
        return (*own, *too)

    def source(self, scenario: str) -> str:
        """The scenario whose search a scenario takes its settings from."""
        return self.fair.tuned_in.get(scenario, scenario)

    def variants(self, scenario: str) -> tuple[str, ...]:
        """The variants that are scored in a scenario."""
        return self.fair.variants_in.get(scenario, self.tree.study.variants)

    def runs(self, best: Mapping[tuple[str, str], Mapping[str, Any]]) -> Iterator[Run]:
        """Every training that is scored, worlds in the outermost loop so that no loss is run at another time of day.

        Args:
            best: Scenario that was searched and variant to the settings that the search chose.
        """
        fair = self.fair
        for seed in fair.world_seeds:
            for scenario in self.tree.study.datasets:
                world = self.world(scenario, seed)
                for variant in self.variants(scenario):
                    yield Run(world, variant, TUNED, best[self.source(scenario), variant])
                    if scenario in fair.default_in:
                        yield Run(world, variant, DEFAULT, {})
                    if scenario == fair.lengths_in and seed in fair.world_seeds[: fair.lengths_worlds]:
                        for steps in fair.lengths:
                            yield Run(world, variant, f"steps_{steps}", {"training.steps": steps})


def _check_name(key: str, name: str, known: tuple[str, ...]) -> None:
    """Refuse a name that the study does not have."""
    try:
        known_name(name, dict.fromkeys(known))
    except ValueError as error:
        raise SettingsError(f"{key} names {quoted(name)}: must be {error}") from None
