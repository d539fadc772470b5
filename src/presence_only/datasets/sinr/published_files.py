"""Readers of SINR's published files, one per file; ``dataset.py`` makes a data set of what they return.

Source: https://github.com/elijahcole/sinr, its README, datasets.py and eval.py.

Shape legend: N records, T taxa of an evaluation, M sites, K candidates of a classifier, V its classes,
H x W a raster. A taxon is a number of iNaturalist's.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.common.arrays import Floats, Ints
from presence_only.common.errors import DataError
from presence_only.common.npz_files import read_npz
from presence_only.common.user_paths import user_path
from presence_only.datasets.sinr.json_steps import JsonSteps
from presence_only.datasets.sinr.numpy_pickle import load_pickled_dict

# The layers of the Geo Feature evaluation, spelt as their files are.
RASTERS = (
    "ABOVE_GROUND_CARBON",
    "ELEVATION",
    "LEAF_AREA_INDEX",
    "NON_TREE_VEGITATED",
    "NOT_VEGITATED",
    "POPULATION_DENSITY",
    "SNOW_COVER",
    "SOIL_MOISTURE",
    "TREE_COVER",
)
LOGARITHMIC = "POPULATION_DENSITY"
# Which texts are missing values: those of pandas, with which SINR reads the table.
MISSING = [
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>"),
    *("N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
]
# Columns that may be empty: SINR drops them before it drops incomplete rows.
MAY_BE_EMPTY = {"accuracy", "positional_accuracy", "geoprivacy"}
# Of a raster, which is held whole.
MOST_CELLS = 2**28
_DATES = ("date", "observed_on")


@dataclass(frozen=True)
class SinrFolder:
    """Where SINR's files lie, whether they are there or not.

    Args:
        records: Presence records, a table.
        taxa: Names of the taxa, JSON.
        subsets: Lists of taxa, JSON.
        snt: eBird Status and Trends.
        iucn: Range maps of the IUCN.
        predictions: A classifier's answers to the images of the Geo Prior.
        images: Where those images were taken, a table.
        country: Raster that is 1 in the country of the Geo Feature.
        rasters: Folder of its layers.
    """

    records: Path
    taxa: Path
    subsets: Path
    snt: Path
    iucn: Path
    predictions: Path
    images: Path
    country: Path
    rasters: Path

    @classmethod
    def under(cls, root: str) -> Self:
        """The files under ``root``, which is SINR's folder ``data`` or holds it.

        Raises:
            DataError: If there is no such folder.
        """
        folder = user_path(root)
        if not folder.is_dir():
            raise DataError(f"root = {root!r}: there is no such folder; it must hold SINR's data")
        data = folder / "data" if (folder / "data").is_dir() else folder
        train, evaluation = data / "train", data / "eval"
        # SINR's code looks for the lists with the records, its README has them with the Geo Prior.
        subsets = train / "taxa_subsets.json"
        return cls(
            records=train / "geo_prior_train.csv",
            taxa=train / "geo_prior_train_meta.json",
            subsets=subsets if subsets.is_file() else evaluation / "geo_prior/taxa_subsets.json",
            snt=evaluation / "snt/snt_res_5.npy",
            iucn=evaluation / "iucn/iucn_res_5.json",
            predictions=evaluation / "geo_prior/geo_prior_model_preds.npz",
            images=evaluation / "geo_prior/geo_prior_model_meta.csv",
            country=data / "masks/USA_MASK.tif",
            rasters=evaluation / "geo_feature",
        )

    def raster(self, name: str) -> Path:
        """The file of one layer of ``RASTERS``."""
        return self.rasters / f"{name}.tif"

    def has(self, evaluation: str) -> bool:
        """Whether the files of ``snt``, ``iucn``, ``geo_prior`` or ``geo_feature`` are there, or some of them."""
        if evaluation == "geo_feature":
            return any(self.raster(name).is_file() for name in RASTERS)
        return {"snt": self.snt, "iucn": self.iucn, "geo_prior": self.predictions}[evaluation].is_file()


def read_records(path: Path, *, dates: bool) -> tuple[pl.DataFrame, tuple[tuple[str, int], ...]]:
    """Read the training table ``geo_prior_train.csv``, its rows in order.

    Rows outside of the globe are dropped, then rows with an empty field, whichever the column, as
    SINR does; with ``dates`` then rows whose date does not begin with YYYY-MM-DD.

    Returns:
        Complete rows on the globe: columns longitude, latitude, taxon and, with ``dates``, month and day;
        and each rule with the rows that it left.

    Raises:
        DataError: If the file or a column is missing, or a number is none.
    """
    _require_file(path)
    try:
        table = pl.scan_csv(
            path,
            infer_schema=False,
            null_values=MISSING,
            schema_overrides={"longitude": pl.Float64, "latitude": pl.Float64, "taxon_id": pl.Int64},
        )
        names = table.collect_schema().names()
        for name in ("longitude", "latitude", "taxon_id"):
            if name not in names:
                raise DataError(f"{path}: column {name!r} is missing; the columns are {', '.join(names)}")
        date = next((name for name in _DATES if name in names), None)
        if dates and date is None:
            raise DataError(f"{path}: weeks: true needs a column 'date' or 'observed_on'; it has {', '.join(names)}")
        columns = {
            "longitude": pl.col("longitude"),
            "latitude": pl.col("latitude"),
            "taxon": pl.col("taxon_id"),
            "on_globe": (pl.col("longitude").abs() <= 180) & (pl.col("latitude").abs() <= 90),
            "complete": pl.all_horizontal(pl.col(name).is_not_null() for name in names if name not in MAY_BE_EMPTY),
        }
        if dates:
            day = pl.col(date or "").str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
            columns |= {"month": day.dt.month().cast(pl.Int32), "day": day.dt.day().cast(pl.Int32)}
        rows = table.select(**columns).collect(engine="streaming")
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DataError(f"{path}: cannot be read as a table: {_first_line(error)}") from None
    filters = [("read", len(rows))]
    rules = {"on the globe": "on_globe", "no empty field": "complete"} | ({"dated": "month"} if dates else {})
    for rule, column in rules.items():
        kept = pl.col(column).is_not_null() if column == "month" else pl.col(column).fill_null(value=False)
        rows = rows.filter(kept)
        filters.append((rule, len(rows)))
    return rows.drop("on_globe", "complete"), tuple(filters)


def read_names(path: Path) -> dict[int, str]:
    """Latin name of every taxon of ``geo_prior_train_meta.json``; two of one name are told apart by number."""
    entries = _read_json(path)
    try:
        names = {int(entry["taxon_id"]): str(entry["latin_name"]) for entry in entries}
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{path}: must be a list of taxa, each with taxon_id and latin_name") from None
    seen: dict[str, int] = {}
    for name in names.values():
        seen[name] = seen.get(name, 0) + 1
    return {taxon: name if seen[name] == 1 else f"{name} (taxon {taxon})" for taxon, name in names.items()}


def taxon_names(known: Mapping[int, str], taxa: Ints) -> list[str]:
    """Name of every taxon; one that the file of names lacks is called by its number."""
    return [known.get(taxon, f"taxon {taxon}") for taxon in taxa.tolist()]


def read_subset(path: Path, name: str) -> NDArray[np.int64]:
    """One list of taxa of ``taxa_subsets.json``."""
    subsets = _read_json(path)
    if not isinstance(subsets, dict) or name not in subsets:
        raise DataError(f"{path}: has no list {name!r}; it must map names to lists of taxa")
    return _integers(path, subsets[name], name)


@dataclass(frozen=True, eq=False)
class ExpertMaps:
    """Where experts say that taxa occur.

    Args:
        sites_M2: Longitude, latitude.
        taxon_T: The taxa.
        sites_of_T: Sites of every taxon where its label is known; IUCN's: where it is present.
        labels_of_T: Its labels there, 1 present and 0 absent; None: absent at all other sites.
    """

    sites_M2: Floats
    taxon_T: Ints
    sites_of_T: Sequence[Ints]
    labels_of_T: Sequence[NDArray[np.int8]] | None = None


def read_snt(path: Path) -> ExpertMaps:
    """EBird Status and Trends, ``snt_res_5.npy``: a pickled dictionary, read without running it.

    Raises:
        DataError: If the file is missing, damaged or asks for more than plain values, an entry is
            missing, or sites and labels of a taxon do not fit.
    """
    stored = load_pickled_dict(path)
    for key in ("taxa", "obs_locs", "loc_indices_per_species", "labels_per_species"):
        if key not in stored:
            raise DataError(f"{path}: entry {key!r} is missing; it has {', '.join(map(str, stored))}")
    sites_M2 = _sites(path, stored["obs_locs"], "obs_locs")
    taxon_T = _integers(path, stored["taxa"], "taxa")
    if len(np.unique(taxon_T)) != taxon_T.size:
        raise DataError(f"{path}: a taxon comes twice; each must come once")
    indices, labels = stored["loc_indices_per_species"], stored["labels_per_species"]
    if not len(taxon_T) == len(indices) == len(labels):
        raise DataError(
            f"{path}: {len(taxon_T)} taxa, {len(indices)} lists of sites, {len(labels)} of labels: must agree"
        )
    sites_of_T, labels_of_T = [], []
    for taxon, sites, values in zip(taxon_T.tolist(), indices, labels, strict=True):
        sites_of_T.append(_site_indices(path, sites, taxon, len(sites_M2)))
        try:
            labels_of_T.append((np.asarray(values, dtype=np.float64) > 0).astype(np.int8))
        except (TypeError, ValueError):
            raise DataError(f"{path}: the labels of taxon {taxon} are not numbers") from None
        if labels_of_T[-1].shape != sites_of_T[-1].shape:
            raise DataError(
                f"{path}: taxon {taxon} has {len(sites_of_T[-1])} sites and {labels_of_T[-1].size} labels: must agree"
            )
    return ExpertMaps(sites_M2, taxon_T, sites_of_T, labels_of_T)


def read_iucn(path: Path) -> ExpertMaps:
    """Range maps of the IUCN, ``iucn_res_5.json``; one taxon's list is held as Python objects at a time.

    Raises:
        DataError: If the file is missing, damaged, or not of its form.
    """
    _require_file(path)
    sites_M2: Floats | None = None
    lists: dict[int, NDArray[np.int64]] = {}
    try:
        json_file = JsonSteps(path.read_text(encoding="utf-8"))
        for key in json_file.members():
            if key == "locs":
                sites_M2 = _sites(path, json_file.value(), "locs")
            elif key == "taxa_presence":
                for taxon in json_file.members():
                    lists[int(taxon)] = _integers(path, json_file.value(), f"taxa_presence of {taxon}")
            else:
                json_file.value()
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: is not valid JSON of its form: {_first_line(error)}") from None
    if sites_M2 is None or not lists:
        raise DataError(f"{path}: must have 'locs' and 'taxa_presence', with at least one taxon")
    sites_of_T = [_site_indices(path, sites, taxon, len(sites_M2)) for taxon, sites in lists.items()]
    return ExpertMaps(sites_M2, np.array(list(lists)), sites_of_T)


@dataclass(frozen=True, eq=False)
class ImagePredictions:
    """A classifier's best classes for photographs taken at known places; as in the files.

    Args:
        sites_M2: Longitude, latitude.
        candidates_MK: Classes, the most probable in the last column.
        probabilities_MK: Their probabilities.
        label_M: True class.
        taxon_V: Taxon of every class.
    """

    sites_M2: Floats
    candidates_MK: Ints
    probabilities_MK: Floats
    label_M: Ints
    taxon_V: Ints


def read_geo_prior(predictions: Path, meta: Path) -> ImagePredictions:
    """``geo_prior_model_preds.npz`` and ``geo_prior_model_meta.csv``, whose rows are the same images."""
    _require_file(predictions)
    _require_file(meta)
    keys = ("probs", "inds", "labels", "model_to_taxa")
    stored = read_npz(predictions, keys, "fetch it again")
    missing = [key for key in keys if key not in stored]
    if missing:
        raise DataError(f"{predictions}: array {missing[0]!r} is missing; it has {', '.join(stored) or 'none of them'}")
    probabilities, candidates, labels, taxa = (stored[key] for key in keys)
    try:
        table = pl.read_csv(meta, infer_schema=False, null_values=MISSING, columns=["longitude", "latitude"]).cast(
            pl.Float64
        )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DataError(f"{meta}: cannot be read as a table with longitude, latitude: {_first_line(error)}") from None
    if labels.ndim != 1 or len(table) != len(labels):
        raise DataError(f"{meta}: has {len(table)} rows for {labels.size} images in {predictions.name}: must agree")
    return ImagePredictions(
        sites_M2=_sites(meta, table.select("longitude", "latitude").to_numpy(), "longitude, latitude"),
        candidates_MK=_integers(predictions, candidates, "inds"),
        probabilities_MK=probabilities,
        label_M=_integers(predictions, labels, "labels"),
        taxon_V=_integers(predictions, taxa, "model_to_taxa"),
    )


def read_raster(path: Path) -> NDArray[Any]:
    """The first band of a GeoTIFF, shape (H, W), its values as stored."""
    _require_file(path)
    try:
        errors, rasterio = import_module("rasterio.errors"), import_module("rasterio")
    except ImportError:
        raise DataError(f"{path}: GeoTIFFs need rasterio; pip install presence-only[rasters]") from None
    try:
        with warnings.catch_warnings():
            # SINR's rasters cover the world by convention and need not say so.
            warnings.simplefilter("ignore", errors.NotGeoreferencedWarning)
            # A file of another format, such as VRT, may have GDAL read any other file.
            with rasterio.open(path, driver="GTiff") as raster:
                cells = raster.width * raster.height
                if cells > MOST_CELLS:
                    raise DataError(f"{path}: has {cells:,} cells; SINR's rasters have 2.1 million")
                band: NDArray[Any] = raster.read(1)
    except (errors.RasterioError, MemoryError) as error:
        raise DataError(f"{path}: cannot be read as a GeoTIFF: {_first_line(error)}") from None
    return band


def _read_json(path: Path) -> Any:
    _require_file(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: is not valid JSON: {_first_line(error)}") from None


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; SINR's README says how to fetch it")


def _first_line(error: Exception) -> str:
    """The first line of an error, without its full stop."""
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(". ")


def _integers(path: Path, values: Any, what: str) -> NDArray[np.int64]:
    """A list of whole numbers as an array of any shape; texts, floats and ragged lists are refused."""
    try:
        array = np.asarray(values)
        if array.size == 0:
            return array.astype(np.int64)
        if array.dtype.kind not in "iu":
            raise ValueError
    except ValueError:
        raise DataError(f"{path}: {what} must be whole numbers") from None
    # A plain array: unpickled ones are of a class of their own.
    return np.array(array, dtype=np.int64, subok=False)


def _sites(path: Path, values: Any, what: str) -> NDArray[np.float64]:
    """Longitude, latitude, on the globe."""
    try:
        sites_M2 = np.array(values, dtype=np.float64, subok=False)
    except (TypeError, ValueError):
        raise DataError(f"{path}: {what} must be pairs of longitude, latitude") from None
    if sites_M2.ndim != 2 or sites_M2.shape[1] != 2 or len(sites_M2) == 0:
        raise DataError(f"{path}: {what} has shape {sites_M2.shape}; expected (n, 2): longitude, latitude")
    wrong = ~(np.abs(sites_M2) <= (180.0, 90.0)).all(axis=1)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{path}: row {row} of {what} is longitude {sites_M2[row, 0]:g}, latitude {sites_M2[row, 1]:g}; "
            "they must lie within -180..180 and -90..90"
        )
    return sites_M2


def _site_indices(path: Path, values: Any, taxon: int, n_sites: int) -> NDArray[np.int32]:
    """Sites of one taxon, each once and within the list of sites."""
    sites = _integers(path, values, f"the sites of taxon {taxon}")
    if sites.ndim != 1:
        raise DataError(f"{path}: the sites of taxon {taxon} have shape {sites.shape}; a list is expected")
    if sites.size and (sites.min() < 0 or sites.max() >= n_sites):
        raise DataError(
            f"{path}: the sites of taxon {taxon} lie within {sites.min()}..{sites.max()}; "
            f"there are {n_sites} sites, from 0"
        )
    if len(np.unique(sites)) != len(sites):
        raise DataError(f"{path}: taxon {taxon} has a site twice; each must come once")
    return sites.astype(np.int32)
