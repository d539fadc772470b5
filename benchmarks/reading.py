"""How long does a file of records take to become training arrays, and how much memory?

Writes files of as many rows in the forms of several publishers, and reads each:

- a simple CSV as GBIF's (50 columns, tab-separated, unquoted) with seeded records that carry what real ones do:
  absences, specimens, unknown and large uncertainties, zero coordinates, flags, subspecies, higher ranks, duplicates,
  lone quotes;
- the same records as iNaturalist's open data, gz, as the quoted CSV of its archive, and as a plain table with commas
  and dates;
- an occurrence cube in cells of 1 km;
- an eBird Basic Dataset with its sampling file, whose last two years are the truth;
- a combined parquet file of the BirdNET geomodel, whose lists have about as many species;
- GeoPlant's files, with surveys and 19 predictors of every record and survey.

A fresh process reads each, cleans it and makes training arrays, of the EBD and of GeoPlant a survey too; its wall time
and its peak memory (VmHWM) are reported, beside those of a process that only imports the package.

    python benchmarks/reading.py --rows 10000000
    python benchmarks/reading.py --rows 10000000 --files ebird        # this one alone, into a file of its own
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import numpy as np
import polars as pl
from rich.console import Console

from presence_only.geography.h3_cells import all_cells
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
# The columns of an EBD and of its sampling file; a tab ends every line.
EBD_COLUMNS = (
    "GLOBAL UNIQUE IDENTIFIER|LAST EDITED DATE|TAXONOMIC ORDER|CATEGORY|TAXON CONCEPT ID|COMMON NAME|SCIENTIFIC NAME|"
    "SUBSPECIES COMMON NAME|SUBSPECIES SCIENTIFIC NAME|EXOTIC CODE|OBSERVATION COUNT|BREEDING CODE|BREEDING CATEGORY|"
    "BEHAVIOR CODE|AGE/SEX|COUNTRY|COUNTRY CODE|STATE|STATE CODE|COUNTY|COUNTY CODE|IBA CODE|BCR CODE|USFWS CODE|"
    "ATLAS BLOCK|LOCALITY|LOCALITY ID|LOCALITY TYPE|LATITUDE|LONGITUDE|OBSERVATION DATE|TIME OBSERVATIONS STARTED|"
    "OBSERVER ID|OBSERVER ORCID ID|SAMPLING EVENT IDENTIFIER|OBSERVATION TYPE|PROTOCOL NAME|PROTOCOL CODE|"
    "PROJECT NAMES|PROJECT IDENTIFIERS|DURATION MINUTES|EFFORT DISTANCE KM|EFFORT AREA HA|NUMBER OBSERVERS|"
    "ALL SPECIES REPORTED|GROUP IDENTIFIER|HAS MEDIA|APPROVED|REVIEWED|REASON|CHECKLIST COMMENTS|SPECIES COMMENTS"
)
EBD_HEADER = EBD_COLUMNS.split("|")
SAMPLING_HEADER = [*EBD_HEADER[1:2], *EBD_HEADER[15:46], "CHECKLIST COMMENTS"]
CHECKLIST_ROWS = 15
# Cells of 59 km, as those of the geomodel.
GEOMODEL_RESOLUTION = 3
CHILD = """
import json, sys, time
from pathlib import Path
mode, path = sys.argv[1:3]
if mode.startswith("ebird"):
    from presence_only.datasets.ebird.dataset import DatasetSettings, read_records
    raw = {"kind": "ebird", "path": path, "weeks": True}
    if mode == "ebird survey":
        raw |= {"sampling": path.replace("ebd", "sampling")}
        raw |= {"evaluation": {"kind": "checklists", "years": [2023, 2024], "effort": {"effort_hours": 6.0}}}
    settings = DatasetSettings.parse(raw, "datasets.ebird")
elif mode == "inaturalist_export":
    from presence_only.datasets.inaturalist_export import DatasetSettings, read_records
    raw = {"kind": mode, "path": path, "weeks": True}
    settings = DatasetSettings.parse(raw, "datasets.inaturalist_export")
elif mode == "geomodel":
    from presence_only.datasets.geomodel.dataset import DatasetSettings, read_records
    settings = DatasetSettings.parse({"kind": mode, "path": path, "checklist_resolution": 3}, "datasets.geomodel")
elif mode.startswith("geoplant"):
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
    answer["assemble_cpu_s"] = 0.0
    answer |= {"read_peak": peak(), "peak": peak(), "filters": made.filters}
    answer["table"] = training.records.covariates_NC.nbytes / 2**20
    answer |= {"rows": training.records.n_rows, "species": training.records.n_species}
elif sys.argv[3] == "read":
    start, cpu = time.perf_counter(), time.process_time()
    records = read_records(settings)
    answer |= {"read_s": time.perf_counter() - start, "cpu_s": time.process_time() - cpu}
    answer |= {"read_peak": peak(), "filters": records.filters}
    answer["table"] = records.table.estimated_size() / 2**20
    start, cpu = time.perf_counter(), time.process_time()
    if mode == "ebird survey":
        from presence_only.datasets.ebird.dataset import with_checklists
        training = with_checklists(records, settings, settings.evaluation).training
    else:
        training = assemble_training(records, settings).training
    answer |= {"assemble_s": time.perf_counter() - start, "assemble_cpu_s": time.process_time() - cpu, "peak": peak()}
    answer |= {"rows": training.records.n_rows, "species": training.records.n_species}
print(json.dumps(answer))
"""


FILES = ("gbif", "table", "gbif_cube", "inaturalist", "inaturalist_export", "ebird", "geomodel", "geoplant")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=positive, default=10_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--files", nargs="+", choices=FILES, default=FILES, help="which of them; default: all")
    parser.add_argument("--folder", type=Path, help="where the files are written and removed; default: a temporary one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="presence-only-", dir=arguments.folder) as folder:
        start = perf_counter()
        write = {
            "gbif": write_gbif,
            "table": write_plain_table,
            "gbif_cube": write_cube,
            "inaturalist": write_inaturalist,
            "inaturalist_export": write_export,
            "ebird": write_ebird,
            "geomodel": write_geomodel,
            "geoplant": write_geoplants,
        }
        lines = [line for name in arguments.files for line in write[name](Path(folder), arguments.rows, arguments.seed)]
        print(f"written in {perf_counter() - start:.0f} s", flush=True)
        report = [
            f"Load average {os.getloadavg()[0]:.1f} before reading.",
            "",
            "Each line is a fresh process. Peak memory is VmHWM, which counts the interpreter and the imported "
            "packages too; `imports` is the same process without a file; `table` is the table of records "
            "that are kept, or with predictors their values; that line is of a whole data set, with its surveys. "
            "CPU seconds, over all threads, are what does not depend on what else ran. The EBD with "
            "checklists is read a second time for the survey, and the sampling file once, which counts in `to training "
            "arrays`.",
            "",
            "| file | rows | size (MB) | read and clean (s) | CPU (s) | to training arrays (s) | CPU (s) | kept "
            "| species | table (MB) | imports (MB) | peak of reading (MB) | peak (MB) |",
            "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
        ]
        funnels = []
        for name, mode, path, size in lines:
            idle, found = child(mode, path, "import"), child(mode, path, "read")
            report.append(
                f"| {name} | {arguments.rows:,} | {size / 2**20:,.0f} | {found['read_s']:.1f} | "
                f"{found['cpu_s']:.1f} | {found['assemble_s']:.1f} | {found['assemble_cpu_s']:.1f} | "
                f"{found['filters'][-1][1]:,} | {found['species']:,} | {found['table']:,.0f} | "
                f"{idle['imported']:,.0f} | {found['read_peak']:,.0f} | {found['peak']:,.0f} |"
            )
            funnels += ["", f"{name}, rows left after each rule:", "", "| rule | rows |", "|---|--:|"]
            funnels += [f"| {rule} | {rows:,} |" for rule, rows in found["filters"]]
    part = "" if tuple(arguments.files) == FILES else "_" + "_".join(arguments.files)
    write_results(Path(__file__), report + funnels, name=f"reading{part}")
    Console(width=160).print("\n".join(report + funnels))


def blocks(rows: int, seed: int) -> Iterator[tuple[int, np.random.Generator, pl.DataFrame]]:
    """The records in blocks: the first row of each, a generator for what is added to it, and its simple CSV."""
    for index, first in enumerate(range(0, rows, BLOCK)):
        rng = np.random.default_rng([seed, index])
        yield first, rng, records(rng, first, min(BLOCK, rows - first))


def write_gbif(root: Path, rows: int, seed: int) -> list[tuple[str, str, Path, int]]:
    """A simple CSV; name, mode, path and size of each way to read it."""
    path = root / "gbif.csv"
    with path.open("wb") as file:
        for first, _, table in blocks(rows, seed):
            table.write_csv(file, include_header=first == 0, separator="\t", quote_style="never")
    return [("GBIF simple CSV", "gbif", path, path.stat().st_size)]


def write_inaturalist(root: Path, rows: int, seed: int) -> list[tuple[str, str, Path, int]]:
    """The folder of iNaturalist's open data."""
    folder = root / "inaturalist"
    folder.mkdir()
    write_taxa(folder / "taxa.csv.gz")
    path = folder / "observations.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as packed:
        for first, rng, table in blocks(rows, seed):
            text = observations(table, rng)
            text.write_csv(packed, include_header=first == 0, separator="\t", quote_style="never")
    return [("iNaturalist .csv.gz", "inaturalist", folder, path.stat().st_size)]


def write_export(root: Path, rows: int, seed: int) -> list[tuple[str, str, Path, int]]:
    """The table of iNaturalist's archive for GBIF: quoted CSV with commas and line breaks in remarks."""
    path = root / "export.csv"
    with path.open("wb") as file:
        for first, rng, table in blocks(rows, seed):
            export(table, rng).write_csv(file, include_header=first == 0)
    return [("iNaturalist's archive, quoted CSV", "inaturalist_export", path, path.stat().st_size)]


def write_plain_table(root: Path, rows: int, seed: int) -> list[tuple[str, str, Path, int]]:
    """Someone's own table, with commas and dates."""
    path = root / "plain.csv"
    with path.open("wb") as file:
        for first, _, table in blocks(rows, seed):
            plain_table(table).write_csv(file, include_header=first == 0)
    return [("plain table with commas", "table", path, path.stat().st_size)]


def write_cube(root: Path, rows: int, seed: int) -> list[tuple[str, str, Path, int]]:
    """An occurrence cube in cells of 1 km."""
    path = root / "cube.tsv"
    with path.open("wb") as file:
        for first, rng, table in blocks(rows, seed):
            cells(table, rng).write_csv(file, include_header=first == 0, separator="\t")
    return [("occurrence cube", "gbif_cube", path, path.stat().st_size)]


def write_geomodel(root: Path, rows: int, seed: int) -> list[tuple[str, str, Path, int]]:
    """A combined parquet file of h3 cells, whose lists of all weeks have about as many codes together."""
    path, rng = root / "combined.parquet", np.random.default_rng(seed)
    cells = all_cells(GEOMODEL_RESOLUTION)
    columns = {
        "h3_index": pl.Series([f"{cell:x}" for cell in cells.tolist()]),
        "elevation_m": pl.Series(rng.normal(500, 300, len(cells))),
        "landcover_class": pl.Series(rng.integers(1, 18, len(cells))),
    }
    for week in range(1, 49):
        counts = rng.poisson(rows / 48 / len(cells), len(cells))
        codes = pl.format("spec{}", pl.col("code"))
        kind = np.minimum(rng.zipf(1.3, counts.sum()) - 1, SPECIES - 1)
        table = pl.DataFrame({"cell": np.repeat(np.arange(len(cells)), counts), "code": kind}).unique()
        lists = table.group_by("cell").agg(codes)
        filled = pl.DataFrame({"cell": np.arange(len(cells))}).join(lists, on="cell", how="left", maintain_order="left")
        columns[f"week_{week}"] = filled["code"].fill_null([])
    pl.DataFrame(columns).write_parquet(path)
    names = [f"spec{i},Genus{i // 7} species{chr(97 + i % 26)}{chr(97 + i // 26 % 26)},x" for i in range(SPECIES)]
    path.with_name("combined_taxonomy.csv").write_text(
        "\n".join(["species_code,scientificName,commonName", *names]) + "\n"
    )
    return [("geomodel's parquet", "geomodel", path, path.stat().st_size)]


def write_geoplants(root: Path, rows: int, seed: int) -> list[tuple[str, str, Path, int]]:
    """GeoPlant's folder."""
    folder = root / "geoplant"
    folder.mkdir()
    write_geoplant(folder, rows, seed)
    size = sum(file.stat().st_size for file in folder.iterdir())
    return [
        ("GeoPlant records", "geoplant", folder, (folder / RECORDS).stat().st_size),
        ("GeoPlant with surveys and 19 predictors", "geoplant predictors", folder, size),
    ]


def write_ebird(root: Path, rows: int, seed: int) -> list[tuple[str, str, Path, int]]:
    """An EBD and its sampling file."""
    ebd, sampling = root / "ebd.txt", root / "sampling.txt"
    with ebd.open("wb") as file, sampling.open("wb") as checklists:
        for first, rng, table in blocks(rows, seed):
            seen = ebird(table, rng, first)
            for target, header, part in (
                (file, EBD_HEADER, seen),
                (checklists, SAMPLING_HEADER, seen.unique("SAMPLING EVENT IDENTIFIER", maintain_order=True)),
            ):
                columns = [pl.col(name) if name in part.columns else pl.lit(None).alias(name) for name in header]
                ended = part.select(*columns, pl.lit(None).alias(""))
                ended.write_csv(target, include_header=first == 0, separator="\t", quote_style="never")
    size = ebd.stat().st_size
    return [
        ("eBird EBD", "ebird", ebd, size),
        ("eBird EBD with checklists", "ebird survey", ebd, size + sampling.stat().st_size),
    ]


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


def export(table: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """The same records as the table of iNaturalist's archive."""
    rank = pl.col("taxonRank").str.to_lowercase()
    name = pl.col("verbatimScientificName")
    return table.select(
        pl.col("gbifID").alias("id"),
        pl.lit("HumanObservation").alias("basisOfRecord"),
        pl.Series("occurrenceRemarks", rng.choice(["two, of three", 'a "large" one\nin a pond', ""], len(table))),
        pl.Series("captive", rng.choice(["wild", "cultivated"], len(table), p=[0.97, 0.03])),
        pl.col("eventDate"),
        pl.col("decimalLatitude", "decimalLongitude", "coordinateUncertaintyInMeters"),
        pl.lit("EPSG:4326").alias("geodeticDatum"),
        pl.col("taxonKey").alias("taxonID"),
        pl.when(rank == "genus")
        .then(name.str.split(" ").list.first())
        .when(rank == "subspecies")
        .then(pl.format("{} minor", name))
        .otherwise(name)
        .alias("scientificName"),
        rank.alias("taxonRank"),
        pl.col("kingdom", "phylum", "class", "order", "family", "genus"),
        pl.lit("http://creativecommons.org/licenses/by-nc/4.0/").alias("license"),
        pl.col("rightsHolder"),
    )


def ebird(table: pl.DataFrame, rng: np.random.Generator, first: int) -> pl.DataFrame:
    """The same records as an EBD, of which every few are one checklist, at the place and on the day of its first."""
    rows = len(table)
    checklist = (first + np.arange(rows)) // CHECKLIST_ROWS
    start = pl.Series(np.maximum(checklist * CHECKLIST_ROWS - first, 0))
    number = pl.Series("number", checklist)

    def of_checklist(values: np.ndarray) -> pl.Series:
        return pl.Series(values).gather(start)

    place = table.select("decimalLatitude", "decimalLongitude", "month", "day")[start]
    year = of_checklist(rng.integers(1995, 2025, rows))
    group = of_checklist(rng.random(rows)) < 0.15
    category = rng.choice(
        ["species", "issf", "spuh", "slash", "hybrid", "form", "domestic"],
        rows,
        p=[0.93, 0.03, 0.02, 0.01, 0.003, 0.002, 0.005],
    )
    return table.select(
        pl.format("URN:CornellLabOfOrnithology:EBIRD:OBS{}", pl.col("gbifID")).alias("GLOBAL UNIQUE IDENTIFIER"),
        pl.lit("2024-10-24 10:50:37.607947").alias("LAST EDITED DATE"),
        pl.Series("CATEGORY", category),
        pl.col("verbatimScientificName").alias("COMMON NAME"),
        pl.col("verbatimScientificName").alias("SCIENTIFIC NAME"),
        pl.Series("OBSERVATION COUNT", rng.choice(["1", "2", "X", "17"], rows)),
        pl.lit("Germany").alias("COUNTRY"),
        pl.lit("DE").alias("COUNTRY CODE"),
        pl.lit("Sachsen-Anhalt").alias("STATE"),
        pl.lit("DE-ST").alias("STATE CODE"),
        pl.col("locality").alias("LOCALITY"),
        pl.lit("P").alias("LOCALITY TYPE"),
        place["decimalLatitude"].alias("LATITUDE"),
        place["decimalLongitude"].alias("LONGITUDE"),
        pl.format(
            "{}-{}-{}",
            pl.lit(year),
            pl.lit(place["month"]).cast(pl.String).str.zfill(2),
            pl.lit(place["day"]).cast(pl.String).str.zfill(2),
        ).alias("OBSERVATION DATE"),
        pl.lit("07:30:00").alias("TIME OBSERVATIONS STARTED"),
        pl.format("obsr{}", pl.lit(number) % 977).alias("OBSERVER ID"),
        pl.format("S{}", pl.lit(number) + 1).alias("SAMPLING EVENT IDENTIFIER"),
        of_checklist(rng.choice(["Traveling", "Stationary", "Incidental"], rows)).alias("PROTOCOL NAME"),
        of_checklist(rng.integers(1, 500, rows)).alias("DURATION MINUTES"),
        of_checklist(rng.uniform(0, 12, rows).round(3)).alias("EFFORT DISTANCE KM"),
        of_checklist(rng.integers(1, 12, rows)).alias("NUMBER OBSERVERS"),
        of_checklist(rng.choice([1, 0], rows, p=[0.8, 0.2])).alias("ALL SPECIES REPORTED"),
        # Two neighbours in the file are a group.
        pl.when(pl.lit(group)).then(pl.format("G{}", pl.lit(number) // 2 + 1)).alias("GROUP IDENTIFIER"),
        pl.lit(0).alias("HAS MEDIA"),
        pl.Series("APPROVED", rng.choice([1, 0], rows, p=[0.995, 0.005])),
        pl.col("locality").alias("SPECIES COMMENTS"),
    )


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
