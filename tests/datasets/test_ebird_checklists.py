"""Complete checklists of eBird as the truth, against a double loop over the two files."""

import zipfile

import numpy as np
import polars as pl
import pytest
from support.real_files import real_files

from presence_only.common.errors import DataError
from presence_only.common.settings import SettingsError
from presence_only.datasets import build_dataset, parse_dataset
from presence_only.datasets.ebird import sampling_file
from presence_only.geography.h3_cells import cells_of
from presence_only.tables import text_blocks

REAL, needs_real = real_files("ebird")
SHARED = (
    "SAMPLING EVENT IDENTIFIER",
    "LATITUDE",
    "LONGITUDE",
    "OBSERVATION DATE",
    "ALL SPECIES REPORTED",
    "GROUP IDENTIFIER",
    "PROTOCOL NAME",
    "DURATION MINUTES",
)
OWN = ("CATEGORY", "SCIENTIFIC NAME", "OBSERVATION COUNT", "APPROVED")
SPECIES = ("Parus major", "Anas acuta", "Turdus merula")


def checklist(number, place, date, *, complete="1", group="", minutes="60"):
    longitude, latitude = place
    return {
        "SAMPLING EVENT IDENTIFIER": f"S{number}",
        "LATITUDE": str(latitude),
        "LONGITUDE": str(longitude),
        "OBSERVATION DATE": date,
        "ALL SPECIES REPORTED": complete,
        "GROUP IDENTIFIER": group,
        "PROTOCOL NAME": "Traveling",
        "DURATION MINUTES": minutes,
    }


def many(seed=0, n=300):
    """Random checklists at 40 places in four years, a third of them in groups of two, with what was seen."""
    rng = np.random.default_rng(seed)
    places = [(round(x, 4), round(y, 4)) for x, y in rng.uniform((0, 40), (30, 60), (40, 2))]
    found, seen = [], {}
    for number in range(1, n + 1):
        place = places[rng.integers(40)]
        date = f"{rng.integers(2020, 2024)}-{rng.integers(1, 13):02}-{rng.integers(1, 29):02}"
        complete = "1" if rng.random() < 0.8 else "0"
        group = f"G{number}" if rng.random() < 0.2 else ""
        for member in range(1 + bool(group)):
            one = checklist(number * 10 + member, place, date, complete=complete, group=group)
            found.append(one)
            seen[one["SAMPLING EVENT IDENTIFIER"]] = [name for name in SPECIES if rng.random() < 0.3]
    return found, seen


def table(rows, columns):
    """Text with a tab at the end of every line."""
    lines = ["".join(f"{column}\t" for column in columns)]
    lines += ["".join(f"{row.get(column, '')}\t" for column in columns) for row in rows]
    return "\n".join(lines) + "\n"


def observed(checklists, seen):
    """The rows of the EBD: a text is a species of the usual kind, a mapping says what is unusual."""
    rows = []
    for one in checklists:
        for what in seen.get(one["SAMPLING EVENT IDENTIFIER"], ()):
            given = {"SCIENTIFIC NAME": what} if isinstance(what, str) else what
            rows.append({"CATEGORY": "species", "OBSERVATION COUNT": "1", "APPROVED": "1", **one, **given})
    return rows


def write(folder, checklists, seen, archive=False):
    ebd, sampling = table(observed(checklists, seen), (*OWN, *SHARED)), table(checklists, SHARED)
    if archive:
        path = folder / "ebd_XX_relFeb-2025.zip"
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("ebd_XX_relFeb-2025_sampling.txt", sampling)
            packed.writestr("ebd_XX_relFeb-2025.txt", ebd)
        return path, path
    (folder / "ebd.txt").write_text(ebd)
    (folder / "sampling.txt").write_text(sampling)
    return folder / "ebd.txt", folder / "sampling.txt"


def build(paths, evaluation, **given):
    raw = {"kind": "ebird", "path": str(paths[0]), "sampling": str(paths[1]), "min_records": 1, "background_sites": 20}
    if evaluation is not None:
        raw["evaluation"] = {"kind": "checklists", **evaluation}
    return build_dataset(parse_dataset({**raw, **given}, "datasets.x"))


def truth_of(dataset):
    """Present (1), absent (0) and not surveyed (-1) by place and species, every place once a site."""
    found = {}
    for site, row in zip(dataset.survey.sites_M2.round(6).tolist(), dataset.survey.truth.matrix(), strict=True):
        found.setdefault(tuple(site), []).append(dict(zip(dataset.survey.species, row.tolist(), strict=True)))
    return found


def expected_truth(checklists, seen, held):
    """By double loop: present at a place if any complete held-out visit saw it, else absent."""
    found = {}
    for one in checklists:
        if one["ALL SPECIES REPORTED"] == "1" and held(one):
            place = (float(one["LONGITUDE"]), float(one["LATITUDE"]))
            row = found.setdefault(place, dict.fromkeys(SPECIES, 0))
            for name in seen.get(one["SAMPLING EVENT IDENTIFIER"], ()):
                row[name] = 1
    return {place: [row] for place, row in found.items()}


def year(one):
    return int(one["OBSERVATION DATE"][:4])


@pytest.mark.parametrize("archive", [False, True])
def test_years(tmp_path, archive):
    checklists, seen = many()
    dataset = build(write(tmp_path, checklists, seen, archive), {"years": [2022, 2023]})
    assert truth_of(dataset) == expected_truth(checklists, seen, lambda one: year(one) in (2022, 2023))
    trained = {
        (name, float(one["LONGITUDE"]), one["OBSERVATION DATE"])
        for one in checklists
        if year(one) < 2022
        for name in seen[one["SAMPLING EVENT IDENTIFIER"]]
    }
    records = dataset.training.records
    assert len(records.species_P) == len(trained)
    assert dict(zip(records.species, records.records_per_species().tolist(), strict=True)) == {
        name: sum(name == one for one, *_ in trained) for name in SPECIES
    }
    held = sum(year(one) > 2021 for one in observed(checklists, seen))
    steps = dict(dataset.filters)
    assert steps["of a species"] - steps["year known and not one of the held-out 2022, 2023"] == held


def test_an_area(tmp_path):
    checklists, seen = many()
    box = [0.0, 0.0, 15.0, 90.0]
    dataset = build(write(tmp_path, checklists, seen), {"area": {"kind": "region", "box": box}})
    assert truth_of(dataset) == expected_truth(checklists, seen, lambda one: float(one["LONGITUDE"]) <= 15)
    assert (dataset.training.records.sites_N2[:, 0] > 15).all()


def test_years_and_an_area_are_both_kept_from_training(tmp_path):
    checklists, seen = many()
    evaluation = {"years": [2023], "area": {"kind": "region", "box": [0.0, 0.0, 15.0, 90.0]}}
    dataset = build(write(tmp_path, checklists, seen), evaluation)
    held = expected_truth(checklists, seen, lambda one: year(one) == 2023 and float(one["LONGITUDE"]) <= 15)
    assert truth_of(dataset) == held
    rows = {
        (name, float(one["LONGITUDE"]), one["OBSERVATION DATE"])
        for one in checklists
        if year(one) < 2023 and float(one["LONGITUDE"]) > 15
        for name in seen[one["SAMPLING EVENT IDENTIFIER"]]
    }
    assert len(dataset.training.records.species_P) == len(rows)


def test_blocks_by_default_and_no_place_on_both_sides(tmp_path):
    checklists, seen = many()
    dataset = build(write(tmp_path, checklists, seen), None)
    sites = {tuple(site) for site in dataset.survey.sites_M2.round(6).tolist()}
    trained = {tuple(site) for site in dataset.training.records.sites_N2.round(6).tolist()}
    assert sites
    assert not sites & trained
    assert "blocks of 5 degrees, fold 0 of 5" in " ".join(dataset.notes)


def test_rows_that_are_cells_leave_no_record_of_a_survey_in_training(tmp_path):
    """Near the border of the area a checklist goes where the centre of its cell does."""
    rng = np.random.default_rng(1)
    checklists = [
        checklist(i + 1, (round(x, 4), round(y, 4)), f"2020-{1 + i % 12:02}-01")
        for i, (x, y) in enumerate(rng.uniform((14, 49), (16, 51), (400, 2)))
    ]
    seen = {one["SAMPLING EVENT IDENTIFIER"]: [SPECIES[i % 3]] for i, one in enumerate(checklists)}
    evaluation = {"area": {"kind": "region", "box": [0.0, 0.0, 15.0, 90.0]}}
    given = {"rows": "checklists", "checklist_resolution": 4}
    dataset = build(write(tmp_path, checklists, seen), evaluation, **given)
    held = set(cells_of(dataset.survey.sites_M2, 4).tolist())
    assert held
    assert not held & set(cells_of(dataset.training.records.sites_N2, 4).tolist())
    assert len(held) + dataset.training.records.n_rows == len(
        set(cells_of(np.array([[float(one["LONGITUDE"]), float(one["LATITUDE"])] for one in checklists]), 4).tolist())
    )


def few(*pairs):
    """Checklists of 2023 in an order of places, each with what was seen, and enough of 2020 to train on."""
    old = [checklist(9000 + i, (40 + i, 40), "2020-05-03") for i in range(6)]
    checklists, seen = list(old), {f"S{9000 + i}": list(SPECIES) for i in range(6)}
    for one, what in pairs:
        checklists.append(one)
        seen[one["SAMPLING EVENT IDENTIFIER"]] = what
    # So that every species is somewhere present and somewhere absent.
    checklists += [checklist(9100, (70, 10), "2023-01-01"), checklist(9101, (71, 10), "2023-01-01")]
    seen["S9100"] = list(SPECIES)
    return checklists, seen


def at(dataset, longitude):
    (rows,) = [rows for place, rows in truth_of(dataset).items() if place[0] == longitude]
    return [rows[0][name] for name in SPECIES]


def test_what_says_neither_is_not_surveyed(tmp_path):
    major = {"SCIENTIFIC NAME": "Parus major"}
    date = "2023-05-03"
    checklists, seen = few(
        (checklist(1, (1, 1), date), [{**major, "OBSERVATION COUNT": "0"}]),
        (checklist(2, (2, 1), date), [{**major, "APPROVED": "0"}]),
        (checklist(3, (3, 1), date), [{**major, "CATEGORY": "intergrade"}]),
        (checklist(4, (4, 1), date), [{**major, "CATEGORY": "domestic", "SCIENTIFIC NAME": "Anas acuta (Domestic)"}]),
        (checklist(5, (5, 1), date), [{**major, "CATEGORY": "slash", "SCIENTIFIC NAME": "Parus major/ater"}]),
        (checklist(6, (6, 1), date), [{**major, "CATEGORY": "issf"}, {**major, "CATEGORY": "form"}]),
        (checklist(7, (7, 1), date), [{**major, "OBSERVATION COUNT": "X"}]),
        (checklist(8, (8, 1), date), []),
        (checklist(9, (9, 1), date, complete="0"), ["Turdus merula"]),
    )
    dataset = build(write(tmp_path, checklists, seen), {"years": [2023]})
    assert [at(dataset, longitude) for longitude in range(1, 9)] == [
        [0, 0, 0],
        [-1, 0, 0],
        [-1, 0, 0],
        [0, -1, 0],
        [0, 0, 0],
        [1, 0, 0],
        [1, 0, 0],
        [0, 0, 0],
    ]
    assert 9.0 not in {place[0] for place in truth_of(dataset)}
    assert dataset.facts["checklists_without_records"] == 2
    assert dataset.facts["species_unclear_on_a_checklist"] == 4
    kept = build(write(tmp_path, checklists, seen), {"years": [2023], "without_records": "drop"})
    assert {place[0] for place in truth_of(kept)} == {1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 70.0}
    more = build(
        write(tmp_path, checklists, seen),
        {"years": [2023]},
        unapproved="keep",
        categories=["species", "issf", "intergrade"],
    )
    assert [at(more, longitude)[0] for longitude in (2, 3)] == [1, 1]


def test_a_group_is_one_visit_with_what_any_of_it_saw(tmp_path):
    date = "2023-05-03"
    checklists, seen = few(
        (checklist(12, (1, 1), date, group="G1"), ["Parus major"]),
        (checklist(11, (1.5, 1), date, group="G1"), ["Anas acuta"]),
        (checklist(13, (1, 1), date, group="G1", complete="0"), ["Turdus merula"]),
    )
    dataset = build(write(tmp_path, checklists, seen), {"years": [2023], "repeated_visits": "keep"})
    # At the place of the first; what the incomplete one of the group has was there as well.
    assert at(dataset, 1.5) == [1, 1, 1]
    assert 1.0 not in {place[0] for place in truth_of(dataset)}
    assert dataset.facts["checklists_of_a_group_left_out"] == 1


def test_a_group_on_both_sides_of_the_area_is_no_truth(tmp_path):
    date = "2023-05-03"
    checklists, seen = few(
        (checklist(1, (14.99, 10), date, group="G1"), ["Parus major"]),
        (checklist(2, (15.01, 10), date, group="G1"), ["Parus major"]),
        (checklist(3, (14, 10), date), ["Parus major"]),
        (checklist(4, (13, 10), date), ["Anas acuta"]),
    )
    evaluation = {"area": {"kind": "region", "box": [0.0, 0.0, 15.0, 90.0]}}
    dataset = build(write(tmp_path, checklists, seen), evaluation)
    assert {place[0] for place in truth_of(dataset)} == {13.0, 14.0}


def test_visits_of_a_place_are_merged_or_kept(tmp_path):
    checklists, seen = few(
        (checklist(1, (1, 1), "2023-05-03"), ["Parus major"]),
        (checklist(2, (1, 1), "2023-08-03"), ["Anas acuta"]),
    )
    paths = write(tmp_path, checklists, seen)
    assert truth_of(build(paths, {"years": [2023]}))[(1.0, 1.0)] == [dict(zip(SPECIES, (1, 1, 0), strict=True))]
    kept = truth_of(build(paths, {"years": [2023], "repeated_visits": "keep"}))[(1.0, 1.0)]
    assert kept == [dict(zip(SPECIES, row, strict=True)) for row in ((1, 0, 0), (0, 1, 0))]
    weeks = build(paths, {"years": [2023]}, weeks=True)
    assert sorted(weeks.survey.week_M[weeks.survey.sites_M2[:, 0] == 1].tolist()) == [17, 29]


def test_effort_of_the_truth_alone(tmp_path):
    checklists, seen = few(
        (checklist(1, (1, 1), "2023-05-03", minutes="600"), ["Parus major"]),
        (checklist(2, (2, 1), "2023-05-03", minutes=""), ["Parus major"]),
    )
    paths = write(tmp_path, checklists, seen)
    dataset = build(paths, {"years": [2023], "effort": {"effort_hours": 6}})
    assert {place[0] for place in truth_of(dataset)} == {70.0, 71.0}
    assert len(dataset.training.records.species_P) == 18
    # 6 of 2020 and 4 of 2023, of which one took too long, and one does not say how long.
    steps = [("checklists read", 10), ("effort at most 6 hours", 8), ("of the years 2023", 2)]
    assert [step for step in dataset.survey_filters if step in steps] == steps


def test_some_of_many_sites(tmp_path):
    """As many as asked for, each with all of its visits, whatever the order of the file."""
    checklists, seen = many(n=150)
    evaluation = {"years": [2022, 2023]}
    whole = truth_of(build(write(tmp_path, checklists, seen), evaluation))
    dataset = build(write(tmp_path, checklists, seen), evaluation, evaluation_sites=12)
    drawn = truth_of(dataset)
    assert len(drawn) == 12
    assert all(whole[place] == rows for place, rows in drawn.items())
    assert dataset.facts["evaluation_sites_found"] == len(whole)
    again = truth_of(build(write(tmp_path, checklists[::-1], seen), evaluation, evaluation_sites=12))
    assert again == drawn
    other = truth_of(build(write(tmp_path, checklists, seen), evaluation, evaluation_sites=12, seed=1))
    assert set(other) != set(drawn)


def test_what_is_drawn_does_not_depend_on_how_the_file_is_read(tmp_path, monkeypatch):
    checklists, seen = many(n=200)
    paths = write(tmp_path, checklists, seen)
    wholes = {}
    for visits in ("merge", "keep"):
        evaluation = {"years": [2022, 2023], "repeated_visits": visits}
        wholes[visits] = build(paths, evaluation, evaluation_sites=12)
        assert len(wholes[visits].survey.sites_M2) == 12
    monkeypatch.setattr(text_blocks, "BLOCK_BYTES", 2_000)
    monkeypatch.setattr(sampling_file, "_WAITING", 10)
    for visits, whole in wholes.items():
        evaluation = {"years": [2022, 2023], "repeated_visits": visits}
        parts = build(paths, evaluation, evaluation_sites=12)
        assert truth_of(parts) == truth_of(whole)
        assert parts.facts == whole.facts


def test_checklists_that_the_sampling_file_lacks(tmp_path):
    checklists, seen = few((checklist(1, (1, 1), "2023-05-03"), ["Parus major"]))
    path, sampling = write(tmp_path, checklists, seen)
    lines = sampling.read_text().splitlines(keepends=True)
    sampling.write_text("".join(line for line in lines if not line.startswith("S1\t")))
    dataset = build((path, sampling), {"years": [2023]})
    assert dataset.facts["checklists_not_in_the_sampling_file"] == 1
    assert any("1 complete checklists that are held out" in note for note in dataset.notes)
    assert 1.0 not in {place[0] for place in truth_of(dataset)}


class TestBadFiles:
    def failure(self, paths, evaluation=None, **given):
        with pytest.raises(DataError) as error:
            build(paths, evaluation or {"years": [2023]}, **given)
        assert "\n" not in str(error.value)
        return str(error.value)

    def test_the_ebd_in_place_of_the_sampling_file(self, tmp_path):
        path, _ = write(tmp_path, *many())
        assert self.failure((path, path)) == (
            f"{path}: has a column 'SCIENTIFIC NAME', and is another table than the one asked for"
        )

    def test_files_of_two_downloads(self, tmp_path):
        checklists, seen = many()
        path, _ = write(tmp_path, checklists, seen)
        other = [
            {**one, "SAMPLING EVENT IDENTIFIER": f"S7{i:06}", "GROUP IDENTIFIER": ""}
            for i, one in enumerate(checklists)
        ]
        (tmp_path / "other.txt").write_text(table(other, SHARED))
        assert "must be of one download" in self.failure((path, tmp_path / "other.txt"))

    def test_a_year_without_checklists(self, tmp_path):
        assert "no checklist is left for the truth" in self.failure(write(tmp_path, *many()), {"years": [1999]})


@needs_real
def test_the_real_extract():
    """Auk makes 706 visits of 729 checklists; here those within a box, zero-filled by a double loop."""
    ebd, sampling = REAL / "zerofill-ex_ebd.txt", REAL / "zerofill-ex_sampling.txt"
    read = {"separator": "\t", "quote_char": None, "infer_schema": False}
    key = pl.coalesce("GROUP IDENTIFIER", "SAMPLING EVENT IDENTIFIER").alias("key")
    visits = pl.read_csv(sampling, **read).with_columns(key)
    assert visits["key"].n_unique() == 706
    seen = set(pl.read_csv(ebd, **read).with_columns(key).select("key", "SCIENTIFIC NAME").iter_rows())
    box = [103.0, 1.0, 103.8, 2.0]
    dataset = build((ebd, sampling), {"area": {"kind": "region", "box": box}, "repeated_visits": "keep"}, weeks=True)
    inside = visits.filter(pl.col("LONGITUDE").cast(pl.Float64) <= 103.8)["key"].unique()
    assert len(dataset.survey.sites_M2) == len(inside)
    assert dataset.survey.truth.surveyed_per_species().tolist() == [len(inside)] * len(dataset.survey.species)
    assert dataset.survey.truth.presences_per_species().tolist() == [
        sum((visit, name) in seen for visit in inside) for name in dataset.survey.species
    ]


def test_observations_without_an_identifier_make_no_absence(tmp_path):
    date, none = "2023-05-03", {"SAMPLING EVENT IDENTIFIER": ""}
    lost = {"SCIENTIFIC NAME": "Parus major", **none}
    checklists, seen = few(
        (checklist(1, (1, 1), date), [lost, {**lost, "SCIENTIFIC NAME": "Anas acuta"}, "Anas acuta"]),
        # Of another day, of no known one, and of another place.
        (checklist(2, (2, 1), date), [{**lost, "OBSERVATION DATE": "2023-05-04"}]),
        (checklist(3, (3, 1), date), [{**lost, "OBSERVATION DATE": ""}]),
        (checklist(4, (4, 1), date), [{**lost, "LATITUDE": "9"}]),
        (checklist(5, (5, 1), date), [{**lost, "CATEGORY": "spuh", "SCIENTIFIC NAME": "Parus sp."}]),
        (checklist(6, (6, 1), date), [{**lost, "OBSERVATION COUNT": "0"}]),
        (checklist(7, (7, 1), date, group="G7"), [lost]),
    )
    dataset = build(write(tmp_path, checklists, seen), {"years": [2023]})
    assert [at(dataset, longitude) for longitude in range(1, 8)] == [
        [-1, 1, 0],
        [0, 0, 0],
        [-1, 0, 0],
        [0, 0, 0],
        [0, 0, 0],
        [0, 0, 0],
        # The group says what checklist it is of.
        [1, 0, 0],
    ]
    note = "7 observations of the EBD have no SAMPLING EVENT IDENTIFIER"
    assert any(one.startswith(note) for one in dataset.notes)


def test_an_ebd_without_any_identifier(tmp_path):
    checklists, seen = few((checklist(1, (1, 1), "2023-05-03"), ["Parus major"]))
    lost = {"SAMPLING EVENT IDENTIFIER": ""}
    seen = {number: [{"SCIENTIFIC NAME": name, **lost} for name in names] for number, names in seen.items()}
    with pytest.raises(DataError, match=r"of one download \(22 of its observations have no SAMPLING EVENT IDENTIFIER"):
        build(write(tmp_path, checklists, seen), {"years": [2023]})


def test_negative_effort_is_unknown(tmp_path):
    checklists, seen = few((checklist(1, (1, 1), "2023-05-03", minutes="-5"), ["Parus major"]))
    dataset = build(write(tmp_path, checklists, seen), {"years": [2023], "effort": {"effort_hours": 6}})
    assert 1.0 not in {place[0] for place in truth_of(dataset)}
    assert "effort at most 6 hours - not understood: '-5' (1)" in dict(dataset.survey_filters)


def test_no_year_and_no_area_is_no_choice(tmp_path):
    with pytest.raises(SettingsError, match="a year or an area to hold out; years is empty and there is no area"):
        build(write(tmp_path, *many(n=5)), {"years": []})


def test_an_ebd_without_the_column_of_identifiers(tmp_path):
    paths = write(tmp_path, *many(n=20))
    text = paths[0].read_text().replace("SAMPLING EVENT IDENTIFIER", "OTHER")
    paths[0].write_text(text)
    with pytest.raises(DataError, match=r"no column 'SAMPLING EVENT IDENTIFIER'; it"):
        build(paths, {"years": [2022, 2023]})
