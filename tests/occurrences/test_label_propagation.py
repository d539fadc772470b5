"""Label propagation: every rule alone, a slow twin in plain Python, and what training data and settings make of it."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from presence_only.common.settings import SettingsError
from presence_only.data.records import PresenceRecords
from presence_only.datasets import parse_dataset
from presence_only.geography.sphere import EARTH_RADIUS_KM, unit_vectors
from presence_only.occurrences import label_propagation
from presence_only.occurrences.assemble import assemble, assemble_training
from presence_only.occurrences.assembly_settings import AssemblySettings, RecordsSettings
from presence_only.occurrences.held_out_area import EvaluationSettings, within_box
from presence_only.occurrences.label_propagation import (
    PropagationSettings,
    propagate_labels,
    propagation_facts,
    propagation_note,
    range_radius_km,
    standardised,
)
from presence_only.occurrences.records import RecordTable

KM_PER_DEGREE = EARTH_RADIUS_KM * math.pi / 180


def rows(longitudes, environment, species, weeks=None, n_species=None):
    """Training rows on the equator, of one covariate, with the species of each."""
    n_species = n_species or max(max(own) for own in species) + 1
    pairs = [(row, s) for row, own in enumerate(species) for s in own]
    return PresenceRecords(
        sites_N2=np.column_stack([longitudes, np.zeros(len(longitudes))]).astype(float),
        covariates_NC=np.asarray(environment, dtype=np.float32).reshape(len(longitudes), -1),
        row_P=np.array([row for row, _ in pairs]),
        species_P=np.array([s for _, s in pairs]),
        species=tuple(f"s{s}" for s in range(n_species)),
        groups=("all",) * n_species,
        covariate_names=tuple(f"c{c}" for c in range(np.asarray(environment).reshape(len(longitudes), -1).shape[1])),
        week_N=None if weeks is None else np.asarray(weeks),
    )


def wide(**changes):
    """Settings under which no rule but those of ``changes`` decides."""
    rules = {"min_species": 3, "k": 100, "radius_km": 20_000.0, "max_distance": 1e6, "spread": 1e6, "cap_km": 20_000.0}
    return PropagationSettings(**rules | changes)


def received(records, settings):
    """Row to the species that it received."""
    added = propagate_labels(records, settings)
    found = {}
    for row, species in zip(added.row_A.tolist(), added.species_A.tolist(), strict=True):
        found.setdefault(row, set()).add(species)
    return found


# Rows 1 and 2 give, 0 and 3 receive: 0 is like 1 and far from it, 3 is unlike both.
LONGITUDES, ENVIRONMENT = [0.0, 20.0, 5.0, 25.0], [0.0, 0.1, 1.0, 9.0]
SPECIES = [{0}, {0, 1, 2}, {0, 3, 4}, {5}]
ALL = {0: {1, 2, 3, 4}, 3: {0, 1, 2, 3, 4}}


def made(**changes):
    return rows(LONGITUDES, ENVIRONMENT, SPECIES, **changes)


def test_without_limits_every_row_receives_all_that_others_have():
    assert received(made(), wide()) == ALL


def test_k_takes_the_most_similar_rows():
    assert received(made(), wide(k=1)) == {0: {1, 2}, 3: {0, 3, 4}}


def test_the_radius_comes_before_k_or_after_it():
    near = {"radius_km": 10 * KM_PER_DEGREE, "k": 1}
    # The most similar row within 10 degrees; row 3 has row 1 alone.
    assert received(made(), wide(**near)) == {0: {3, 4}, 3: {0, 1, 2}}
    # The most similar row anywhere, which is then too far away.
    assert received(made(), wide(**near, nearest="anywhere")) == {}
    assert received(made(), wide(**near | {"k": 2}, nearest="anywhere")) == {0: {3, 4}, 3: {0, 1, 2}}


def test_the_radius_is_on_the_great_circle():
    records = rows([179.0, -179.0], [0.0, 1.0], [{0}, {1, 2, 3}])
    assert received(records, wide(radius_km=2.001 * KM_PER_DEGREE)) == {0: {1, 2, 3}}
    assert received(records, wide(radius_km=1.999 * KM_PER_DEGREE)) == {}


def test_environment_is_compared_in_standard_deviations_of_the_rows():
    deviation = np.std(ENVIRONMENT)
    assert received(made(), wide(max_distance=1.01 / deviation)) == {0: {1, 2, 3, 4}}
    assert received(made(), wide(max_distance=0.99 / deviation)) == {0: {1, 2}}
    assert received(made(), wide(max_distance=0.09 / deviation)) == {}
    # Whatever the unit, and with a covariate that never varies.
    scaled = np.column_stack([1000 * np.array(ENVIRONMENT) - 7, np.full(4, 0.3)])
    assert received(rows(LONGITUDES, scaled, SPECIES), wide(max_distance=0.99 / deviation)) == {0: {1, 2}}


def test_a_species_goes_no_farther_than_its_cap_from_its_nearest_record():
    # Row 0 is 5 degrees from the nearest records of 3 and 4, 20 from those of 1 and 2.
    assert received(made(), wide(cap_km=6 * KM_PER_DEGREE)) == {0: {3, 4}, 3: {0, 1, 2}}
    assert received(made(), wide(cap_km=4.9 * KM_PER_DEGREE)) == {}
    # The nearest record need not be one of the row that gives, nor of a row with many species.
    records = rows([*LONGITUDES, 1.0], [*ENVIRONMENT, 50.0], [*SPECIES, {1}])
    assert received(records, wide(k=1, cap_km=1.1 * KM_PER_DEGREE))[0] == {1}


def test_a_species_goes_no_farther_than_its_spread():
    # Species 1 has records 10 degrees from each other, so its radius is 5 degrees; the others have the least radius.
    records = rows([0.0, 20.0, 30.0], [0.0, 0.1, 5.0], [{0}, {1, 2, 3}, {1, 4, 5}])
    assert received(records, wide(spread=4.01))[0] == {1}
    assert received(records, wide(spread=3.99)) == {}
    least = 20 * KM_PER_DEGREE / label_propagation.LEAST_RADIUS_KM
    assert received(records, wide(spread=1.001 * least))[0] == {1, 2, 3}
    # The lesser of spread and cap decides.
    assert received(records, wide(spread=4.01, cap_km=19 * KM_PER_DEGREE)) == {}


def test_only_rows_of_the_same_week_give():
    assert received(made(weeks=[1, 1, 2, 2]), wide()) == {0: {1, 2}, 3: {0, 3, 4}}
    assert received(made(weeks=[1, 2, 2, 48]), wide()) == {}
    # The nearest record may be of another week.
    records = rows([0.0, 20.0, 1.0], [0.0, 0.1, 0.2], [{0}, {1, 2, 3}, {1}], weeks=[1, 1, 2])
    assert received(records, wide(cap_km=2 * KM_PER_DEGREE)) == {0: {1}}


def test_rows_below_the_least_number_receive_and_the_others_give():
    assert received(made(), wide(min_species=2)) == ALL
    assert received(made(), wide(min_species=4)) == {}
    records = rows([0, 1, 2], [0, 0, 0], [{0}, {0, 1}, {2, 3, 4}])
    # Row 1 neither gives what it has ...
    assert received(records, wide()) == {0: {2, 3, 4}, 1: {2, 3, 4}}
    # ... nor what it was given.
    assert received(records, wide(radius_km=1.1 * KM_PER_DEGREE)) == {1: {2, 3, 4}}


def test_of_equally_similar_rows_the_first_gives():
    species = [{0}, *({i, i + 1, i + 2} for i in range(1, 91, 3))]
    for nearest in ("within_radius", "anywhere"):
        records = rows(np.arange(31) / 10, np.ones(31), species)
        assert received(records, wide(k=1, nearest=nearest)) == {0: {1, 2, 3}}
        assert received(records, wide(k=2, nearest=nearest)) == {0: {1, 2, 3, 4, 5, 6}}


def test_an_unknown_covariate_is_the_mean_and_a_row_without_any_takes_no_part():
    nan = np.nan
    environment = [[0.0, nan], [0.0, 4.0], [0.0, 5.0], [nan, nan], [nan, nan]]
    records = rows([0, 1, 2, 3, 4], environment, [{0}, {1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {10}])
    # 4 and 5 are one deviation from their mean, 4.5.
    assert received(records, wide(max_distance=1.001)) == {0: {1, 2, 3, 4, 5, 6}}
    assert received(records, wide(max_distance=0.999)) == {}
    assert_allclose(standardised(records.covariates_NC)[:, 1], [0, -1, 1, 0, 0], atol=1e-6)


# The range of a species.


def radius(sites):
    sites = np.asarray(sites, dtype=float)
    return range_radius_km(unit_vectors(sites), np.arange(len(sites)), np.zeros(len(sites), dtype=int))[0]


def test_the_radius_of_a_disc_is_nearly_its_own():
    rng = np.random.default_rng(0)
    distance, angle = 8 * np.sqrt(rng.uniform(size=5000)), rng.uniform(0, 2 * np.pi, 5000)
    disc = np.column_stack([179 + distance * np.cos(angle), distance * np.sin(angle)])
    disc[:, 0] = (disc[:, 0] + 180) % 360 - 180
    # Nine tenths of a disc's area lie within 0.949 of its radius; 180 degrees in its midst changes nothing.
    assert radius(disc) == pytest.approx(math.sqrt(0.9) * 8 * KM_PER_DEGREE, rel=0.02)


@pytest.mark.parametrize("n", [3, 5, 10, 11, 40])
def test_one_outlier_hardly_changes_the_radius(n):
    line = np.column_stack([np.linspace(0, 4, n), np.zeros(n)])
    moved = line.copy()
    moved[-1] = [120.0, 40.0]
    assert radius(moved) < 4.2 * KM_PER_DEGREE


def test_the_least_radius():
    assert radius([[5, 5]]) == label_propagation.LEAST_RADIUS_KM
    assert radius([[0, 90], [0, -90], [0, 0], [180, 0]]) > 5000


# The whole, against a twin.


def haversine(one, other):
    (a, b), (c, d) = np.radians(one), np.radians(other)
    h = math.sin((d - b) / 2) ** 2 + math.cos(b) * math.cos(d) * math.sin((c - a) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(h)))


def twin(records, rules):
    """All of it by loops over rows and species."""
    n, sites = records.n_rows, records.sites_N2.tolist()
    species_of = [set() for _ in range(n)]
    for row, s in zip(records.row_P.tolist(), records.species_P.tolist(), strict=True):
        species_of[row].add(s)
    environment = []
    for c in range(records.covariates_NC.shape[1]):
        values = [float(v) for v in records.covariates_NC[:, c]]
        known = [v for v in values if v == v]
        mean = sum(known) / len(known)
        deviation = math.sqrt(sum((v - mean) ** 2 for v in known) / len(known))
        environment.append([(v - mean) / deviation if v == v else 0.0 for v in values])
    blind = [all(v != v for v in row) for row in records.covariates_NC.tolist()]
    reach = {}
    for s in range(records.n_species):
        own = [sites[i] for i in range(n) if s in species_of[i]]
        vectors = [
            (math.cos(b) * math.cos(a), math.cos(b) * math.sin(a), math.sin(b)) for a, b in np.radians(own).tolist()
        ]
        x, y, z = (float(np.median([v[i] for v in vectors])) for i in range(3))
        centre = np.degrees([math.atan2(y, x), math.atan2(z, math.hypot(x, y))])
        distances = sorted(haversine(centre, site) for site in own)
        reach[s] = min(rules.spread * max(distances[int(0.9 * (len(own) - 1))], 50.0), rules.cap_km)
    found = {}
    for i in range(n):
        if len(species_of[i]) >= rules.min_species or blind[i]:
            continue
        similar = []
        for j in range(n):
            week = records.week_N is None or records.week_N[i] == records.week_N[j]
            if len(species_of[j]) >= rules.min_species and week and not blind[j]:
                distance = math.sqrt(sum((column[i] - column[j]) ** 2 for column in environment))
                fits = haversine(sites[i], sites[j]) <= rules.radius_km and distance <= rules.max_distance
                if fits or rules.nearest == "anywhere":
                    similar.append((distance, j, fits))
        wanted = {s for _, j, fits in sorted(similar)[: rules.k] if fits for s in species_of[j]} - species_of[i]
        own = {
            s for s in wanted if min(haversine(sites[i], sites[j]) for j in range(n) if s in species_of[j]) <= reach[s]
        }
        if own:
            found[i] = own
    return found


def drawn(seed, n=150, n_species=25, weeks=False):
    """Random rows, clustered in space and environment; half have one or two species, some covariates are unknown."""
    rng = np.random.default_rng(seed)
    sites = np.column_stack([rng.uniform(-180, 180, n), rng.uniform(-60, 60, n)])
    sites[: 2 * n // 3] = rng.normal([175, 10], [8, 12], (2 * n // 3, 2))
    sites[:, 0] = (sites[:, 0] + 180) % 360 - 180
    covariates = np.column_stack([sites[:, 1] / 10 + rng.normal(0, 1, n), rng.normal(5, 2, n), rng.integers(0, 3, n)])
    covariates[rng.random((n, 3)) < 0.1] = np.nan
    covariates[:2] = np.nan
    number = np.where(rng.random(n) < 0.5, rng.integers(1, 3, n), rng.integers(3, 9, n))
    near = rng.normal(sites[:, 1] / 5 + 12, 4)
    pairs = set()
    for row in range(n):
        for s in rng.normal(near[row], 3, number[row]).round().astype(int) % n_species:
            pairs.add((row, int(s)))
    pairs |= {(n - 1, s) for s in range(n_species)}
    row_P, species_P = np.array(sorted(pairs)).T
    return PresenceRecords(
        sites_N2=sites,
        covariates_NC=covariates.astype(np.float32),
        row_P=row_P,
        species_P=species_P,
        species=tuple(f"s{s}" for s in range(n_species)),
        groups=("all",) * n_species,
        covariate_names=("a", "b", "c"),
        week_N=rng.integers(1, 4, n) if weeks else None,
    )


RULES = [
    {},
    {"k": 1},
    {"k": 3, "radius_km": 900.0},
    {"k": 3, "radius_km": 900.0, "nearest": "anywhere"},
    {"k": 7, "max_distance": 1.0, "radius_km": 5000.0},
    {"k": 5, "radius_km": 5000.0, "spread": 0.3, "cap_km": 800.0, "nearest": "anywhere"},
    {"min_species": 5, "spread": 3.0, "cap_km": 4000.0, "radius_km": 8000.0},
]


@pytest.mark.parametrize("rules", RULES, ids=lambda rules: ", ".join(map(str, rules.values())) or "defaults")
@pytest.mark.parametrize("weeks", [False, True])
def test_it_is_the_slow_twin(rules, weeks, monkeypatch):
    settings = PropagationSettings(**{"min_species": 3, "radius_km": 2000.0} | rules)
    records = drawn(len(str(rules)), weeks=weeks)
    expected = twin(records, settings)
    assert len(expected) > 5
    assert received(records, settings) == expected
    # However the rows are parted.
    monkeypatch.setattr(label_propagation, "ROWS_PER_PART", 7)
    monkeypatch.setattr(label_propagation, "DISTANCES_PER_PART", 50)
    assert received(records, settings) == expected


def test_both_ways_to_look_for_neighbours_find_the_same(monkeypatch):
    records, settings = drawn(3, n=400), PropagationSettings(min_species=3, k=4, radius_km=1500.0)
    expected = twin(records, settings)
    for few in (0, 30, 10**9):
        monkeypatch.setattr(label_propagation, "few", lambda k, n_givers, few=few: few)
        assert received(records, settings) == expected


def test_the_same_records_give_the_same_presences_in_order():
    records, settings = drawn(0), PropagationSettings(min_species=3)
    one, other = propagate_labels(records, settings), propagate_labels(records, settings)
    assert_array_equal(one.row_A, other.row_A)
    assert_array_equal(one.species_A, other.species_A)
    key = one.row_A * records.n_species + one.species_A
    assert (np.diff(key) > 0).all()
    assert not np.isin(key, records.row_P * records.n_species + records.species_P).any()


def test_facts_count_what_was_added():
    records = made()
    settings = wide()
    facts = propagation_facts(records, propagate_labels(records, settings), settings)
    assert facts == {
        "propagation_rows_below_min_species": 2,
        "propagation_rows_that_can_give": records.n_rows - 2,
        "propagation_rows_that_received": 2,
        "propagation_presences_added": 9,
        "propagation_species_that_gained": 5,
        "propagation_added_per_species_min": 0,
        "propagation_added_per_species_median": 2.0,
        "propagation_added_per_species_max": 2,
    }


def test_the_note_says_why_nothing_was_added():
    records = made()
    strict, near = wide(min_species=99), wide(radius_km=1e-6)
    longest = np.bincount(records.row_P).max()
    for settings, why in ((strict, f"the longest training row has {longest}; lower"), (near, "all of its limits")):
        added = propagate_labels(records, settings)
        assert len(added) == 0
        assert why in propagation_note(records, added, settings)


# Training data.

EAST = EvaluationSettings(kind="region", box=(10.0, 40.0, 20.0, 60.0))
CHECKLISTS = {"environment": "earth", "rows": "checklists", "checklist_resolution": 3, "background_sites": 50}
RULE = {"min_species": 3, "max_distance": 1.5}


def table(n=700, seed=0):
    rng = np.random.default_rng(seed)
    sites = np.column_stack([rng.uniform(0, 20, n), rng.uniform(40, 60, n)])
    # Each species in its own band of latitude, so that some row lacks it.
    species = np.clip(((sites[:, 1] - 40) / 2 + rng.normal(0, 1, n)).astype(int), 0, 9)
    return RecordTable.of(sites, species, tuple("abcdefghij"), ("all",) * 10, rng.integers(1, 49, n))


@pytest.mark.parametrize("background", ["uniform", "target_group"])
def test_checklists_receive_after_the_held_out_area_is_cut_off(background):
    plain = RecordsSettings(**CHECKLISTS, evaluation=EAST, background=background)
    asked = plain.model_copy(update={"propagation": PropagationSettings(**RULE)})
    without, dataset = assemble(table(), plain), assemble(table(), asked)
    added = dataset.added
    assert len(added) > 30
    assert without.added is None
    expected = twin(without.training.records, asked.propagation)
    assert {(row, s) for row, own in expected.items() for s in own} == set(
        zip(added.row_A.tolist(), added.species_A.tolist(), strict=True)
    )
    recorded, joined = without.training.records, dataset.training.records
    assert_array_equal(joined.sites_N2, recorded.sites_N2)
    assert len(joined.row_P) == len(recorded.row_P) + len(added)
    assert_array_equal(dataset.recorded.species_P, recorded.species_P)
    # Neither the background nor the survey knows of it.
    assert_array_equal(dataset.training.background.sites_K2, without.training.background.sites_K2)
    assert dataset.training.background.groups_K == without.training.background.groups_K
    assert_array_equal(dataset.survey.truth.matrix(), without.survey.truth.matrix())
    assert dataset.facts["propagation_presences_added"] == len(added)
    assert dataset.facts | without.facts == dataset.facts
    assert dataset.notes[-1].startswith(f"Label propagation added {len(added):,} presences to ")
    assert dataset.filters == without.filters
    # Other records in the held-out area change nothing.
    records = table()
    sites = records.table.select("longitude", "latitude").to_numpy()
    # A cell lies where its centre does, so that those at the area's border are not moved.
    moved = within_box(sites, (12.0, 42.0, 18.0, 58.0))
    species = np.where(moved, 9, records.table["species"].to_physical().to_numpy())
    other = assemble(RecordTable.of(sites, species, tuple("abcdefghij"), ("all",) * 10), asked)
    assert_array_equal(other.added.row_A, added.row_A)
    assert_array_equal(other.added.species_A, added.species_A)


def test_training_data_for_a_survey_of_its_own_receive_too():
    asked = AssemblySettings(**CHECKLISTS, weeks=True, propagation=PropagationSettings(**RULE | {"min_species": 2}))
    made = assemble_training(table(4000), asked)
    assert made.added is not None
    assert len(made.added) == made.facts["propagation_presences_added"] > 0
    assert len(made.notes) == 1


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (
            {"propagation": {}, "environment": "earth"},
            "d: must be settings with rows 'checklists', as propagation is given; rows is 'records'",
        ),
        (
            {"propagation": {}, "rows": "checklists"},
            "d: must be settings with an environment, as propagation compares rows by their covariates",
        ),
        ({"propagation": True}, "d.propagation = True: must be a mapping of settings"),
        ({"propagation": {"n": 3}}, "unknown key 'n' in d.propagation; known: cap_km, k, max_distance, min_species"),
        ({"propagation": {"k": 0}}, "d.propagation.k = 0: must be greater than or equal to 1"),
        ({"propagation": {"min_species": 1}}, "d.propagation.min_species = 1: must be greater than or equal to 2"),
        ({"propagation": {"radius_km": -1.0}}, "d.propagation.radius_km = -1.0: must be greater than 0"),
        ({"propagation": {"cap_km": 30000}}, "d.propagation.cap_km = 30000: must be less than or equal to 20016"),
        ({"propagation": {"nearest": "here"}}, "d.propagation.nearest = 'here': must be one of 'within_radius' or"),
    ],
)
def test_wrong_settings_are_one_sentence(raw, sentence):
    with pytest.raises(SettingsError) as error:
        RecordsSettings.parse(raw, "d")
    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)


def test_it_is_off_by_default_and_null_is_off():
    assert RecordsSettings.parse({}, "d").propagation is None
    assert RecordsSettings.parse({"propagation": None}, "d").propagation is None
    with pytest.raises(SettingsError, match="d: must be settings with rows 'checklists', as propagation is given"):
        parse_dataset({"kind": "virtual", "propagation": {}}, "d")
