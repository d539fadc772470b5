"""Grid cells by their codes, as GBIF's occurrence cubes have them: the centre of a cell and how far its corners are.

The form of a code tells its grid:

| grid | code | cell |
|---|---|---|
| EEA reference grid | ``1kmE4203N3614``, ``250mE432100N321000`` | square of EPSG:3035 by its lower left corner |
| the same by Eurostat | ``CRS3035RES1000mN3614000E4203000``, ``1kmN3614E4203`` | the same |
| extended quarter degree | ``E008N54BA``, ``W010S52`` | a degree; each letter a quarter: A north-west, D south-east |
| degrees, minutes, seconds | ``CRS4326RES0-15-0LON10-45-0LAT52-15-0`` | square of degrees by its lower left corner |
| military grid reference system | ``32UNC6861`` | square of a zone of UTM by its lower left corner |
| ISEA3H | ``-158282526011250000`` | hexagon whose centre the number has, in millionths of a degree |

Source: https://techdocs.gbif.org/en/data-use/api-sql-download-functions and https://github.com/gbif/occurrence-cube;
extended quarter degree cells, https://doi.org/10.1111/j.1365-2028.2008.00997.x; letters of the military grid, NGA
standard NGA.STND.0037; numbers of ISEA3H cells, https://doi.org/10.1080/15230406.2018.1455157, with the offsets of 22
for the south and 44 for the west that GBIF writes.

Shape legend: N codes.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pyproj

from presence_only.common.arrays import Floats
from presence_only.geography.sphere import EARTH_RADIUS_KM, unit_vectors

# In capitals, as all codes are compared.
_EEA = r"^(?<size>\d+)(?<unit>K?M)(?<east>[EW]\d+)(?<north>[NS]\d+)$"
_EEA_NORTH_FIRST = r"^(?<size>\d+)(?<unit>K?M)(?<north>[NS]\d+)(?<east>[EW]\d+)$"
_EUROSTAT = r"^CRS3035RES(?<size>\d+)MN(?<north>-?\d+)E(?<east>-?\d+)$"
_QUARTERS = r"^(?<east>[EW]\d{3})(?<north>[NS]\d{2})(?<letters>[ABCD]{0,20})$"
_DMS = r"^CRS4326RES(?<size>\d+-\d+-\d+)(?:DMS)?LON(?<east>-?\d+-\d+-\d+)LAT(?<north>-?\d+-\d+-\d+)$"
_MGRS = r"^(?<zone>\d{1,2})(?<band>[C-HJ-NP-X])(?<column>[A-HJ-NP-Z])(?<row>[A-HJ-NP-V])(?<digits>(?:\d\d){0,5})$"
_ISEA3H = r"^(?<sign>-?)(?<first>\d{1,2})(?<north>\d{8})(?<east>\d{9})$"

# Letters of the columns of 100 km of a zone, by the zone's number; and of the rows, which begin anew after 2000 km.
_COLUMNS = ("ABCDEFGH", "JKLMNPQR", "STUVWXYZ")
_ROWS = "ABCDEFGHJKLMNPQRSTUV"
_BANDS = "CDEFGHJKLMNPQRSTUVWX"
_HEMISPHERES = 22
_EARTH_KM2 = 4 * np.pi * EARTH_RADIUS_KM**2

_COLUMNS_OF_CELLS = {"longitude": pl.Float64, "latitude": pl.Float64, "half_diagonal_m": pl.Float64}


def cells_of_codes(codes: pl.Series) -> pl.DataFrame:
    """Centre and half diagonal of the cell of every code.

    Args:
        codes: Text, in capitals or small letters, of any of the grids.

    Returns:
        Columns ``longitude`` and ``latitude``, of the centre in degrees WGS84, and ``half_diagonal_m``, the distance in
        metres from the centre to the farthest corner; null where a text is no code of a cell. Of N rows.
    """
    different = codes.cast(pl.String).drop_nulls().unique()
    plain = pl.DataFrame({"said": different, "code": different.str.strip_chars().str.to_uppercase()})
    parts = []
    for form, read in (
        (_EEA, _eea),
        (_EEA_NORTH_FIRST, _eea),
        (_EUROSTAT, _eurostat),
        (_QUARTERS, _quarters),
        (_DMS, _dms),
        (_MGRS, _mgrs),
        (_ISEA3H, _isea3h),
    ):
        fitting = plain.filter(pl.col("code").str.contains(form))
        if len(fitting):
            fields = fitting.select(groups=pl.col("code").str.extract_groups(form)).unnest("groups")
            east_N, north_N, half_N = read(fields)
            known_N = np.isfinite(half_N) & (np.abs(east_N) <= 180) & (np.abs(north_N) <= 90)
            cells = [np.where(known_N, values_N, np.nan) for values_N in (east_N, north_N, half_N)]
            table = {name: pl.Series(cell).fill_nan(None) for name, cell in zip(_COLUMNS_OF_CELLS, cells, strict=True)}
            parts.append(pl.DataFrame({"said": fitting["said"], **table}))
    known = pl.concat(parts) if parts else pl.DataFrame(schema={"said": pl.String, **_COLUMNS_OF_CELLS})
    said = pl.DataFrame({"said": codes.cast(pl.String)})
    return said.join(known, on="said", how="left", maintain_order="left").drop("said")


def _eea(fields: pl.DataFrame) -> tuple[Floats, Floats, Floats]:
    """Squares of the EEA: the numbers count units of the largest power of ten that divides the side."""
    unit = pl.when(pl.col("unit") == "KM").then(1000).otherwise(1)
    size_N = fields.select(pl.col("size").cast(pl.Float64) * unit).to_series().to_numpy()
    unit_N = np.ones_like(size_N)
    while (more_N := (size_N > 0) & (size_N % (unit_N * 10) == 0)).any():
        unit_N[more_N] *= 10
    centres = []
    for name in ("east", "north"):
        number_N = fields[name].str.slice(1).cast(pl.Float64).to_numpy()
        sign_N = np.where(fields[name].str.slice(0, 1).is_in(["E", "N"]).to_numpy(), 1.0, -1.0)
        # West and south of the origin, cells are counted away from it.
        centres.append(sign_N * (number_N * unit_N + size_N / 2))
    return _laea(centres[0], centres[1], size_N)


def _eurostat(fields: pl.DataFrame) -> tuple[Floats, Floats, Floats]:
    """Squares of Eurostat: the lower left corner in metres."""
    size_N, east_N, north_N = (fields[name].cast(pl.Float64).to_numpy() for name in ("size", "east", "north"))
    return _laea(east_N + size_N / 2, north_N + size_N / 2, size_N)


def _laea(east_N: Floats, north_N: Floats, size_N: Floats) -> tuple[Floats, Floats, Floats]:
    """Squares of EPSG:3035 by their centres."""
    to_degrees = pyproj.Transformer.from_crs("EPSG:3035", "EPSG:4326", always_xy=True)
    longitude_N, latitude_N = to_degrees.transform(east_N, north_N)
    return longitude_N, latitude_N, np.where(size_N > 0, size_N / np.sqrt(2), np.nan)


def _quarters(fields: pl.DataFrame) -> tuple[Floats, Floats, Floats]:
    """Degrees, and their quarters, quarters of these and so on."""
    corners = []
    for name in ("east", "north"):
        number_N = fields[name].str.slice(1).cast(pl.Float64).to_numpy()
        # The cell between 0 and 1 degree west is W000.
        far = fields[name].str.slice(0, 1).is_in(["W", "S"]).to_numpy()
        corners.append(np.where(far, -number_N - 1, number_N))
    west_N, south_N = corners
    size_N = np.ones_like(west_N)
    for level in range(max(map(len, fields["letters"]))):
        letter = fields["letters"].str.slice(level, 1)
        size_N = np.where((letter != "").to_numpy(), size_N / 2, size_N)
        west_N = west_N + np.where(letter.is_in(["B", "D"]).to_numpy(), size_N, 0)
        south_N = south_N + np.where(letter.is_in(["A", "B"]).to_numpy(), size_N, 0)
    return _of_degrees(west_N, south_N, size_N)


def _dms(fields: pl.DataFrame) -> tuple[Floats, Floats, Floats]:
    """Squares of degrees, minutes and seconds by their lower left corners."""
    size_N, west_N, south_N = (_degrees(fields[name]) for name in ("size", "east", "north"))
    return _of_degrees(west_N, south_N, np.where(size_N > 0, size_N, np.nan))


def _degrees(texts: pl.Series) -> Floats:
    """``-0-6-40`` as degrees: the sign is that of the whole."""
    parts = texts.str.strip_prefix("-").str.split("-").list.to_struct(fields=["d", "m", "s"]).struct.unnest()
    degrees_N: Floats = parts.select(
        pl.col("d").cast(pl.Float64) + pl.col("m").cast(pl.Float64) / 60 + pl.col("s").cast(pl.Float64) / 3600
    )["d"].to_numpy()
    return np.where(texts.str.starts_with("-").to_numpy(), -degrees_N, degrees_N)


def _of_degrees(west_N: Floats, south_N: Floats, size_N: Floats) -> tuple[Floats, Floats, Floats]:
    """Squares of degrees; of their corners those nearer to the equator are the farthest from the centre."""
    longitude_N, latitude_N = west_N + size_N / 2, south_N + size_N / 2
    corner_N = np.where(latitude_N >= 0, south_N, south_N + size_N)
    centres_N3, corners_N3 = (
        unit_vectors(np.stack(sites, axis=1)) for sites in ((longitude_N, latitude_N), (west_N, corner_N))
    )
    chord_N = np.linalg.norm(centres_N3 - corners_N3, axis=1)
    return longitude_N, latitude_N, 2000 * EARTH_RADIUS_KM * np.arcsin(np.minimum(chord_N / 2, 1))


def _mgrs(fields: pl.DataFrame) -> tuple[Floats, Floats, Floats]:
    """Squares of a zone of UTM, of 100 km by two letters, and of tenths of these by every two digits."""
    zone_N = fields["zone"].cast(pl.Int64).to_numpy()
    letters = list(zip(map(int, zone_N), fields["column"], fields["row"], strict=True))
    column_N = np.array([_COLUMNS[(zone - 1) % 3].find(column) for zone, column, _ in letters])
    # Rows begin with A in odd zones and with F in even ones.
    row_N = np.array([(_ROWS.index(row) - (0 if zone % 2 else 5)) % len(_ROWS) for zone, _, row in letters])
    valid_N = (zone_N >= 1) & (zone_N <= 60) & (column_N >= 0)
    texts: list[str] = fields["digits"].to_list()
    halves = [(digits[: len(digits) // 2], digits[len(digits) // 2 :]) for digits in texts]
    size_N = np.array([100_000 / 10.0 ** len(east) for east, _ in halves])
    offset_N2 = np.array([[float(east or "0"), float(north or "0")] for east, north in halves])
    east_N = (column_N + 1) * 100_000 + (offset_N2[:, 0] + 0.5) * size_N
    north_N = row_N * 100_000 + (offset_N2[:, 1] + 0.5) * size_N
    band_N = np.array([_BANDS.index(letter) for letter in fields["band"]])
    north_most_N = band_N == len(_BANDS) - 1
    middle_N, half_band_N = np.where(north_most_N, 78.0, -76.0 + 8 * band_N), np.where(north_most_N, 6.0, 4.0)
    longitude_N, latitude_N = np.full(len(zone_N), np.nan), np.full(len(zone_N), np.nan)
    for zone in np.unique(zone_N[valid_N]):
        # Metres from the equator, negative in the south.
        utm = pyproj.Proj(proj="utm", zone=int(zone), ellps="WGS84")
        of = valid_N & (zone_N == zone)
        meridian = 6.0 * zone - 183
        _, middle_north = utm(np.full(of.sum(), meridian), middle_N[of])
        # Letters of rows come again every 2000 km; a band is less than half as high.
        turns = np.round((middle_north - north_N[of]) / 2_000_000)
        longitude_N[of], latitude_N[of] = utm(east_N[of], north_N[of] + 2_000_000 * turns, inverse=True)
    # A square that a band cuts may have its centre outside; one beyond has letters that the band lacks.
    latitude_N = np.where(np.abs(latitude_N - middle_N) <= half_band_N + 1, latitude_N, np.nan)
    return longitude_N, latitude_N, size_N / np.sqrt(2)


def _isea3h(fields: pl.DataFrame) -> tuple[Floats, Floats, Floats]:
    """Hexagons, and pentagons at twelve places, by the centre that the number has."""
    first_N = fields["first"].cast(pl.Int64).to_numpy()
    hemisphere_N, resolution_N = (first_N - 1) // _HEMISPHERES, (first_N - 1) % _HEMISPHERES + 1
    latitude_N = fields["north"].cast(pl.Float64).to_numpy() / 1e6 * np.where(hemisphere_N % 2 == 1, -1.0, 1.0)
    longitude_N = fields["east"].cast(pl.Float64).to_numpy() / 1e6 * np.where(hemisphere_N >= 2, -1.0, 1.0)
    cells_N = 10.0 * 3.0**resolution_N + 2
    half_km_N = np.sqrt(2 * _EARTH_KM2 / cells_N / (3 * np.sqrt(3)))
    valid_N = (first_N >= 1) & (hemisphere_N < 4)
    return np.where(valid_N, longitude_N, np.nan), latitude_N, half_km_N * 1000
