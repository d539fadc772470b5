"""GBIF's formats with the same records, written out here with what each does to them."""

import gzip
import zipfile

import polars as pl
import pytest
from support.records import vocabulary

from presence_only.common.errors import DataError
from presence_only.common.settings import SettingsError
from presence_only.data.sites import sites_of
from presence_only.datasets import build_dataset, parse_dataset
from presence_only.datasets.gbif import DatasetSettings, read_records
from presence_only.occurrences.records import places

COLUMNS = [
    "gbifID",
    "datasetKey",
    "kingdom",
    "phylum",
    "class",
    "order",
    "genus",
    "species",
    "infraspecificEpithet",
    "taxonRank",
    "locality",
    "occurrenceStatus",
    "individualCount",
    "decimalLatitude",
    "decimalLongitude",
    "coordinateUncertaintyInMeters",
    "eventDate",
    "day",
    "month",
    "year",
    "taxonKey",
    "speciesKey",
    "basisOfRecord",
    "mediaType",
    "issue",
]
GOOD = {
    "datasetKey": "50c9509d",
    "kingdom": "Animalia",
    "phylum": "Chordata",
    "class": "Aves",
    "order": "Passeriformes",
    "genus": "Parus",
    "species": "Parus major",
    "taxonRank": "SPECIES",
    "occurrenceStatus": "PRESENT",
    "decimalLatitude": "51.34",
    "decimalLongitude": "12.37",
    "coordinateUncertaintyInMeters": "25.0",
    "eventDate": "2019-05-03T10:11",
    "day": "3",
    "month": "5",
    "year": "2019",
    "taxonKey": "9705453",
    "speciesKey": "9705453",
    "basisOfRecord": "HUMAN_OBSERVATION",
    "mediaType": "StillImage;StillImage",
    "issue": "CONTINENT_DERIVED_FROM_COORDINATES;GEODETIC_DATUM_ASSUMED_WGS84",
}
# What differs from a good record, and whether it is kept by default.
RECORDS = [
    ({}, True),
    ({"locality": 'near "Old Mill'}, False),  # The same species, site and date.
    ({"decimalLatitude": "51.34001", "locality": '"Göttingen'}, True),
    ({"eventDate": "", "day": "", "month": "", "year": ""}, True),
    ({"species": "Rana temporaria", "speciesKey": "2426805", "class": "Amphibia"}, True),
    ({"taxonRank": "SUBSPECIES", "infraspecificEpithet": "minor", "taxonKey": "6", "decimalLongitude": "1"}, True),
    ({"taxonRank": "GENUS", "species": "", "speciesKey": "", "decimalLongitude": "2"}, False),
    ({"decimalLatitude": "", "decimalLongitude": ""}, False),
    ({"decimalLatitude": "0.0", "decimalLongitude": "0.0"}, False),
    ({"decimalLongitude": "3", "issue": "COUNTRY_COORDINATE_MISMATCH"}, False),
    ({"decimalLongitude": "4", "issue": "A;ZERO_COORDINATE;B"}, False),
    ({"decimalLongitude": "5", "issue": "NOT_ZERO_COORDINATE"}, True),
    ({"decimalLongitude": "6", "coordinateUncertaintyInMeters": "10001"}, False),
    ({"decimalLongitude": "7", "coordinateUncertaintyInMeters": "301.0"}, False),
    ({"decimalLongitude": "8", "coordinateUncertaintyInMeters": ""}, True),
    ({"decimalLongitude": "9", "basisOfRecord": "FOSSIL_SPECIMEN"}, False),
    ({"decimalLongitude": "10", "basisOfRecord": "PRESERVED_SPECIMEN"}, True),
    ({"decimalLongitude": "11", "occurrenceStatus": "ABSENT"}, False),
    ({"decimalLongitude": "12", "individualCount": "0"}, False),
    ({"decimalLongitude": "13", "individualCount": "7", "occurrenceStatus": ""}, True),
    ({"decimalLongitude": "14", "year": "1899", "eventDate": "1899-05-03"}, False),
    # Written by hand: the span is of days, so there is no day, but there is a year.
    ({"decimalLongitude": "15", "eventDate": "1850-01-01/1850-01-09", "year": "", "month": "", "day": ""}, False),
    ({"species": "Salmo trutta", "speciesKey": "8215487", "class": "", "decimalLongitude": "16"}, True),
]
FUNNEL = (
    ("read", 23),
    ("coordinates given and possible", 22),
    ("coordinates not 0, 0", 21),
    ("issue is no geospatial one", 19),
    ("distanceFromCentroidInMeters at least 2000 - not in the file", 19),
    ("coordinate uncertainty at most 10000 m", 18),
    ("coordinate uncertainty not that of a centroid (301, 999, 3036, 9999 m)", 17),
    ("basisOfRecord is allowed", 16),
    ("occurrenceStatus is PRESENT", 15),
    ("individualCount is not 0", 14),
    ("year 1900..", 12),
    ("of a species", 11),
    ("duplicates of species, site and date", 10),
)
SPECIES = ("Parus major", "Rana temporaria", "Salmo trutta")
GROUPS = ("Aves", "Amphibia", "Chordata")
KEPT_SPECIES = [0, 0, 0, 1, 0, 0, 0, 0, 0, 2]
KEPT_SITES = [
    [12.37, 51.34],
    [12.37, 51.34001],
    [12.37, 51.34],
    [12.37, 51.34],
    [1.0, 51.34],
    [5.0, 51.34],
    [8.0, 51.34],
    [10.0, 51.34],
    [13.0, 51.34],
    [16.0, 51.34],
]


def simple_csv(records=RECORDS, columns=COLUMNS):
    lines = ["\t".join(columns)]
    for number, (changes, _) in enumerate(records):
        row = GOOD | {"gbifID": str(number)} | changes
        lines.append("\t".join(row.get(name, "") for name in columns))
    return "\n".join(lines) + "\n"


def settings(path, **given):
    raw = {"kind": "gbif", "path": str(path), "min_records": 1, **given}
    return DatasetSettings.parse(raw, "datasets.x")


def read(path, **given):
    return read_records(settings(path, **given))


def parquet(lists=None):
    """The records as a snapshot has them: lower-case names, numbers, nulls, and issues in a list."""
    table = pl.read_csv(
        simple_csv().encode(), separator="\t", quote_char=None, infer_schema=False, null_values=[""]
    ).rename(str.lower)
    numbers = dict.fromkeys(("decimallatitude", "decimallongitude", "coordinateuncertaintyinmeters"), pl.Float64)
    numbers |= dict.fromkeys(("year", "month", "day", "taxonkey", "specieskey", "individualcount"), pl.Int32)
    issue = pl.col("issue").str.split(";")
    if lists == "of structs":
        issue = issue.list.eval(pl.struct(array_element=pl.element()))
    elif lists == "in a struct":
        issue = pl.struct(array=issue)
    return table.cast(numbers).with_columns(issue.alias("issue"))


def write(path, form):
    if form == "csv":
        path.write_text(simple_csv(), encoding="utf-8")
    elif form == "gz":
        path.write_bytes(gzip.compress(simple_csv().encode()))
    elif form == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("0000123-200613084148143.csv", simple_csv())
    elif form == "archive":
        terms = "http://rs.tdwg.org/dwc/terms/"
        fields = "".join(f'<field index="{i}" term="{terms}{name}"/>' for i, name in enumerate(COLUMNS))
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("occurrence.txt", simple_csv())
            archive.writestr("verbatim.txt", "gbifID\n1\n")
            archive.writestr(
                "meta.xml",
                '<archive xmlns="http://rs.tdwg.org/dwc/text/"><core encoding="UTF-8" fieldsTerminatedBy="\\t" '
                f'fieldsEnclosedBy="" ignoreHeaderLines="1" rowType="{terms}Occurrence"><files>'
                f'<location>occurrence.txt</location></files><id index="0"/>{fields}</core></archive>',
            )
    elif form == "parquet":
        parquet().write_parquet(path)
    elif form == "parquet of structs":
        parquet("of structs").write_parquet(path)
    elif form == "parquet in a struct":
        parquet("in a struct").write_parquet(path)
    elif form == "snapshot":
        path.mkdir()
        table = parquet()
        table[:9].write_parquet(path / "000000")
        table[9:].write_parquet(path / "000001")
    return path


FORMS = (
    "csv",
    "gz",
    "zip",
    "archive",
    "parquet",
    "parquet of structs",
    "parquet in a struct",
    "snapshot",
)


class TestForms:
    @pytest.mark.parametrize("form", FORMS)
    def test_all_give_the_same_records(self, tmp_path, form):
        found = read(write(tmp_path / "download", form))
        assert found.filters == FUNNEL
        assert vocabulary(found) == (SPECIES, GROUPS)
        assert places(found.table["species"]).tolist() == KEPT_SPECIES
        assert sites_of(found.table).tolist() == KEPT_SITES
        assert "week" not in found.table.columns

    def test_the_table_of_records_agrees_with_what_is_said_of_them(self):
        assert len(KEPT_SITES) == sum(kept for _, kept in RECORDS)

    def test_weeks(self, tmp_path):
        path = tmp_path / "a.csv"
        changes = [
            {},
            {"day": "", "month": "", "year": "", "eventDate": "2018-12-31T00:00:00", "decimalLongitude": "1"},
            {"day": "", "month": "", "year": "", "eventDate": "2018-12", "decimalLongitude": "2"},
            {"day": "", "month": "", "year": "", "eventDate": "2018-12-01/2018-12-02", "decimalLongitude": "3"},
        ]
        path.write_text(simple_csv([(change, True) for change in changes]))
        found = read(path, weeks=True)
        # 3 May is in the first week of the fifth month, 31 December in the last of all.
        assert found.table["week"].to_list() == [17, 48]
        assert ("date known to the day", 2) in found.filters

    def test_distance_from_centroid(self, tmp_path):
        columns = [*COLUMNS, "distanceFromCentroidInMeters"]
        changes = [
            {"distanceFromCentroidInMeters": distance, "decimalLongitude": str(i)}
            for i, distance in enumerate(["1999.9", "2000", "", "0.0"])
        ]
        path = tmp_path / "a.csv"
        path.write_text(simple_csv([(change, True) for change in changes], columns))
        assert read(path).table["longitude"].to_list() == [1.0, 2.0]
        assert read(path, centroid_distance_m=0.0).table["longitude"].to_list() == [0.0, 1.0, 2.0, 3.0]

    def test_publishers_own_archive(self, tmp_path):
        """No species but genus and epithet, words in their own case, no key, no status."""
        path = tmp_path / "a.tsv"
        path.write_text(
            "genus\tspecificEpithet\ttaxonRank\tdecimalLatitude\tdecimalLongitude\tbasisOfRecord\tkingdom\n"
            "Parus\tmajor\tspecies\t51\t12\tHumanObservation\tAnimalia\n"
            "Parus\t\tgenus\t51\t12\tHumanObservation\tAnimalia\n"
            "Pica\tpica\tspecies\t51\t12\tFossilSpecimen\tAnimalia\n"
            "Pica\tpica\tspecies\t51\t12\tpreserved specimen\tAnimalia\n"
        )
        found = read(path)
        assert vocabulary(found) == (("Parus major", "Pica pica"), ("Animalia", "Animalia"))
        assert len(found.table) == 2

    def test_tables_that_went_through_a_spreadsheet(self, tmp_path):
        """Commas, quotes, a byte order mark, carriage returns, and whole numbers with decimals."""
        path = tmp_path / "a.csv"
        path.write_text(
            "\ufeffspecies,decimalLatitude,decimalLongitude,year,month,day,locality\r\n"
            '"Pica pica",51.5,12.25,2019.0,5.0,3.0,"a, b"\r\n',
            encoding="utf-8",
            newline="",
        )
        found = read(path, weeks=True, min_year=2019)
        assert (vocabulary(found)[0], sites_of(found.table).tolist(), found.table["week"].to_list()) == (
            ("Pica pica",),
            [[12.25, 51.5]],
            [17],
        )

    def test_flags_are_words_and_not_patterns(self, tmp_path):
        assert len(read(write(tmp_path / "a", "csv"), issues=["A(B", ".*"]).table) == 12


H = "species\tdecimalLatitude\tdecimalLongitude"
# Lines of tables that users have, and the records of each species that are kept.
TABLES = {
    "genus and epithet": (
        [
            "Genus,Species,Lat,Lon",
            "Blechnum,vulgare,1,2",
            "Thymus,vulgare,2,3",
            ",Picea abies,3,4",
            "Poa,,4,5",
            ",una,5,6",
        ],
        {"Blechnum vulgare": 1, "Thymus vulgare": 1, "Picea abies": 1},
    ),
    "scientific names": (
        [
            "scientificName,taxonRank,x,y",
            "Abies una Mill.,species,1,2",
            "Abies una minor,,2,3",
            "Abies Mill.,genus,3,4",
            "Abies,,4,5",
            "BOLD:AAA1,,5,6",
            "Abies una × alba,hybrid,6,7",
        ],
        {"Abies una": 2},
    ),
    "an empty species column": (
        [
            "species,genus,specificEpithet,scientificName,lat,lon",
            ",Abies,una,,1,2",
            ",,,Abies una L.,2,3",
            "Abies una,,,,3,4",
            ",Abies,sp.,,4,5",
        ],
        {"Abies una": 3},
    ),
    "spellings": (
        [
            "species,lat,lon",
            '"Abies',
            'una",1,2',
            "Abies  una,2,3",
            "ABIES UNA,3,4",
            '"Abies una L., 1758",4,5',
            "NA,5,6",
        ],
        {"Abies una": 4},
    ),
    "ranks": (
        ["species,taxonRank,lat,lon", "Abies una,SPECIES,1,2", "Abies una,GENUS,2,3", "Abies una,Sub Genus,3,4"],
        {"Abies una": 1},
    ),
    "keys": (
        [
            "species,speciesKey,lat,lon",
            "Abies una,12,1,2",
            "Abies una,12.0,2,3",
            "Abies una,1.2e1,3,4",
            "Abies una,,4,5",
        ],
        {"Abies una": 4},
    ),
    "statuses": (
        [
            "species,occurrenceStatus,lat,lon",
            "Abies una,present,1,2",
            "Abies una,common,2,3",
            "Abies una,NA,3,4",
            "Abies una,0,4,5",
            "Abies una,Not detected,5,6",
            "Abies una,maybe,6,7",
        ],
        {"Abies una": 4},
    ),
    "bases": (
        [
            "species,basisOfRecord,lat,lon",
            "Abies una,Human Observation,1,2",
            "Abies una,specimen,2,3",
            "Abies una,NA,3,4",
            "Abies una,Fossil,4,5",
            "Abies una,what,5,6",
        ],
        {"Abies una": 4},
    ),
}


class TestUsersTables:
    @pytest.mark.parametrize(("lines", "kept"), TABLES.values(), ids=TABLES)
    def test_which_records_are_kept(self, tmp_path, lines, kept):
        path = tmp_path / "a.csv"
        path.write_text("\n".join(lines))
        found = read(path)
        assert dict(found.table["species"].cast(pl.String).value_counts().iter_rows()) == kept

    def test_the_funnel_names_the_words_that_were_not_understood(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text("\n".join(TABLES["statuses"][0]))
        assert ("occurrenceStatus is PRESENT - not understood: 'maybe' (1)", 4) in read(path).filters
        path.write_text("\n".join(TABLES["bases"][0]))
        assert ("basisOfRecord is allowed - not understood: 'what' (1)", 4) in read(path).filters
        assert ("basisOfRecord is allowed - not understood: 'what' (1)", 2) in read(path, unknown_basis="drop").filters
        assert len(read(path, basis_of_record=["What"], unknown_basis="drop").table) == 1

    def test_uncertainties_and_places_in_words(self, tmp_path):
        path = tmp_path / "a.tsv"
        path.write_text(f"{H}\tcoordinateUncertaintyInMeters\nA b\t1\t2\t30 m\nA b\t 2 \t3\t 50000\nA b\t1,5\t3\t\n")
        found = read(path)
        assert sites_of(found.table).tolist() == [[2.0, 1.0]]
        assert found.filters[1] == (
            "coordinates given and possible - no degrees: 'longitude 3, latitude 1,5' (1)",
            2,
        )
        assert ("coordinate uncertainty at most 10000 m - not understood: '30 m' (1)", 1) in found.filters

    def test_visits_with_dates_that_were_not_read_stay_apart(self, tmp_path):
        path = tmp_path / "a.tsv"
        dates = ["03/05/2020", "04/05/2020", "03/05/2020", "2020-5-3", "3.5.2020", "2020-05-03T01:00/2020-05-03T02:00"]
        path.write_text(f"{H}\teventDate\n" + "".join(f"A b\t1\t2\t{date}\n" for date in dates))
        found = read(path)
        assert len(found.table) == 3
        assert ("year 1900.. - not understood: '03/05/2020' (2), '04/05/2020' (1)", 6) in found.filters
        assert read(path, weeks=True).table["week"].to_list() == [17]

    def test_months_in_words_and_days_that_do_not_exist(self, tmp_path):
        path = tmp_path / "a.tsv"
        rows = [("May", "3"), ("V", "3.0"), ("5", " 3"), ("2", "31"), ("so", "3"), ("on", "3")]
        path.write_text(f"{H}\tyear\tmonth\tday\n" + "".join(f"A b\t1\t2\t2020\t{m}\t{d}\n" for m, d in rows))
        assert len(read(path).table) == 4
        found = read(path, weeks=True)
        assert found.table["week"].to_list() == [17]
        name = "date known to the day - not understood: '2020-2-31' (1), 'on' (1), 'so' (1)"
        assert (name, 3) in found.filters

    def test_counts_in_words(self, tmp_path):
        path = tmp_path / "a.tsv"
        path.write_text(f"{H}\tindividualCount\nA b\t1\t2\t 0\nA b\t1\t3\tmany\nA b\t1\t4\t\n")
        assert ("individualCount is not 0 - not understood: 'many' (1)", 2) in read(path).filters

    def test_groups_in_any_case(self, tmp_path):
        path = tmp_path / "a.tsv"
        path.write_text(f"{H}\tclass\nA b\t1\t2\tAVES\nA c\t1\t3\taves\nA d\t1\t4\tAves\nA e\t1\t5\tNA\n")
        assert vocabulary(read(path))[1] == ("Aves", "Aves", "Aves", "unknown")

    def test_ragged_rows_by_choice(self, tmp_path):
        path = tmp_path / "a.tsv"
        path.write_text(f"{H}\tlocality\nA b\t1\t2\tx\nA b\t2\t3\n")
        with pytest.raises(DataError, match="or set ragged_rows: mend if only empty cells"):
            read(path)
        assert len(read(path, ragged_rows="mend").table) == 2


class TestSettings:
    @pytest.mark.parametrize(
        ("given", "rows"),
        [
            ({"issues": []}, 12),
            ({"basis_of_record": []}, 11),
            ({"basis_of_record": ["PRESERVED_SPECIMEN"]}, 1),
            ({"absences": "keep"}, 12),
            ({"infraspecific": "drop"}, 9),
            ({"drop_duplicates": False}, 11),
            ({"min_year": None}, 12),
            ({"unknown_year": "drop"}, 9),
            ({"max_uncertainty_m": None}, 11),
            ({"min_records": 2}, 8),
            ({"max_per_species": 3}, 5),
        ],
    )
    def test_each_rule_can_be_changed(self, tmp_path, given, rows):
        assert len(read(write(tmp_path / "a", "csv"), **given).table) == rows

    @pytest.mark.parametrize(
        ("rank", "groups"),
        [
            ("order", ("Passeriformes", "Passeriformes", "Passeriformes")),
            ("phylum", ("Chordata", "Chordata", "Chordata")),
            ("kingdom", ("Animalia", "Animalia", "Animalia")),
        ],
    )
    def test_groups(self, tmp_path, rank, groups):
        assert vocabulary(read(write(tmp_path / "a", "csv"), group=rank))[1] == groups

    def test_an_unknown_key_is_an_error(self):
        with pytest.raises(SettingsError, match=r"unknown key 'max_uncertainty' in datasets\.x; known: absences, "):
            settings("x", max_uncertainty=5)

    def test_a_path_is_needed(self):
        with pytest.raises(SettingsError, match=r"missing key 'datasets\.x\.path'"):
            DatasetSettings.parse({"kind": "gbif"}, "datasets.x")


GREENWICH = simple_csv([({"decimalLongitude": text}, True) for text in ("1", "200", "359.5")])
# What a file holds, and the sentence about it, behind its path.
BAD_FILES = {
    "species list": (
        "taxonKey\tscientificName\tnumberOfOccurrences\n1\tx\t2\n",
        ": no column 'decimalLongitude', 'decimalLatitude'; its first columns are 'taxonKey', 'scientificName', "
        "'numberOfOccurrences': is this the right file?",
    ),
    "no species": (
        "decimalLatitude\tdecimalLongitude\n1\t2\n",
        ": no column 'species', nor 'genus' and 'specificEpithet', nor 'scientificName'; one of them is needed to "
        "name a species",
    ),
    "longitudes from Greenwich": (
        GREENWICH,
        ": longitudes reach 359.5 and none is negative, so they run from 0 to 360; "
        "set longitudes: 0..360 to have them converted",
    ),
}


class TestBadFiles:
    def failure(self, path):
        with pytest.raises(DataError) as error:
            read(path)
        assert "\n" not in str(error.value)
        return str(error.value).removeprefix(str(path))

    @pytest.mark.parametrize(("text", "sentence"), BAD_FILES.values(), ids=BAD_FILES)
    def test_a_wrong_file_is_one_sentence(self, tmp_path, text, sentence):
        path = tmp_path / "a.csv"
        path.write_text(text)
        assert self.failure(path) == sentence

    def test_missing(self, tmp_path):
        assert self.failure(tmp_path / "a.csv") == ": there is no such file"

    def test_a_setting_converts_longitudes_from_greenwich(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text(GREENWICH)
        assert read(path, longitudes="0..360").table["longitude"].to_list() == [1.0, -160.0, -0.5]

    def test_numbers_with_decimal_commas_are_none(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text("species;decimalLatitude;decimalLongitude\nPica pica;51,3;12,4\n")
        assert self.failure(path) == (
            ": no row has a longitude within -180..180 and a latitude within -90..90; they say 'longitude 12,4, "
            "latitude 51,3' (1): write numbers of degrees with a decimal point"
        )


def test_a_download_becomes_a_data_set(tmp_path):
    """Six species in two clusters, from the settings to training data and survey."""
    records = []
    for i in range(240):
        records.append(
            (
                {
                    "species": f"Genus s{i % 6}",
                    "speciesKey": str(i % 6),
                    "class": "Aves" if i % 2 else "Mammalia",
                    "decimalLongitude": str(5 + (i % 40) * 0.5),
                    "decimalLatitude": str(45 + (i // 40) * 1.5),
                },
                True,
            )
        )
    path = tmp_path / "a.csv"
    path.write_text(simple_csv(records))
    raw = {"kind": "gbif", "path": str(path), "background_sites": 50, "weeks": True}
    dataset = build_dataset(parse_dataset(raw, "datasets.mine"))
    assert dataset.filters[0] == ("read", 240)
    assert dataset.training.records.species == tuple(f"Genus s{i}" for i in range(6))
    assert set(dataset.training.records.week_N.tolist()) == {17}
    assert dataset.survey.species == dataset.training.records.species
