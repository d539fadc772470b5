"""iNaturalist's two tables, written here as published, with what becomes of each observation."""

import gzip

import pytest
from support.records import vocabulary

from presence_only.common.errors import DataError
from presence_only.common.settings import SettingsError
from presence_only.data.sites import sites_of
from presence_only.datasets import build_dataset, parse_dataset
from presence_only.datasets.inaturalist import DatasetSettings, read_records

TAXA = """taxon_id	ancestry	rank_level	rank	name	active
48460		100	stateofmatter	Life	true
1	48460	70	kingdom	Animalia	true
2	48460/1	60	phylum	Chordata	true
3	48460/1/2	50	class	Aves	true
10	48460/1/2/3	20	genus	Parus	true
100	48460/1/2/3/10	10	species	Parus major	true
101	48460/1/2/3/10/100	5	subspecies	Parus major minor	true
102	48460/1/2/3/10/100/101	5	form	Parus major minor "x"	true
110	48460/1/2/3/10	10	species	Parus oldus	false
120	48460/1/2/3/10	10	hybrid	Parus x	true
121	48460/1/2/3/10/120	5	infrahybrid	Parus x y	true
200	48460/1/2	10	species	Salmo trutta	true
300	48460/1	10	species	Agathis montana	true
301	48460	10	species	Agathis montana	true
"""
HEADER = (
    "observation_uuid\tobserver_id\tlatitude\tlongitude\tpositional_accuracy\ttaxon_id\tquality_grade\tobserved_on\t"
    "anomaly_score"
)
# Taxon, longitude, accuracy, grade, date; whether it is kept by default, and its species.
OBSERVATIONS = [
    (100, "12.5", "30", "research", "2019-05-03", "Parus major"),
    (100, "12.5", "5", "research", "2019-05-03", None),
    (100, "12.5", "30", "research", "2019-05-04", "Parus major"),
    (101, "1", "999", "research", "2020-12-31", "Parus major"),
    (102, "2", "", "research", "2020-02-29", "Parus major"),
    (10, "3", "30", "research", "2020-01-01", None),
    (110, "4", "30", "research", "2020-01-01", None),
    (120, "5", "30", "research", "2020-01-01", None),
    (121, "6", "30", "research", "2020-01-01", None),
    (200, "7", "30", "research", "2020-01-01", "Salmo trutta"),
    (300, "8", "30", "research", "2020-01-01", "Agathis montana (300)"),
    (301, "8", "30", "research", "2020-01-01", "Agathis montana (301)"),
    (999, "9", "30", "research", "2020-01-01", None),
    ("", "9", "30", "research", "2020-01-01", None),
    (100, "10", "30", "needs_id", "2020-01-01", None),
    (100, "11", "30", "casual", "", None),
    (100, "12", "30000", "research", "2020-01-01", None),
    (100, "", "30", "research", "2020-01-01", None),
    (100, "13", "30", "research", "1850-01-01", None),
    (100, "14", "30", "research", "", "Parus major"),
]
FUNNEL = (
    ("read", 20),
    ("coordinates given and possible", 19),
    ("coordinates not 0, 0", 19),
    ("coordinate uncertainty at most 10000 m", 18),
    ("quality_grade is research", 16),
    ("year 1900..", 15),
    ("taxon is in taxa", 13),
    ("taxon is active", 12),
    ("of a species", 9),
    ("duplicates of species, site and date", 8),
)


def observations(rows=OBSERVATIONS):
    lines = [HEADER]
    for i, (taxon, longitude, accuracy, grade, date, *_) in enumerate(rows):
        lines.append(f"uuid-{i}\t{i}\t51.5\t{longitude}\t{accuracy}\t{taxon}\t{grade}\t{date}\t1.5")
    return "\n".join(lines) + "\n"


def write(folder, table=None, taxa=TAXA, packed=True):
    for name, text in (("observations", table or observations()), ("taxa", taxa)):
        if packed:
            (folder / f"{name}.csv.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (folder / f"{name}.csv").write_text(text)
    return folder


def read(root, **given):
    raw = {"kind": "inaturalist", "root": str(root), "min_records": 1, **given}
    return read_records(DatasetSettings.parse(raw, "datasets.x"))


@pytest.mark.parametrize("packed", [True, False])
def test_observations(tmp_path, packed):
    found = read(write(tmp_path, packed=packed))
    assert found.filters == FUNNEL
    assert vocabulary(found)[0] == ("Agathis montana (300)", "Agathis montana (301)", "Parus major", "Salmo trutta")
    assert vocabulary(found)[1] == ("Animalia", "unknown", "Aves", "Chordata")
    kept = [row for row in OBSERVATIONS if row[5] is not None]
    assert found.table["species"].to_list() == [row[5] for row in kept]
    assert sites_of(found.table).tolist() == [[float(row[1]), 51.5] for row in kept]


def test_ancestries_with_backslashes(tmp_path):
    found = read(write(tmp_path, taxa=TAXA.replace("/", "\\")))
    assert found.filters == FUNNEL
    assert vocabulary(found)[1] == ("Animalia", "unknown", "Aves", "Chordata")


def test_weeks(tmp_path):
    found = read(write(tmp_path), weeks=True)
    # 3 May, 4 May, 31 December, 29 February, and 1 January three times.
    assert found.table["week"].to_list() == [17, 17, 48, 8, 1, 1, 1]
    assert ("date known to the day", 14) in found.filters


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        ({"quality_grades": ["research", "needs_id"]}, 9),
        ({"inactive_taxa": "keep"}, 9),
        ({"drop_duplicates": False}, 9),
        ({"max_uncertainty_m": 500.0}, 7),
        ({"default_uncertainties_m": [999]}, 7),
        ({"min_records": 2}, 5),
    ],
)
def test_each_rule_can_be_changed(tmp_path, given, rows):
    assert len(read(write(tmp_path), **given).table) == rows


def test_tables_that_went_through_a_data_frame(tmp_path):
    """Keys as floats, blanks, words for missing values, grades in words, dates in another order."""
    rows = [
        ("100.0", " 1", "30.0", "Research Grade", "2019-5-3", ""),
        ("1e2", "2 ", "NA", "research", "3.5.2019", ""),
        ("nan", "3", "nan", "research", "2019-05-03", ""),
        ("100", "4,5", "30", "research", "2019-05-03", ""),
        ("100", "5", "30", "verified", "2019-05-03", ""),
        ("100", "6", "30", "research", "2019-02-31", ""),
    ]
    found = read(write(tmp_path, observations(rows)), weeks=True)
    assert sites_of(found.table).tolist() == [[1.0, 51.5], [2.0, 51.5]]
    assert found.table["week"].to_list() == [17, 17]
    assert found.filters[1] == ("coordinates given and possible - no degrees: 'longitude 4,5, latitude 51.5' (1)", 5)
    assert ("quality_grade is research - not understood: 'verified' (1)", 4) in found.filters
    assert ("date known to the day - not understood: '2019-02-31' (1)", 3) in found.filters
    assert ("taxon is in taxa", 2) in found.filters


def test_groups_of_another_rank(tmp_path):
    assert vocabulary(read(write(tmp_path), group="kingdom"))[1] == ("Animalia", "unknown", "Animalia", "Animalia")


class TestBadFiles:
    def failure(self, root, **given):
        with pytest.raises(DataError) as error:
            read(root, **given)
        assert "\n" not in str(error.value)
        return str(error.value)

    def test_missing_folder(self, tmp_path):
        assert self.failure(tmp_path / "none") == (
            f"root = '{tmp_path / 'none'}': there is no such folder; it must hold observations.csv.gz"
        )

    def test_missing_taxa(self, tmp_path):
        write(tmp_path)
        (tmp_path / "taxa.csv.gz").unlink()
        assert self.failure(tmp_path) == f"{tmp_path}: there is no taxa.csv.gz nor taxa.csv in this folder"

    def test_cut_off(self, tmp_path):
        path = write(tmp_path) / "observations.csv.gz"
        path.write_bytes(path.read_bytes()[:-20])
        assert self.failure(tmp_path) == (f"{path}: is cut off: the packed data ends too early; download it again")

    def test_tables_swapped(self, tmp_path):
        write(tmp_path, TAXA, observations())
        assert self.failure(tmp_path).startswith(
            f"{tmp_path}/taxa.csv.gz: no column 'ancestry', 'rank_level', 'rank', 'name'; "
        )

    def test_taxon_that_is_there_twice(self, tmp_path):
        write(tmp_path, taxa=TAXA + TAXA.splitlines()[-1] + "\n")
        assert self.failure(tmp_path) == (f"{tmp_path}/taxa.csv.gz: taxon_id must be a number and unique; 301 is not")

    def test_unknown_grade(self, tmp_path):
        with pytest.raises(SettingsError, match="must be one of 'research', 'needs_id' or 'casual'"):
            read(tmp_path, quality_grades=["good"])


def test_a_download_becomes_a_data_set(tmp_path):
    rows = [((100, 200, 300)[i % 40 % 3], str(5 + (i % 40) * 4.0), "", "research", "2019-05-03") for i in range(120)]
    root = str(write(tmp_path, observations(rows)))
    raw = {"kind": "inaturalist", "root": root, "group": "kingdom", "background_sites": 50}
    dataset = build_dataset(parse_dataset(raw, "datasets.mine"))
    assert dataset.filters[0] == ("read", 120)
    assert dataset.training.records.species == ("Agathis montana", "Parus major", "Salmo trutta")


class TestAnomalyScores:
    """A rule on training records alone: the survey is the same with and without it."""

    def table(self, scores):
        header = HEADER + "\n"
        rows = [
            f"u{i}\t{i}\t51.5\t{5 + i % 40 * 4}\t30\t{(100, 200)[i % 40 % 3 // 2]}\t"
            f"research\t2019-{1 + i // 40:02}-03\t{score}\n"
            for i, score in enumerate(scores)
        ]
        return header + "".join(rows)

    def build(self, root, **given):
        raw = {"kind": "inaturalist", "root": str(root), "group": "kingdom", "min_records": 1, "background_sites": 50}
        return build_dataset(parse_dataset({**raw, **given}, "datasets.mine"))

    @pytest.mark.parametrize("rows", ["records", "checklists"])
    def test_the_survey_is_made_before(self, tmp_path, rows):
        scores = [("0.2", "5.0", "", "1.0")[i % 4] for i in range(120)]
        root = write(tmp_path, self.table(scores))
        plain, strict = (self.build(root, rows=rows, **given) for given in ({}, {"min_anomaly_score": 1.0}))
        assert strict.survey.sites_M2.tolist() == plain.survey.sites_M2.tolist()
        assert strict.survey.truth.matrix().tolist() == plain.survey.truth.matrix().tolist()
        assert strict.facts["held_out_records"] == plain.facts["held_out_records"]
        held = {longitude for longitude, _ in plain.survey.sites_M2.round(3).tolist()}
        kept = strict.training.records.sites_N2[strict.training.records.row_P]
        if rows == "records":
            expected = sorted(
                5.0 + i % 40 * 4 - (360 if 5 + i % 40 * 4 > 180 else 0)
                for i, score in enumerate(scores)
                if score != "0.2" and 5.0 + i % 40 * 4 not in held
            )
            assert sorted(kept[:, 0].tolist()) == expected
        assert len(kept) < len(plain.training.records.species_P)
        assert strict.filters[-1] == ("anomaly_score at least 1 (training alone)", len(kept))

    def test_no_score_passes_and_a_word_is_named(self, tmp_path):
        root = write(tmp_path, self.table(["", "high", "0.5", "2"] * 30))
        found = read(root, min_anomaly_score=1.0)
        assert found.table["suspect"].sum() == 30
        assert any(rule == "anomaly_score is a number - not understood: 'high' (30)" for rule, _ in found.filters)

    def test_a_download_without_scores(self, tmp_path):
        table = observations().replace("\tanomaly_score", "").replace("\t1.5\n", "\n")
        with pytest.raises(DataError, match="no column 'anomaly_score'"):
            read(write(tmp_path, table), min_anomaly_score=1.0)
        assert read(tmp_path).filters == FUNNEL
