"""Small downloads of GeoPlant in the layouts of its years, and what they say in plain Python.

Files, folders and columns are those of the published downloads. Values have what real ones have: numbers of species
and months as floats, areas that are -inf or blank, rows of one survey that disagree in area, rows in any order.
"""

import csv
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

COLUMNS = {
    "bioclimatic": ["Bio1", "Bio12"],
    "elevation": ["Elevation"],
    "landcover": ["LandCover-1", "LandCover-2"],
    "soilgrids": ["Soilgrid-phh2o"],
    "human_footprint": ["HumanFootprint-road"],
}
# Folder and name of a table of predictors, by year, theme and side.
FOLDERS = {
    2024: {
        "bioclimatic": "EnvironmentalRasters/EnvironmentalRasters/Climate/Average 1981-2010",
        "elevation": "EnvironmentalRasters/EnvironmentalRasters/Elevation",
        "landcover": "EnvironmentalRasters/EnvironmentalRasters/LandCover",
        "soilgrids": "EnvironmentalRasters/EnvironmentalRasters/SoilGrids",
        "human_footprint": "EnvironmentalRasters/EnvironmentalRasters/Human Footprint",
    },
    2025: {
        "bioclimatic": "EnvironmentalValues/ClimateAverage_1981-2010",
        "elevation": "EnvironmentalValues/Elevation",
        "landcover": "EnvironmentalValues/LandCover",
        "soilgrids": "EnvironmentalValues/SoilGrids",
        "human_footprint": "EnvironmentalValues/HumanFootprint",
    },
    2026: {
        "bioclimatic": "EnvironmentalValues/Climate",
        "elevation": "EnvironmentalValues/Elevation",
        "landcover": "EnvironmentalValues/LandCover",
        "soilgrids": "EnvironmentalValues/SoilGrids/v2",
        "human_footprint": "EnvironmentalValues/HumanFootprint/v2",
    },
}
PREFIX = {2024: "GLC24", 2025: "GLC25", 2026: ""}
RECORDS = {
    2023: "Presence_only_occurrences/Presences_only_train.csv",
    2024: "PresenceOnlyOccurrences/GLC24_PO_metadata_train.csv",
    2025: "GLC25_P0_metadata_train.csv",
    2026: "PresenceOnlyOccurrences/PO_metadata_train.csv",
}
SURVEYS = {
    2023: "Presence_Absence_surveys/Presences_Absences_train.csv",
    2024: "PresenceAbsenceSurveys/GLC24_PA_metadata_train.csv",
    2025: "GLC25_PA_metadata_train.csv",
    2026: "PresenceAbsenceSurveys/PA_metadata_train.csv",
}
SPECIES = 8


@dataclass
class Download:
    """What a folder says.

    Args:
        records: Per record: id of the visit, longitude, latitude, species and month, as its file has them.
        surveys: Per part and survey: longitude, latitude, month and the set of species.
        predictors: Per side (``PO`` or the part of PA) and id: values by column.
    """

    records: list = field(default_factory=list)
    surveys: dict = field(default_factory=dict)
    predictors: dict = field(default_factory=dict)


def write_table(path, rows, delimiter=",", newline="\n"):
    """Rows, of which the first is the header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter, lineterminator=newline).writerows(rows)
    return path


def write_download(folder, year, records=400, surveys=60, seed=0, predictors=True):
    """Write the layout of a year; returns what it says."""
    rng = np.random.default_rng([year, seed])
    said = Download()
    _write_records(folder, year, records, rng, said)
    parts = {2023: ["train"], 2024: ["train", "test"], 2025: ["train", "test"]}
    first = 0
    for part in parts.get(year, ["train", "test_iid", "test_ood"]):
        _write_surveys(folder, year, part, surveys, first, rng, said)
        first += surveys
    if predictors and year > 2023:
        _write_predictors(folder, year, rng, said)
    return said


def kind(folder, **settings):
    """Settings of a data set."""
    return {"kind": "geoplant", "root": str(folder), "min_records": 1, **settings}


def _site(rng):
    return round(float(rng.uniform(0, 20)), 6), round(float(rng.uniform(40, 60)), 6)


def _home(latitude):
    """The species of a band of latitude."""
    return min(int((latitude - 40) / 20 * SPECIES), SPECIES - 1)


def _species(number):
    """The number of a species in the file; they have gaps, and two to four digits."""
    return 17 + 313 * number


def _write_records(folder, year, n, rng, said):
    rows = []
    for i in range(n):
        longitude, latitude = _site(rng)
        number = _species(int(np.clip(_home(latitude) + rng.integers(-1, 2), 0, SPECIES - 1)))
        day = datetime(2019, 1, 1, tzinfo=UTC) + timedelta(days=int(rng.integers(0, 365)))
        visit = 2 * i + 5
        said.records.append((visit, longitude, latitude, str(number), day.month))
        doy = day.timetuple().tm_yday
        if year == 2023:
            rows.append([i, 7_000_000 + i, "A; B", "iNaturalist", day.strftime("%Y-%m-%d"), doy, latitude, longitude])
            rows[-1] += [2019, 10, number, 4_000_000 + i, 3_000_000 + i, visit, 900 + i]
        else:
            ends = [visit, f"{number}.0"] if year == 2025 else [f"{number}.0", visit]
            rows.append(["Pl@ntNet", 2019, f"{day.month}.0", f"{day.day}.0", latitude, longitude, 12.0, "SPECIES"])
            rows[-1] += [day.strftime("%Y-%m-%d"), f"{doy}.0", *ends]
    if year == 2023:
        header = ["glcID", "gbifID", "observer", "datasetName", "date", "dayOfYear", "lat", "lon", "year"]
        header += ["geoUncertaintyInM", "speciesId", "x_EPSG3035", "y_EPSG3035", "patchID", "timeSerieID"]
    else:
        header = ["publisher", "year", "month", "day", "lat", "lon", "geoUncertaintyInM", "taxonRank", "date"]
        header += ["dayOfYear"]
        header += ["surveyId", "speciesId"] if year == 2025 else ["speciesId", "surveyId"]
    write_table(folder / RECORDS[year], [header, *rows], ";" if year == 2023 else ",")


def _write_surveys(folder, year, part, n, first, rng, said):
    rows, found = [], {}
    labels = []
    for i in range(first, first + n):
        longitude, latitude = _site(rng)
        home = _home(latitude)
        day = datetime(2018, 1, 1, tzinfo=UTC) + timedelta(days=int(rng.integers(0, 365)))
        doy = day.timetuple().tm_yday
        numbers = sorted({_species(j) for j in range(SPECIES) if abs(j - home) <= 1 and rng.random() < 0.8})
        # One species that has no record.
        numbers = numbers or [99_999]
        visit = 3 * i + 6
        survey = visit * 1000 + doy if year == 2023 else visit
        found[survey] = (longitude, latitude, day.month, {str(number) for number in numbers})
        labels.append([visit, " ".join(map(str, numbers))])
        area = ["100.0", "-inf", "", "25.0"][i % 4]
        for k, number in enumerate(numbers):
            # Rows of one survey disagree.
            said_area = "50.0" if k == 1 and i % 8 == 0 else area
            if year == 2023:
                seconds = int(day.timestamp())
                rows.append([len(rows), latitude, longitude, doy, visit, float(seconds), 800 + i, 1, 2, 2018, number])
            else:
                rows.append([longitude, latitude, 2018, 5.0, said_area])
                rows[-1] += [["ALPINE", "ATLANTIC"][i % 2], ["France", "Denmark"][i % 2], f"{number}.0", visit]
            if "test" in part:
                break
    rng.shuffle(rows)
    said.surveys[part] = found
    if year == 2023:
        header = ["", "lat", "lon", "dayOfYear", "patchID", "date", "timeSerieID", "x_EPSG3035", "y_EPSG3035", "year"]
        write_table(folder / SURVEYS[2023], [[*header, "speciesId"], *rows], ";")
        return
    header = ["lon", "lat", "year", "geoUncertaintyInM", "areaInM2", "region", "country", "speciesId", "surveyId"]
    if "test" in part:
        header.remove("speciesId")
        rows = [row[:-2] + row[-1:] for row in rows]
    path = folder / SURVEYS[year].replace("train", part)
    write_table(path, [header, *rows])
    if part.startswith("test_"):
        write_table(path.with_name(f"{part.replace('test', 'test_labels')}.csv"), [["surveyId", "speciesIds"], *labels])


def _write_predictors(folder, year, rng, said):
    sides = {"PO": [record[0] for record in said.records]} | {
        part: list(surveys) for part, surveys in said.surveys.items()
    }
    places = {record[0]: record[2] for record in said.records}
    for side, ids in sides.items():
        values = said.predictors.setdefault(side, {})
        if side != "PO":
            places = {survey: said.surveys[side][survey][1] for survey in ids}
        for theme, names in COLUMNS.items():
            rows = []
            # Ids that nobody asks for are there too.
            for visit in [*ids, 10**9 + 1]:
                latitude = places.get(visit, 50)
                row = [round(float((60 - latitude) * (j + 1) + rng.normal()), 4) for j in range(len(names))]
                values.setdefault(visit, {}).update(zip(names, row, strict=True))
                rows.append([visit, *row])
            rng.shuffle(rows)
            rows = [[int(row[0]), *row[1:]] for row in rows]
            header = ["surveyId", *names]
            if theme == "soilgrids":
                # Written by pandas with its numbers of rows.
                header, rows = ["", *header], [[i, *row] for i, row in enumerate(rows)]
            write_table(predictor_path(folder, year, theme, side), [header, *rows])


def predictor_path(folder, year, theme, side):
    """Where a table of predictors lies."""
    whose = "PO-train" if side == "PO" else f"PA-{side.replace('_', '-')}"
    name = theme
    if year == 2024 and side == "PO" and theme == "bioclimatic":
        name = "bioclimatic-average"
    if year == 2026 and side == "test_iid" and theme == "human_footprint":
        whose = "PA-test"
    stem = "-".join(filter(None, (PREFIX[year], whose, name)))
    return folder / FOLDERS[year][theme] / f"{stem}.csv"


def same(value, other):
    """Whether two values are equal, or both unknown."""
    return value == other or (math.isnan(value) and math.isnan(other))
