"""Every rule against rows written by hand: which pass, and what the funnel says."""

import h3
import numpy as np
import polars as pl
import pytest
from support.records import vocabulary

from presence_only.common.errors import DataError
from presence_only.common.settings import SettingsError
from presence_only.data.sites import sites_of
from presence_only.occurrences.cleaning import clean
from presence_only.occurrences.cleaning_settings import CleaningSettings
from presence_only.occurrences.quality_rules import ReaderRules, Rule
from presence_only.occurrences.records import places
from presence_only.occurrences.thinning import thin

# All rules off.
OFF = {
    "max_uncertainty_m": None,
    "default_uncertainties_m": (),
    "min_year": None,
    "drop_duplicates": False,
    "min_records": 1,
}


def settings(**given):
    return CleaningSettings.parse({**OFF, **given}, "datasets.x")


def run(columns, weeks=False, rules=None, batches=1, **given):
    """Names of the species that are kept, in the order of rows, and the funnel."""
    n = len(next(iter(columns.values())))
    defaults = {"longitude": [5.0] * n, "latitude": [50.0] * n, "species": [f"s{i}" for i in range(n)]}
    table = pl.DataFrame({**defaults, **columns}, strict=False)
    parts = [part for part in np.array_split(np.arange(n), batches) if len(part)]
    frames = (table[int(part[0]) : int(part[-1]) + 1] for part in parts)
    found = clean(frames, settings(**given), rules or ReaderRules(), weeks, "x.csv")
    return found.table["species"].to_list(), found.filters, found


class TestRowRules:
    def test_coordinates(self):
        kept, filters, _ = run(
            {
                "longitude": [5.0, None, -180.0, 180.0, 180.1, -200.0, 0.0, 0.0, float("nan"), float("inf"), 7.0],
                "latitude": [50.0, 50.0, -90.0, 90.0, 50.0, 50.0, 0.0, 5.0, 50.0, 50.0, 90.1],
            }
        )
        assert kept == ["s0", "s2", "s3", "s7"]
        assert filters == (
            ("read", 11),
            (
                "coordinates given and possible - no degrees: 'longitude -200.0, latitude 50.0' (1), 'longitude 180.1, "
                "latitude 50.0' (1), 'longitude 7.0, latitude 90.1' (1), 'longitude inf, latitude 50.0' (1)",
                5,
            ),
            ("coordinates not 0, 0", 4),
            ("coordinates neither 0 nor equal, nor half a degree from 0, 0 - 1 that are, kept", 4),
            ("of a species", 4),
        )

    def test_uncertainty(self):
        columns = {"uncertainty_m": [10.0, 10_000.0, 10_000.1, None, 0.0, -5.0, float("nan"), 301.0, 3036.0]}
        kept, filters, _ = run(columns, max_uncertainty_m=10_000.0, default_uncertainties_m=[301, 3036])
        assert kept == ["s0", "s1", "s3", "s4", "s5", "s6"]
        assert filters[3:5] == (
            ("coordinate uncertainty at most 10000 m", 8),
            ("coordinate uncertainty not that of a centroid (301, 3036 m)", 6),
        )
        kept, _, _ = run(columns, max_uncertainty_m=10_000.0, unknown_uncertainty="drop")
        assert kept == ["s0", "s1", "s7", "s8"]
        kept, filters, _ = run(columns, unknown_uncertainty="drop")
        assert kept == ["s0", "s1", "s2", "s7", "s8"]
        assert filters[3] == ("coordinate uncertainty known", 5)

    def test_uncertainty_that_the_file_does_not_have(self):
        kept, filters, _ = run({"species": ["a", "b"]}, max_uncertainty_m=10_000.0)
        assert kept == ["a", "b"]
        assert filters[3] == ("coordinate uncertainty at most 10000 m - not in the file", 2)
        with pytest.raises(
            DataError, match=r"the rule 'coordinate uncertainty at most 10000 m - not in the file' left 0"
        ):
            run({"species": ["a", "b"]}, max_uncertainty_m=10_000.0, unknown_uncertainty="drop")

    def test_year(self):
        columns = {"year": [1899, 1900, 2000, 2001, None, 0, 20_190]}
        kept, filters, _ = run(columns, min_year=1900, max_year=2000)
        assert kept == ["s1", "s2", "s4", "s5", "s6"]
        assert filters[3] == ("year 1900..2000", 5)
        kept, filters, _ = run(columns, min_year=1900, unknown_year="drop")
        assert kept == ["s1", "s2", "s3"]
        assert filters[3][0] == "year 1900.."
        kept, filters, _ = run(columns, unknown_year="drop")
        assert kept == ["s0", "s1", "s2", "s3"]
        assert filters[3] == ("year known", 4)

    def test_weeks_need_a_date(self):
        columns = {"month": [1, 2, None, 12, 13, 6], "day": [7, 8, 3, 31, 1, 0], "year": [2000, None, 1, 2, 3, 4]}
        kept, filters, found = run(columns, weeks=True)
        assert kept == ["s0", "s1", "s3"]
        # Four weeks a month: 7 January ends the first, 8 February begins its second, 31 December the last.
        assert found.table["week"].to_list() == [1, 6, 48]
        assert filters[3] == ("date known to the day - not understood: '3-13-1' (1), '4-6-0' (1)", 3)
        assert "week" not in run(columns)[2].table.columns

    def test_weeks_of_a_file_without_dates(self):
        with pytest.raises(DataError, match="the rule 'date known to the day - not in the file' left 0 rows of 1;"):
            run({"species": ["a"]}, weeks=True)

    def test_days_that_the_calendar_lacks(self):
        columns = {"month": [2, 2, 2, 4], "day": [29, 29, 31, 31], "year": [2020, 2019, 2020, 2020]}
        kept, filters, _ = run(columns, weeks=True)
        assert kept == ["s0"]
        words = "'2019-2-29' (1), '2020-2-31' (1), '2020-4-31' (1)"
        assert filters[3] == (f"date known to the day - not understood: {words}", 1)

    def test_places_at_zero_and_equal_coordinates(self):
        columns = {
            "longitude": [0.0, 47.0, 12.5, -12.5, 0.0001, 0.3, 0.4, 10.0],
            "latitude": [47.0, 0.0, 12.5, 12.5, 0.0002, -0.4, -0.31, 10.1],
        }
        kept, filters, _ = run(columns)
        assert len(kept) == 8
        assert filters[3] == ("coordinates neither 0 nor equal, nor half a degree from 0, 0 - 6 that are, kept", 8)
        kept, filters, _ = run(columns, zero_or_equal_coordinates="drop")
        assert kept == ["s6", "s7"]
        assert filters[3] == ("coordinates neither 0 nor equal, nor half a degree from 0, 0", 2)
        # Where there is none, the funnel says nothing.
        assert len(run({"longitude": [10.0], "latitude": [10.1]})[1]) == 4

    def test_open_names_are_dropped_and_listed(self):
        columns = {"species": ["a", None, None, None], "open_name": [None, "A sp.", "A sp.", None]}
        kept, filters, _ = run(columns)
        assert kept == ["a"]
        assert filters[3:] == (("identified to a species - open names: 'A sp.' (2)", 2), ("of a species", 1))

    def test_texts_that_are_no_date_are_dates_of_their_own(self):
        columns = {
            "species": ["a"] * 7,
            "date_text": [-5, -6, -5, None, None, None, -5],
            "day": [None, None, None, None, None, 3, 3],
            "month": [None, None, None, None, None, 5, 5],
            "year": [2020, 2020, 2020, 2020, 2020, 2020, 2020],
        }
        _, filters, _ = run(columns, drop_duplicates=True)
        # Text 5, text 6, the year alone, and a day that was known otherwise.
        assert filters[-1] == ("duplicates of species, site and date", 4)

    def test_words_are_counted_and_the_most_frequent_are_listed(self):
        rule = Rule("odd", pl.lit(True), "word", words=pl.col("word"))
        words = ["b"] * 3 + ["a"] * 3 + list("cdefg") + [None]
        _, filters, _ = run({"word": words}, rules=ReaderRules(basis=(rule,)), batches=5)
        listed = "'a' (3), 'b' (3), 'c' (1), 'd' (1), 'e' (1) and others (2)"
        assert filters[3] == (f"odd - not understood: {listed}", 12)

    def test_a_file_without_any_degrees_is_refused(self):
        columns = {"longitude": [None, None], "unread_coordinates": ["longitude 8,5, latitude 47,1", None]}
        with pytest.raises(DataError, match=r"they say 'longitude 8,5, latitude 47,1' \(1\): write numbers of degrees"):
            run(columns)
        with pytest.raises(DataError, match=r"'longitude 850000.0, latitude 50.0' \(1\): convert them to"):
            run({"longitude": [850_000.0]})

    def test_rows_of_no_species(self):
        kept, filters, _ = run({"species": ["a", None, "b"]})
        assert kept == ["a", "b"]
        assert filters[-1] == ("of a species", 2)

    def test_centroids_by_table(self, tmp_path):
        path = tmp_path / "centroids.tsv"
        path.write_text("iso3\tdecimal_longitude\tdecimal_latitude\nX\t10\t50\nY\t-179.99\t0\n")
        # A degree of latitude is 111.2 km: 0.02 degrees are 2.2 km, 0.017 are 1.9 km.
        columns = {"longitude": [10.0, 10.0, 180.0, 20.0, None], "latitude": [50.017, 50.02, 0.0, 50.0, 0.0]}
        kept, filters, _ = run(columns, centroids=str(path), centroid_distance_m=2000.0)
        assert kept == ["s1", "s3"]
        assert filters[3] == ("2000 m from centroids", 2)
        assert run(columns, centroids=str(path), centroid_distance_m=0.0)[0] == ["s0", "s1", "s2", "s3"]

    def test_centroids_that_are_nowhere(self, tmp_path):
        path = tmp_path / "centroids.csv"
        path.write_text("decimalLongitude,decimalLatitude\n10,50\n,50\n")
        with pytest.raises(DataError, match=r"^centroids = .*: 1 of 2 places have no longitude within -180\.\.180"):
            run({"species": ["a"]}, centroids=str(path))

    def test_the_rules_of_a_reader_have_their_places(self):
        rules = ReaderRules(
            issues=(Rule("issue", pl.col("issue").is_null(), "issue"),),
            basis=(Rule("basis", pl.col("basis") == "x", "basis"),),
            status=(Rule("status", pl.col("status") == "p", "status"),),
            taxon=(Rule("taxon", pl.col("taxon") == "t", "taxon"),),
        )
        columns = {
            "issue": [None, "bad", None, None, None, None],
            "basis": ["x", "y", None, "x", "x", "x"],
            "taxon": ["t", "t", "t", "u", "t", "t"],
            "uncertainty_m": [1.0, 1.0, 1.0, 1.0, 99.0, 1.0],
            "year": [2000, 1, 2000, 2000, 2000, 1],
        }
        kept, filters, _ = run(columns, rules=rules, max_uncertainty_m=50.0, min_year=1900)
        assert kept == ["s0"]
        assert filters[3:] == (
            ("issue", 5),
            ("coordinate uncertainty at most 50 m", 4),
            ("basis", 3),
            ("status - not in the file", 3),
            ("year 1900..", 2),
            ("taxon", 1),
            ("of a species", 1),
        )

    def test_batches_make_no_difference(self):
        columns = {
            "longitude": [1.0, None, 3.0, 4.0, 1.0],
            "species": ["b", "a", "b", None, "b"],
            "key": ["1", None, None, "3", "1"],
        }
        one, five = run(columns, drop_duplicates=True), run(columns, drop_duplicates=True, batches=5)
        assert one[:2] == five[:2]
        np.testing.assert_array_equal(sites_of(one[2].table), sites_of(five[2].table))
        assert sites_of(one[2].table).tolist() == [[1.0, 50.0], [3.0, 50.0]]


class TestLongitudes:
    def test_all_around_from_greenwich_is_refused(self):
        with pytest.raises(DataError) as error:
            run({"longitude": [1.0, 359.5, 200.0]})
        assert str(error.value) == (
            "x.csv: longitudes reach 359.5 and none is negative, so they run from 0 to 360; "
            "set longitudes: 0..360 to have them converted"
        )

    def test_it_is_converted_where_a_setting_says_so(self):
        _, filters, found = run({"longitude": [1.0, 359.5, 180.0, 180.5, 360.0, 361.0]}, longitudes="0..360")
        assert found.table["longitude"].to_list() == [1.0, -0.5, 180.0, -179.5, 0.0]
        assert filters[1] == ("coordinates given and possible - no degrees: 'longitude 361.0, latitude 50.0' (1)", 5)

    def test_single_slips_are_dropped_and_counted(self):
        kept, filters, _ = run({"longitude": [1.0] * 199 + [200.0], "species": ["a"] * 200})
        assert len(kept) == filters[1][1] == 199
        kept, _, _ = run({"longitude": [-1.0, 200.0]})
        assert kept == ["s0"]


class TestSpecies:
    def test_vocabulary_is_sorted_and_groups_are_those_of_most_rows(self):
        _, _, found = run({"species": ["b", "a", "b", "b"], "group": ["x", None, "y", "y"]})
        assert vocabulary(found) == (("a", "b"), ("unknown", "y"))
        assert places(found.table["species"]).tolist() == [1, 0, 1, 1]

    def test_homonyms_are_told_apart_by_their_keys(self):
        columns = {
            "species": ["Agathis montana", "Agathis montana", "Pica pica", "Pica pica"],
            "key": ["2685", "1257", "5", None],
            "group": ["Pinopsida", "Insecta", "Aves", "Aves"],
        }
        _, _, found = run(columns)
        assert vocabulary(found)[0] == ("Agathis montana (1257)", "Agathis montana (2685)", "Pica pica")
        assert vocabulary(found)[1] == ("Insecta", "Pinopsida", "Aves")
        assert places(found.table["species"]).tolist() == [1, 0, 2, 2]

    def test_species_without_a_record_left_are_not_in_the_vocabulary(self):
        _, _, found = run({"species": ["a", "b", "b"]}, min_records=2)
        assert vocabulary(found)[0] == ("b",)


def records(species, sites, dates=None):
    """Records in their numbered order."""
    names = sorted(set(species))
    return pl.DataFrame(
        {
            "longitude": [float(site[0]) for site in sites],
            "latitude": [float(site[1]) for site in sites],
            "code": pl.Series([names.index(name) for name in species], dtype=pl.Int32),
            "date": pl.Series(dates or [0] * len(species), dtype=pl.Int32),
            "number": range(len(species)),
        }
    )


class TestThinning:
    def test_duplicates(self):
        found = records(
            ["a", "a", "a", "b", "a", "a", "a"],
            [(1, 2), (1.000004, 2), (1.00001, 2), (1, 2), (1, 2), (180, 2), (-180, 2)],
            [20190503, 20190503, 20190503, 20190503, 20190504, 0, 0],
        )
        kept, filters = thin(found, settings(drop_duplicates=True))
        assert kept["number"].to_list() == [0, 2, 3, 4, 5]
        assert filters == (("duplicates of species, site and date", 5),)

    @pytest.mark.parametrize(
        ("given", "name", "cell"),
        [
            ({"cell": "grid", "cell_degrees": 2.0}, "2 degrees", lambda x, y: (x // 2, y // 2)),
            ({"cell_h3_resolution": 3}, "h3 3", lambda x, y: h3.latlng_to_cell(y, x, 3)),
        ],
        ids=["grid", "h3"],
    )
    def test_at_most_so_many_in_a_cell(self, given, name, cell):
        rng = np.random.default_rng(0)
        sites = np.stack([rng.uniform(-4, 4, 300), rng.uniform(-4, 4, 300)], axis=1)
        found = records(rng.choice(["a", "b"], 300).tolist(), sites)
        kept, filters = thin(found, settings(max_per_cell=2, **given))
        assert filters == ((f"at most 2 of a species in a cell ({name})", len(kept)),)
        numbers = kept["number"].to_list()
        assert numbers == sorted(numbers)
        counts, all_counts = {}, {}
        for i in range(300):
            key = (found["code"][i], cell(*sites[i].tolist()))
            all_counts[key] = all_counts.get(key, 0) + 1
            counts[key] = counts.get(key, 0) + int(i in numbers)
        assert counts == {key: min(2, count) for key, count in all_counts.items()}
        assert max(all_counts.values()) > 2

    def test_order_and_counts_of_all_four(self):
        # a: 5 records, one twice, in two cells; b: 3 in three cells; c: 1.
        found = records(
            ["a", "a", "a", "a", "a", "b", "b", "b", "c"],
            [(0.1, 0.1), (0.1, 0.1), (0.2, 0.1), (0.3, 0.1), (5, 5), (1, 1), (3, 3), (7, 7), (1, 1)],
        )
        kept, filters = thin(
            found,
            settings(
                drop_duplicates=True, max_per_cell=1, cell="grid", cell_degrees=1.0, min_records=2, max_per_species=2
            ),
        )
        assert [rows for _, rows in filters] == [8, 6, 5, 4]
        assert [name for name, _ in filters][2:] == ["at least 2 of a species", "at most 2 of a species"]
        assert np.bincount(kept["code"]).tolist() == [2, 2]

    def test_draws_follow_the_seed(self):
        found = records(["a"] * 50, [(i, 0) for i in range(50)])

        def draw(seed):
            return thin(found, settings(max_per_species=10, cleaning_seed=seed))[0]["number"].to_list()

        assert draw(0) == draw(0) != draw(1)
        assert len(draw(0)) == 10

    def test_a_draw_does_not_hang_on_the_rule_before_it(self):
        """Every record is alone in its cell, so that only the draw of the species decides."""
        found = records(["a"] * 50, [(i, 0) for i in range(50)])
        plain, after = (thin(found, settings(max_per_species=10, max_per_cell=cap))[0] for cap in (0, 1))
        assert plain["number"].to_list() == after["number"].to_list()

    def test_input_is_not_changed(self):
        found = records(["a", "a"], [(180, 1), (180, 1)])
        thin(found, settings(drop_duplicates=True, max_per_cell=1))
        assert sites_of(found).tolist() == [[180.0, 1.0], [180.0, 1.0]]


def test_no_record_left_names_the_rules():
    with pytest.raises(DataError) as error:
        run({"longitude": [None], "species": ["a"]})
    assert str(error.value) == (
        "no record is left after cleaning: the rule 'coordinates given and possible' left 0 rows of 1; loosen a rule"
    )


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"min_year": 2000, "max_year": 1999}, "max_year, 1999, is not below min_year, 2000"),
        ({"max_per_species": 5, "min_records": 10}, "max_per_species, 5, is 0 or at least min_records, 10"),
        ({"longitudes": "greenwich"}, "must be one of '-180..180' or '0..360'"),
    ],
)
def test_settings_that_contradict_each_other(given, rule):
    with pytest.raises(SettingsError, match=rule.replace(".", r"\.")):
        settings(**given)


def test_defaults_are_the_documented_ones():
    found = CleaningSettings.parse({}, "datasets.x")
    assert (found.max_uncertainty_m, found.min_year, found.min_records, found.max_per_cell) == (10_000.0, 1900, 10, 0)
    assert found.default_uncertainties_m == (301.0, 999.0, 3036.0, 9999.0)


class TestVisitsAndSuspects:
    def test_a_species_counts_once_a_visit_whoever_reports_it(self):
        columns = {
            "species": ["a", "a", "b", "a", "a", "a"],
            "longitude": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            "shared_visit": [7, 7, 7, None, None, 8],
        }
        for batches in (1, 3):
            kept, filters, found = run(columns, batches=batches)
            assert kept == ["a", "b", "a", "a", "a"]
            assert sites_of(found.table)[:, 0].tolist() == [1.0, 3.0, 4.0, 5.0, 6.0]
            assert filters[-1] == ("a species once a visit of several observers", 5)

    def test_suspects_are_told_from_others(self):
        _, _, found = run({"species": ["a", "a", "b"], "suspect": [True, None, False]})
        assert found.table["suspect"].to_list() == [True, False, False]
        _, _, found = run({"species": ["a", "a", "b"]})
        assert "suspect" not in found.table.columns

    def test_the_last_rules_of_a_reader_follow_those_on_the_taxon(self):
        rules = ReaderRules(last=(Rule("year not 2020", pl.col("year") != 2020, "year"),))
        kept, filters, _ = run({"species": ["a", None, "b"], "year": [2020, 2020, 2021]}, rules=rules)
        assert kept == ["b"]
        assert filters[-2:] == (("of a species", 2), ("year not 2020", 1))
