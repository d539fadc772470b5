"""How long does a file of records take to become training arrays, and how much memory?

Writes a simple CSV as GBIF's (50 columns, tab-separated, unquoted) with seeded records that carry what
real ones do: absences, specimens, unknown and large uncertainties, zero coordinates, flags, subspecies,
higher ranks, duplicates, lone quotes; the same records as iNaturalist's open data, gz, as a plain table with
commas and dates, and as GeoPlant's, with surveys and 19 predictors of every record and survey; and an
occurrence cube of as many rows in cells of 1 km. A fresh
process reads each, cleans it and makes training arrays; its wall time and its peak memory (VmHWM) are
reported, beside those of a process that only imports the package.

    python benchmarks/reading.py --rows 10000000
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import polars as pl
from rich.console import Console

from results import write_results

BLOCK = 100_000
SPECIES = 5_000
RECORDS = "GLC24_PO_metadata_train.csv"
CLASSES = (
    ("Animalia", "Chordata", "Aves"),
    ("Animalia", "Arthropoda", "Insecta"),
    ("Plantae", "Tracheophyta", "Magnoliopsida"),
    ("Animalia", "Chordata", "Mammalia"),
)
# The columns of a simple CSV, https://techdocs.gbif.org/en/data-use/download-formats
HEADER = [
    "gbifID",
    "datasetKey",
    "occurrenceID",
    "kingdom",
    "phylum",
    "class",
    "order",
    "family",
    "genus",
    "species",
    "infraspecificEpithet",
    "taxonRank",
    "scientificName",
    "verbatimScientificName",
    "verbatimScientificNameAuthorship",
    "countryCode",
    "locality",
    "stateProvince",
    "occurrenceStatus",
    "individualCount",
    "publishingOrgKey",
    "decimalLatitude",
    "decimalLongitude",
    "coordinateUncertaintyInMeters",
    "coordinatePrecision",
    "elevation",
    "elevationAccuracy",
    "depth",
    "depthAccuracy",
    "eventDate",
    "day",
    "month",
    "year",
    "taxonKey",
    "speciesKey",
    "basisOfRecord",
    "institutionCode",
    "collectionCode",
    "catalogNumber",
    "recordNumber",
    "identifiedBy",
    "dateIdentified",
    "license",
    "rightsHolder",
    "recordedBy",
    "typeStatus",
    "establishmentMeans",
    "lastInterpreted",
    "mediaType",
    "issue",
]
CHILD = """
import json, sys, time
from pathlib import Path
mode, path = sys.argv[1:3]
if mode.startswith("geoplant"):
    from presence_only.datasets.geoplant import dataset, records
    from presence_only.datasets.geoplant.dataset import DatasetSettings
    predictors = ["bioclimatic"] if mode == "geoplant predictors" else []
    settings = DatasetSettings.parse(
        {"kind": "geoplant", "root": path, "weeks": True, "predictors": predictors}, "datasets.geoplant"
    )
    def read_records(settings):
        file = next(Path(path).glob("*PO_metadata*"))
        return records.read_records(file, settings, weeks=True, visits=False)
else:
    from importlib import import_module
    kind = import_module(f"presence_only.datasets.{mode}")
    place = "root" if mode == "inaturalist" else "path"
    # A cube has no days.
    raw = {"kind": mode, place: path, "weeks": mode != "gbif_cube"}
    settings, read_records = kind.DatasetSettings.parse(raw, f"datasets.{mode}"), kind.read_records
from presence_only.occurrences.assemble import assemble_training
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
answer = {"imported": peak()}
if sys.argv[3] == "read" and mode == "geoplant predictors":
    start, cpu = time.perf_counter(), time.process_time()
    made = settings.build()
    training = made.training
    answer |= {"read_s": time.perf_counter() - start, "cpu_s": time.process_time() - cpu, "assemble_s": 0.0}
    answer |= {"read_peak": peak(), "peak": peak(), "filters": made.filters}
    answer["table"] = training.records.covariates_NC.nbytes / 2**20
    answer |= {"rows": training.records.n_rows, "species": training.records.n_species}
elif sys.argv[3] == "read":
    start, cpu = time.perf_counter(), time.process_time()
    records = read_records(settings)
    answer |= {"read_s": time.perf_counter() - start, "cpu_s": time.process_time() - cpu}
    answer |= {"read_peak": peak(), "filters": records.filters}
    answer["table"] = records.table.estimated_size() / 2**20
    start = time.perf_counter()
    training = assemble_training(records, settings).training
    answer |= {"assemble_s": time.perf_counter() - start, "peak": peak()}
    answer |= {"rows": training.records.n_rows, "species": training.records.n_species}
print(json.dumps(answer))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=positive, default=10_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where the files are written and removed; default: a temporary one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="presence-only-", dir=arguments.folder) as folder:
        root = Path(folder)
        start = perf_counter()
        gbif, inaturalist, geoplant = root / "gbif.csv", root / "inaturalist", root / "geoplant"
        plain, cube = root / "plain.csv", root / "cube.tsv"
        inaturalist.mkdir()
        geoplant.mkdir()
        write_taxa(inaturalist / "taxa.csv.gz")
        with (
            gbif.open("wb") as file,
            gzip.open(inaturalist / "observations.csv.gz", "wb", compresslevel=1) as packed,
            plain.open("wb") as plain_file,
            cube.open("wb") as cube_file,
        ):
            for index, first in enumerate(range(0, arguments.rows, BLOCK)):
                rng = np.random.default_rng([arguments.seed, index])
                table = records(rng, first, min(BLOCK, arguments.rows - first))
                table.write_csv(file, include_header=first == 0, separator="\t", quote_style="never")
                observations(table, rng).write_csv(
                    packed, include_header=first == 0, separator="\t", quote_style="never"
                )
                plain_table(table).write_csv(plain_file, include_header=first == 0)
                cells(table, rng).write_csv(cube_file, include_header=first == 0, separator="\t")
        write_geoplant(geoplant, arguments.rows, arguments.seed)
        print(f"written in {perf_counter() - start:.0f} s", flush=True)
        report = [
            f"Load average {os.getloadavg()[0]:.1f} before reading.",
            "",
            "Each line is a fresh process. Peak memory is VmHWM, which counts the interpreter and the imported "
            "packages too; `imports` is the same process without a file; `table` is the table of records "
            "that are kept, or with predictors their values; that line is of a whole data set, with its surveys. "
            "CPU seconds, over all threads, are what does not depend on what else ran.",
            "",
            "| file | rows | size (MB) | read and clean (s) | CPU (s) | to training arrays (s) | kept | species "
            "| table (MB) | imports (MB) | peak of reading (MB) | peak (MB) |",
            "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
        ]
        funnels = []
        for name, mode, path, size in (
            ("GBIF simple CSV", "gbif", gbif, gbif.stat().st_size),
            ("GeoPlant records", "geoplant", geoplant, (geoplant / RECORDS).stat().st_size),
            (
                "GeoPlant with surveys and 19 predictors",
                "geoplant predictors",
                geoplant,
                sum(file.stat().st_size for file in geoplant.iterdir()),
            ),
            ("iNaturalist .csv.gz", "inaturalist", inaturalist, (inaturalist / "observations.csv.gz").stat().st_size),
            ("plain table with commas", "table", plain, plain.stat().st_size),
            ("occurrence cube", "gbif_cube", cube, cube.stat().st_size),
        ):
            idle, found = child(mode, path, "import"), child(mode, path, "read")
            report.append(
                f"| {name} | {arguments.rows:,} | {size / 2**20:,.0f} | {found['read_s']:.1f} | "
                f"{found['cpu_s']:.1f} | {found['assemble_s']:.1f} | {found['filters'][-1][1]:,} | "
                f"{found['species']:,} | {found['table']:,.0f} | {idle['imported']:,.0f} | "
                f"{found['read_peak']:,.0f} | {found['peak']:,.0f} |"
            )
            funnels += ["", f"{name}, rows left after each rule:", "", "| rule | rows |", "|---|--:|"]
            funnels += [f"| {rule} | {rows:,} |" for rule, rows in found["filters"]]
    write_results(Path(__file__), report + funnels)
    Console(width=160).print("\n".join(report + funnels))


def records(rng: np.random.Generator, first: int, rows: int) -> pl.DataFrame:
    """A block of a simple CSV, all columns as text or numbers, nulls where real files have them."""
    # A few species make up most of the records.
    kind = np.minimum(rng.zipf(1.3, rows) - 1, SPECIES - 1)
    home = np.random.default_rng(0)
    centre_S2 = np.stack([home.uniform(-170, 170, SPECIES), home.uniform(-55, 70, SPECIES)], axis=1)
    latitude = np.clip(centre_S2[kind, 1] + rng.normal(0, 3, rows), -89, 89).round(6)
    longitude = np.clip(centre_S2[kind, 0] + rng.normal(0, 3, rows), -179.9, 179.9).round(6)
    zero = rng.random(rows) < 0.002
    latitude[zero], longitude[zero] = 0, 0
    year, month, day = rng.integers(1880, 2026, rows), rng.integers(1, 13, rows), rng.integers(1, 29, rows)
    rank = rng.choice(["SPECIES", "SUBSPECIES", "GENUS"], rows, p=[0.9, 0.06, 0.04])
    uncertainty = rng.choice([5.0, 31.0, 1000.0, 25000.0, 301.0], rows, p=[0.4, 0.3, 0.2, 0.08, 0.02])
    # A tenth repeats the record before it.
    same = np.flatnonzero(rng.random(rows) < 0.1)
    same = same[same > 0]
    for column in (kind, latitude, longitude, year, month, day):
        column[same] = column[same - 1]
    identifier = np.arange(first, first + rows)
    no_place, no_uncertainty = rng.random(rows) < 0.01, rng.random(rows) < 0.3
    index = pl.Series("kind", kind)
    lineage = [CLASSES[i % len(CLASSES)] for i in range(SPECIES)]

    def of_species(values: list[str]) -> pl.Series:
        return pl.Series(values, dtype=pl.String).gather(index)

    names = of_species([f"Genus{i // 7} species{i}" for i in range(SPECIES)])
    columns = pl.DataFrame(
        {
            "gbifID": identifier + 4_000_000_000,
            "key": identifier % 977,
            "kingdom": of_species([of[0] for of in lineage]),
            "phylum": of_species([of[1] for of in lineage]),
            "class": of_species([of[2] for of in lineage]),
            "order": of_species([f"Order{i // 100}" for i in range(SPECIES)]),
            "family": of_species([f"Familyidae{i // 30}" for i in range(SPECIES)]),
            "genus": of_species([f"Genus{i // 7}" for i in range(SPECIES)]),
            "name": names,
            "taxonRank": rank,
            "occurrenceStatus": rng.choice(["PRESENT", "ABSENT"], rows, p=[0.98, 0.02]),
            "decimalLatitude": pl.Series(latitude).set(pl.Series(no_place), None),
            "decimalLongitude": pl.Series(longitude).set(pl.Series(no_place), None),
            "coordinateUncertaintyInMeters": pl.Series(uncertainty).set(pl.Series(no_uncertainty), None),
            "day": day,
            "month": month,
            "year": year,
            "speciesKey": kind + 2_000_000,
            "basisOfRecord": rng.choice(
                ["HUMAN_OBSERVATION", "PRESERVED_SPECIMEN", "FOSSIL_SPECIMEN"], rows, p=[0.85, 0.13, 0.02]
            ),
            "note": rng.choice(['near "Old Mill', "12 km N of town, roadside", "Jardín botánico", ""], rows),
            "issue": rng.choice(
                ["", "GEODETIC_DATUM_ASSUMED_WGS84;CONTINENT_DERIVED_FROM_COORDINATES", "COUNTRY_COORDINATE_MISMATCH"],
                rows,
                p=[0.3, 0.69, 0.01],
            ),
        }
    )
    date = pl.format(
        "{}-{}-{}",
        pl.col("year"),
        pl.col("month").cast(pl.String).str.zfill(2),
        pl.col("day").cast(pl.String).str.zfill(2),
    )
    species = pl.when(pl.col("taxonRank") != "GENUS").then(pl.col("name"))
    computed = {
        "datasetKey": pl.format("50c9509d-22c7-4a22-a47d-8c48425e{}", pl.col("key") + 1000),
        "occurrenceID": pl.format("https://www.example.org/observations/{}", pl.col("gbifID")),
        "species": species,
        "infraspecificEpithet": pl.when(pl.col("taxonRank") == "SUBSPECIES").then(pl.lit("minor")),
        "scientificName": pl.format("{} (Linnaeus, 1758)", pl.col("name")),
        "verbatimScientificName": pl.col("name"),
        "countryCode": pl.lit("DE"),
        "locality": pl.col("note"),
        "stateProvince": pl.lit("Sachsen-Anhalt"),
        "publishingOrgKey": pl.lit("28eb1a3f-1c15-4a95-931a-4af90ecb574d"),
        "eventDate": pl.format("{}T00:00:00", date),
        "taxonKey": pl.col("speciesKey"),
        "speciesKey": pl.when(pl.col("taxonRank") != "GENUS").then(pl.col("speciesKey")),
        "institutionCode": pl.lit("iNaturalist"),
        "collectionCode": pl.lit("Observations"),
        "catalogNumber": pl.col("gbifID"),
        "identifiedBy": pl.format("Observer {}", pl.col("key")),
        "dateIdentified": pl.format("{}T12:34:56", date),
        "license": pl.lit("CC_BY_NC_4_0"),
        "rightsHolder": pl.format("Observer {}", pl.col("key")),
        "recordedBy": pl.format("Observer {}", pl.col("key")),
        "lastInterpreted": pl.lit("2026-05-20T12:18:28.134Z"),
        "mediaType": pl.lit("StillImage;StillImage"),
    }
    given = set(columns.columns)
    return columns.select(
        (computed[name] if name in computed else pl.col(name) if name in given else pl.lit(None)).alias(name)
        for name in HEADER
    )


def observations(table: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """The same records as iNaturalist's observations."""
    return table.select(
        observation_uuid=pl.format("c075c500-b566-44aa-847c-{}", pl.col("gbifID")),
        observer_id=pl.col("gbifID") % 99_991,
        latitude=pl.col("decimalLatitude"),
        longitude=pl.col("decimalLongitude"),
        positional_accuracy=pl.col("coordinateUncertaintyInMeters").cast(pl.Int64),
        # Subspecies are taxa of their own, and so are genera.
        taxon_id=pl.when(pl.col("taxonRank") == "SUBSPECIES")
        .then(pl.col("taxonKey") + 1_000_000)
        .when(pl.col("taxonRank") == "GENUS")
        .then((pl.col("taxonKey") - 2_000_000) // 7 + 4_000_000)
        .otherwise(pl.col("taxonKey")),
        quality_grade=pl.Series(rng.choice(["research", "needs_id", "casual"], len(table), p=[0.6, 0.3, 0.1])),
        observed_on=pl.col("eventDate").str.slice(0, 10),
        anomaly_score=pl.lit(1.5),
    )


def plain_table(table: pl.DataFrame) -> pl.DataFrame:
    """The same records as someone's own table."""
    return table.select(
        species=pl.col("species"),
        lon=pl.col("decimalLongitude"),
        lat=pl.col("decimalLatitude"),
        date=pl.col("eventDate").str.slice(0, 10),
        uncertainty_m=pl.col("coordinateUncertaintyInMeters"),
        group=pl.col("class"),
    )


def cells(table: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """A cube of the same species and years in cells of 1 km of Europe, around a place of each species."""
    home = pl.col("speciesKey").cast(pl.Float64).fill_null(0)
    return table.select(
        year=pl.col("year"),
        eeacellcode=pl.format(
            "1kmE{}N{}",
            (3_000 + home * 7 % 3_000 + pl.Series(rng.normal(0, 200, len(table)))).cast(pl.Int64),
            (1_600 + home * 11 % 3_000 + pl.Series(rng.normal(0, 200, len(table)))).cast(pl.Int64).abs(),
        ),
        classkey=pl.lit(212),
        class_=pl.col("class"),
        specieskey=pl.col("speciesKey"),
        species=pl.col("species"),
        occurrences=pl.Series(rng.zipf(2.0, len(table)).clip(max=10_000)),
        mincoordinateuncertaintyinmeters=pl.col("coordinateUncertaintyInMeters"),
        mintemporaluncertainty=pl.lit(86_400),
    ).rename({"class_": "class"})


def write_taxa(path: Path) -> None:
    """INaturalist's taxa: the classes, genera, species and subspecies of the observations."""
    rows = [("taxon_id", "ancestry", "rank_level", "rank", "name", "active")]
    for i, lineage in enumerate(CLASSES):
        rows.append((str(i + 1), "48460", "50", "class", lineage[2], "true"))
    for i in range(SPECIES):
        genus = f"48460/{i // 7 % len(CLASSES) + 1}"
        if i % 7 == 0:
            rows.append((str(4_000_000 + i // 7), genus, "20", "genus", f"Genus{i // 7}", "true"))
        above = f"{genus}/{4_000_000 + i // 7}"
        rows.append((str(2_000_000 + i), above, "10", "species", f"Genus{i // 7} species{i}", "true"))
        below = f"{above}/{2_000_000 + i}"
        rows.append((str(3_000_000 + i), below, "5", "subspecies", f"Genus{i // 7} species{i} minor", "true"))
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines("\t".join(row) + "\n" for row in rows)


def write_geoplant(folder: Path, rows: int, seed: int) -> None:
    """GeoPlant's records, one survey of 17 species per 54 records, and 19 predictors of each, as of 2024."""
    surveys = max(1, rows // 54)
    with (folder / RECORDS).open("wb") as file, (folder / "GLC24-PO-train-bioclimatic-average.csv").open("wb") as other:
        for index, first in enumerate(range(0, rows, BLOCK)):
            rng = np.random.default_rng([seed, index])
            table = records(rng, first, min(BLOCK, rows - first))
            metadata = table.select(
                publisher=pl.lit("Pl@ntNet"),
                year=pl.col("year"),
                month=pl.col("month").cast(pl.Float64),
                day=pl.col("day").cast(pl.Float64),
                lat=pl.col("decimalLatitude"),
                lon=pl.col("decimalLongitude"),
                geoUncertaintyInM=pl.col("coordinateUncertaintyInMeters"),
                taxonRank=pl.col("taxonRank"),
                date=pl.col("eventDate").str.slice(0, 10),
                dayOfYear=pl.col("day").cast(pl.Float64),
                speciesId=pl.col("speciesKey").cast(pl.Float64) - 2_000_000,
                surveyId=pl.col("gbifID") - 4_000_000_000,
            )
            metadata.write_csv(file, include_header=first == 0)
            bioclimatic(rng, metadata["surveyId"]).write_csv(other, include_header=first == 0)
    rng = np.random.default_rng([seed, rows])
    visits = pl.Series("surveyId", np.arange(surveys))
    bioclimatic(rng, visits).write_csv(folder / "GLC24-PA-train-bioclimatic.csv")
    places = pl.DataFrame(
        {
            "lon": rng.uniform(-10, 30, surveys).round(6),
            "lat": rng.uniform(36, 70, surveys).round(6),
            "year": rng.integers(2017, 2022, surveys),
            "geoUncertaintyInM": 5.0,
            "areaInM2": rng.choice([100.0, 25.0, -np.inf], surveys),
            "region": "CONTINENTAL",
            "country": "France",
        }
    )
    found = np.repeat(np.arange(surveys), 17)
    species = np.minimum(rng.zipf(1.3, len(found)) - 1, SPECIES - 1).astype(float)
    table = places[found].with_columns(speciesId=pl.Series(species), surveyId=pl.Series(found))
    table.write_csv(folder / "GLC24_PA_metadata_train.csv")


def bioclimatic(rng: np.random.Generator, visits: pl.Series) -> pl.DataFrame:
    """19 predictors of visits, in any order of these."""
    values = {f"Bio{i + 1}": rng.integers(0, 4000, len(visits)) for i in range(19)}
    return pl.DataFrame({"surveyId": visits, **values})[rng.permutation(len(visits))]


def child(mode: str, path: Path, work: str) -> dict:
    """What a fresh process that reads ``path`` reports of itself."""
    command = [sys.executable, "-c", CHILD, mode, str(path), work]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be an integer of at least 1")
    return int(text)


if __name__ == "__main__":
    main()
