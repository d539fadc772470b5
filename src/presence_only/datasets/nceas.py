"""The NCEAS benchmark: presence-only records of 226 anonymised species, and surveys to score them by.

Source: Elith et al. (2020), Biodiversity Informatics 15:69-80, https://doi.org/10.17161/bi.v15i2.13384;
files as the R package ``disdat`` ships them: ``dvc import https://github.com/rspatial/disdat inst/extdata``.

Shape legend: N training rows, P positives, K background sites, M survey sites, C covariates, S species.

- Records come in site order of the file; a site is its (x, y), for site ids differ between species.
- Sites are projected to WGS84. Switzerland's coordinates carry an undisclosed constant shift, so its
  sites keep their distances but lie around Serbia: never join them with other maps.
- A species is scored only where its own group was surveyed. AWT and NSW surveyed each test group at
  other sites; the survey stacks them, and a species is NOT_SURVEYED at the sites of other groups.
- Target groups are those whose observers are alike: the taxon groups of the records, NSW's eight test
  groups joined to bat, bird, plant and reptile as in Phillips et al. (2009).
- Covariates stay in their own units. Categorical ones become one 0/1 column a level; levels come from
  records and background only, so a level found only in the survey is 0 in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pyproj
import pyreadr
from numpy.typing import NDArray
from pydantic import Field
from pyreadr.custom_errors import LibrdataError, PyreadrError

from presence_only.common.arrays import Floats, Ints
from presence_only.common.errors import DataError
from presence_only.common.settings import Need
from presence_only.common.user_paths import user_path
from presence_only.data.dataset import Dataset, DatasetKind
from presence_only.data.records import Background, PresenceRecords
from presence_only.data.survey import Survey
from presence_only.data.training import TrainingData
from presence_only.data.truth import NOT_SURVEYED, SurveyTruth


class DatasetSettings(DatasetKind):
    """Which region, and how its records become training rows.

    Args:
        root: Folder of the ``.rds`` files; ``~`` is the home folder.
        region: Australian Wet Tropics, Canada (Ontario), New South Wales, New Zealand, South America or
            Switzerland.
        background: ``given``: the benchmark's 10,000 random sites; ``target_group``: the sites of all
            records, each counting for the species of its taxon group (Phillips et al. 2009); ``mixed``:
            both, the random sites having ``random_share`` of every taxon group's background.
        random_share: Of a ``mixed`` background.
        rows: ``records``: one training row a record; ``sites``: the records of a taxon group at one
            (x, y) become one row with several positives.
    """

    needs: ClassVar[Mapping[str, Need]] = {
        "random_share": Need(lambda nceas: nceas.background == "mixed", "background is 'mixed'"),
    }

    kind: Literal["nceas"]
    root: str
    region: Literal["AWT", "CAN", "NSW", "NZ", "SA", "SWI"]
    background: Literal["given", "target_group", "mixed"] = "given"
    random_share: float = Field(default=0.1, gt=0, lt=1)
    rows: Literal["records", "sites"] = "records"

    def build(self) -> Dataset:
        """Read the region; see :func:`build`."""
        return build(self)


@dataclass(frozen=True)
class _Region:
    """What the files of a region do not say themselves.

    Args:
        crs: Coordinate reference system of x and y.
        test_groups: Suffixes of the survey's files; one empty suffix where there is a single pair.
        categorical: Covariates whose numbers are names of classes.
        dropped: Covariates left out, as in all published comparisons.
        target_groups: Taxon group of a record's group where the two differ.
        units: Unit of a covariate; those without a unit are not listed.
    """

    crs: str
    units: dict[str, str]
    test_groups: tuple[str, ...] = ("",)
    categorical: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    target_groups: tuple[tuple[str, str], ...] = ()


_TENTHS = "0.1 degrees C"
_REGIONS = {
    "AWT": _Region(
        crs="EPSG:28355",
        test_groups=("bird", "plant"),
        units={
            **dict.fromkeys(("bc01", "bc05", "bc06"), "degrees C"),
            **dict.fromkeys(("bc12", "bc17"), "mm"),
            "bc20": "MJ/m2/day",
            "slope": "percent",
        },
    ),
    "CAN": _Region(
        crs="EPSG:4008",
        categorical=("ontveg",),
        units={
            **dict.fromkeys(("alt", "watdist"), "m"),
            **dict.fromkeys(("ontprec", "ontprec4"), "mm"),
            "ontslp": "degrees",
            **dict.fromkeys(("onttemp", "onttmin4"), _TENTHS),
        },
    ),
    "NSW": _Region(
        crs="EPSG:4326",
        test_groups=("ba", "db", "nb", "ot", "ou", "rt", "ru", "sr"),
        categorical=("vegsys",),
        target_groups=(
            ("ba", "bat"),
            ("db", "bird"),
            ("nb", "bird"),
            ("ot", "plant"),
            ("ou", "plant"),
            ("rt", "plant"),
            ("ru", "plant"),
            ("sr", "reptile"),
        ),
        units={
            **dict.fromkeys(("rainann", "raindq"), "mm"),
            "rugged": "percent",
            "soildepth": "mm",
            "solrad": "0.1 MJ/m2/day",
            **dict.fromkeys(("tempann", "tempmin"), _TENTHS),
            "topo": "m",
        },
    ),
    "NZ": _Region(
        crs="EPSG:27200",
        categorical=("age", "toxicats"),
        units={
            **dict.fromkeys(("deficit", "vpd"), "kPa"),
            "dem": "m",
            "mas": "MJ/m2/day",
            "mat": _TENTHS,
            "rain": "mm",
            "slope": "degrees",
            "tseas": "degrees C",
        },
    ),
    "SA": _Region(
        crs="EPSG:4326",
        dropped=("sabio8",),
        units={
            **dict.fromkeys(("sabio1", "sabio2", "sabio5", "sabio6", "sabio7"), _TENTHS),
            **dict.fromkeys(("sabio12", "sabio17", "sabio18"), "mm"),
        },
    ),
    "SWI": _Region(
        crs="EPSG:21781",
        categorical=("calc",),
        units={
            **dict.fromkeys(("bcc", "ccc"), "percent"),
            "ddeg": "degree days",
            **dict.fromkeys(("pday", "sfroyy"), "days"),
            **dict.fromkeys(("precyy", "swb"), "mm"),
            "slope": "0.1 degrees",
            "sradyy": "kJ/m2/day",
            "tavecc": "degrees C",
        },
    ),
}
_KEYS = ("siteid", "spid", "x", "y", "occ", "group")


def build(settings: DatasetSettings) -> Dataset:
    """Read one region.

    Args:
        settings: The region, and how its records become training rows.

    Returns:
        Species in the order of their ids. The ``given`` background counts for every species; a ``target_group``
        background holds every site (x, y) once a taxon group, however many records it has, because the effort of
        observers, not the abundance of species, is what it stands for.

    Raises:
        DataError: If the folder, a file or a column is missing, a file is unreadable or empty, a site
            is not on the globe, records and survey name different species, or a species has two groups.
    """
    region = _REGIONS[settings.region]
    root = user_path(settings.root)
    if not root.is_dir():
        raise DataError(
            f"root = {settings.root!r}: there is no such folder; it must hold the .rds files of the R package disdat"
        )
    po_path, bg_path = root / f"{settings.region}train_po.rds", root / f"{settings.region}train_bg.rds"
    po, bg = _read(po_path), _read(bg_path)
    covariates = [name for name in po if name not in _KEYS and name not in region.dropped]
    _require(po_path, po, [*_KEYS[1:], *region.categorical])
    _require(bg_path, bg, ["x", "y", *covariates])
    if np.any(po["occ"] != 1):
        raise DataError(f"{po_path}: column 'occ' holds {po['occ'][po['occ'] != 1][0]}; every record must be 1 present")

    encode, covariate_names = _covariate_encoder(po, bg, covariates, region)
    species = tuple(sorted({str(name) for name in po["spid"]}))
    record_groups = _target_groups(po["group"], region)
    records = _records(po_path, po, record_groups, species, settings.rows, region.crs, encode, covariate_names)
    background = Background("given", _sites(bg_path, bg, region.crs), encode(bg_path, bg))
    if settings.background != "given":
        target_group = _target_group_background(po_path, po, record_groups, region.crs, encode)
        mixed = settings.background == "mixed"
        background = mix_backgrounds(target_group, background, settings.random_share) if mixed else target_group
    return Dataset(
        training=TrainingData(records, background),
        survey=_survey(root, settings.region, species, covariates, encode, covariate_names),
    )


Table = dict[str, NDArray[Any]]
Encode = Callable[[Path, Table], Floats]


def _read(path: Path) -> Table:
    """The columns of an R data frame, by name."""
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; a region needs all of its files")
    try:
        frames = pyreadr.read_r(str(path))
    except (LibrdataError, PyreadrError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as an R data frame ({error}); fetch it again") from None
    frame = frames.get(None)
    if frame is None or len(frame) == 0:
        raise DataError(f"{path}: the table has no rows; at least one is needed")
    return {str(name): frame[name].to_numpy() for name in frame.columns}


def _require(path: Path, table: Table, columns: list[str]) -> None:
    """Refuse a table without one of the columns."""
    for name in columns:
        if name not in table:
            raise DataError(f"{path}: column {name!r} is missing; it must have {', '.join(columns)}")


def _sites(path: Path, table: Table, crs: str) -> Floats:
    """Longitude, latitude of every row, degrees WGS84."""
    transformer = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    x, y = _numbers(path, "x", table["x"]), _numbers(path, "y", table["y"])
    sites_N2 = np.stack(transformer.transform(x, y), axis=1)
    wrong = ~((np.abs(sites_N2) <= (180.0, 90.0)).all(axis=1))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{path}: row {row} has x {x[row]:g}, y {y[row]:g}, which {crs} puts at longitude {sites_N2[row, 0]:g}, "
            f"latitude {sites_N2[row, 1]:g}; they must lie within -180..180 and -90..90"
        )
    return sites_N2


def _numbers(path: Path, name: str, column: NDArray[Any]) -> NDArray[np.float64]:
    """A column as floats; NaN where R says NA."""
    try:
        return column.astype(np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{path}: column {name!r} holds text; it must hold numbers") from None


def _covariate_encoder(po: Table, bg: Table, covariates: list[str], region: _Region) -> tuple[Encode, tuple[str, ...]]:
    """The function from a table to its covariate matrix, and the names of the matrix's columns.

    Levels of categorical covariates are those of records and background; the survey is never seen.
    """
    columns: list[tuple[str, str | None]] = []
    names: list[str] = []
    for name in covariates:
        if name in region.categorical:
            levels = sorted({*_levels(po[name]), *_levels(bg[name])} - {""}, key=lambda text: (len(text), text))
            columns += [(name, level) for level in levels]
            names += [f"{name} = {level}" for level in levels]
        else:
            columns.append((name, None))
            names.append(f"{name} ({region.units[name]})" if name in region.units else name)
    return partial(_encode, columns=tuple(columns)), tuple(names)


def _encode(path: Path, table: Table, columns: tuple[tuple[str, str | None], ...]) -> Floats:
    """Covariates of a table, shape (N, C): numbers as they are, levels as 0/1, NaN where unknown."""
    covariates_NC = np.empty((len(table["x"]), len(columns)), dtype=np.float32)
    for column, (name, level) in enumerate(columns):
        if level is None:
            covariates_NC[:, column] = _numbers(path, name, table[name])
        else:
            levels_N = _levels(table[name])
            covariates_NC[:, column] = np.where(levels_N == "", np.nan, levels_N == level)
    return covariates_NC


def _levels(column: NDArray[Any]) -> NDArray[np.str_]:
    """Levels of a categorical column as text; the same text for 3 and 3.0, empty where unknown.

    R writes a column with a missing value as floats and one without as integers.
    """
    values, index = np.unique(column.astype(np.str_), return_inverse=True)
    texts = ["" if text in ("nan", "None") else text.removesuffix(".0") for text in values.tolist()]
    return np.array(texts, dtype=np.str_)[index]


def _target_groups(groups: NDArray[Any], region: _Region) -> NDArray[np.str_]:
    """Taxon group of every record."""
    names = dict(region.target_groups)
    return np.array([names.get(str(group), str(group)) for group in groups], dtype=np.str_)


def _records(
    path: Path,
    po: Table,
    groups_P: NDArray[np.str_],
    species: tuple[str, ...],
    rows: Literal["records", "sites"],
    crs: str,
    encode: Encode,
    covariate_names: tuple[str, ...],
) -> PresenceRecords:
    """Presence records with one row a record, or one row a site and taxon group."""
    index = {name: i for i, name in enumerate(species)}
    species_P = np.array([index[str(name)] for name in po["spid"]])
    group_of: dict[int, str] = {}
    for i, group in zip(species_P.tolist(), groups_P.tolist(), strict=True):
        if group_of.setdefault(i, group) != group:
            raise DataError(
                f"{path}: species {species[i]!r} is in groups {group_of[i]!r} and {group!r}; it must be in one"
            )
    row_P: Ints = np.arange(len(species_P))
    table = po
    if rows == "sites":
        first_N, row_P = _distinct_sites(po, groups_P)
        table = {name: column[first_N] for name, column in po.items()}
        # A species recorded twice at a site is present there once.
        row_P, species_P = np.unique(np.stack([row_P, species_P]), axis=1)
    return PresenceRecords(
        sites_N2=_sites(path, table, crs),
        covariates_NC=encode(path, table),
        row_P=row_P,
        species_P=species_P,
        species=species,
        groups=tuple(group_of[i] for i in range(len(species))),
        covariate_names=covariate_names,
    )


def _distinct_sites(po: Table, groups_P: NDArray[np.str_]) -> tuple[Ints, Ints]:
    """The first record of every distinct (x, y, group), in file order, and every record's place among them."""
    keys = list(zip(po["x"].tolist(), po["y"].tolist(), groups_P.tolist(), strict=True))
    places: dict[tuple[float, float, str], int] = {}
    place_P = np.array([places.setdefault(key, len(places)) for key in keys])
    return np.unique(place_P, return_index=True)[1], place_P


def _target_group_background(path: Path, po: Table, groups_P: NDArray[np.str_], crs: str, encode: Encode) -> Background:
    """The distinct sites of all records, each with the taxon group that was observed there."""
    first_K, _ = _distinct_sites(po, groups_P)
    table = {name: column[first_K] for name, column in po.items()}
    return Background("target_group", _sites(path, table, crs), encode(path, table), tuple(groups_P[first_K].tolist()))


def mix_backgrounds(target_group: Background, random: Background, random_share: float) -> Background:
    """For every taxon group its target-group sites, repeated, and all random sites, in given shares.

    Sites are drawn alike from a background: repeating the fewer ones makes the shares what they are
    meant to be, within every group, without leaving out a site of either kind.

    Args:
        target_group: With a group of every site.
        random: Sites that count for every group.
        random_share: Of the rows of every group that are random sites, rounded up, in (0, 1).
    """
    groups_K = np.array(target_group.groups_K)
    n_random, parts, groups = len(random.sites_K2), [], []
    for group in np.unique(groups_K):
        own = np.flatnonzero(groups_K == group)
        repeats = max(1, int(n_random * (1 - random_share) / random_share / len(own)))
        parts.append((np.repeat(own, repeats), np.arange(n_random)))
        groups += [str(group)] * (len(own) * repeats + n_random)

    def rows(near: Floats, far: Floats) -> Floats:
        return np.concatenate([part for own, all_ in parts for part in (near[own], far[all_])])

    return Background(
        "mixed",
        rows(target_group.sites_K2, random.sites_K2),
        rows(target_group.covariates_KC, random.covariates_KC),
        tuple(groups),
    )


def _survey(
    root: Path,
    name: str,
    species: tuple[str, ...],
    covariates: list[str],
    encode: Encode,
    covariate_names: tuple[str, ...],
) -> Survey:
    """The sites of all test groups stacked; a species is surveyed only at those of its own group."""
    region = _REGIONS[name]
    sites, environment, truth = [], [], []
    surveyed: dict[str, Path] = {}
    for group in region.test_groups:
        suffix = f"_{group}" if group else ""
        pa_path, env_path = root / f"{name}test_pa{suffix}.rds", root / f"{name}test_env{suffix}.rds"
        pa, env = _read(pa_path), _read(env_path)
        _require(pa_path, pa, ["siteid"])
        _require(env_path, env, ["siteid", "x", "y", *covariates])
        if not np.array_equal(pa["siteid"], env["siteid"]):
            raise DataError(
                f"{env_path}: its sites are not those of {pa_path.name}; both must list the same in one order"
            )
        found = [column for column in pa if column not in _KEYS]
        for column in found:
            if column not in species:
                raise DataError(
                    f"{pa_path}: species {column!r} has no training records; every surveyed species needs one"
                )
            if column in surveyed:
                raise DataError(
                    f"{pa_path}: species {column!r} is in {surveyed[column].name} too; it must be in one file"
                )
            surveyed[column] = pa_path
        sites.append(_sites(env_path, env, region.crs))
        environment.append(encode(env_path, env))
        truth_MS = np.full((len(pa["siteid"]), len(species)), NOT_SURVEYED, dtype=np.int8)
        for column in found:
            values = _numbers(pa_path, column, pa[column])
            if not np.isin(values, (0, 1)).all():
                raise DataError(
                    f"{pa_path}: column {column!r} holds {values[~np.isin(values, (0, 1))][0]:g}; "
                    "it must hold 1 present and 0 absent"
                )
            truth_MS[:, species.index(column)] = values
        truth.append(truth_MS)
    for column in species:
        if column not in surveyed:
            raise DataError(
                f"{root}: species {column!r} has records but is in no {name}test_pa file; it must be in one"
            )
    return Survey(
        sites_M2=np.concatenate(sites),
        covariates_MC=np.concatenate(environment),
        truth=SurveyTruth.of_matrix(np.concatenate(truth)),
        species=species,
        covariate_names=covariate_names,
    )
