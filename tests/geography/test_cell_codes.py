"""Codes of grid cells against published pairs of place and code, and against other ways to compute them."""

import itertools
import math

import numpy as np
import polars as pl
import pyproj
import pytest

from presence_only.geography.cell_codes import cells_of_codes

# Codes that GBIF's functions give for a place, from the tests and the documentation of gbif/occurrence-cube.
PUBLISHED = {
    (9.508333, 47.168611): (
        *("100kmE42N26", "10kmE428N267", "1kmE4283N2672", "100mE42836N26729", "10mE428369N267290", "50kmE425N265"),
        *("250mE428350N267275", "25mE4283675N2672900", "1303mE4282961N2672453", "1mE4283694N2672906"),
        *("CRS3035RES20000mN2660000E4280000", "CRS3035RES1000mN2672000E4283000", "CRS3035RES250mN2672750E4283500"),
    ),
    (-6.349, 54.176): ("100kmE32N35", "1kmE3263N3572"),
    (45.138333, -12.843056): ("CRS3035RES100000mN-2800000E8700000",),
    (-60.9403, 14.6792): ("CRS3035RES5000mN2500000E-2665000",),
    (10.3, 52.3): ("E010N52C", "E010N52CB", "E010N52CBC", "E010N52CBCCBB"),
    (10.3, -52.3): ("E010S52A", "E010S52AD", "E010S52ADA"),
    (-10.3, 52.3): ("W010N52D", "W010N52DA", "W010N52DAD"),
    (-10.3, -52.3): ("W010S52B", "W010S52BC", "W010S52BCB"),
    (-0.1, -0.1): ("W000S00", "CRS4326RES1-0-0LON-1-0-0LAT-1-0-0"),
    (0.1, 0.1): ("E000N00", "CRS4326RES1-0-0LON0-0-0LAT0-0-0"),
    (-0.111, -0.111): ("CRS4326RES0-0-1LON-0-6-40LAT-0-6-40",),
    (10.81266, 52.3): ("CRS4326RES0-15-0LON10-45-0LAT52-15-0", "CRS4326RES0-2-30LON10-47-30LAT52-17-30"),
    (-10.81266, -52.3): ("CRS4326RES0-15-0LON-11-0-0LAT-52-30-0", "CRS4326RES0-1-0LON-10-49-0LAT-52-18-0"),
    (10.0, 52.0): (
        *("32UNC", "32UNC66", "32UNC6861", "32UNC686615", "32UNC68646151", "32UNC6864961510"),
        *("345573994011250000", "452583359004665569", "549767897011250000", "2251999962009999896"),
    ),
    (-10.0, -52.0): ("29FMC3135038489",),
    (0.0, 0.0): ("31NAA6602100000",),
    (14.5367, 45.8631): ("33TVL",),
    (-179.0, -79.0): ("01CDN", "1CDN"),
    (-74.044444, 40.689167): ("5340766511074019041",),
    (-168.75, -58.282526): ("-6858282526168750000",),
}
PAIRS = [(site, code) for site, codes in PUBLISHED.items() for code in codes]


@pytest.mark.parametrize(("site", "code"), PAIRS)
def test_the_published_place_lies_within_its_cell(site, code):
    longitude, latitude, half = cells_of_codes(pl.Series([code])).row(0)
    _, _, metres = pyproj.Geod(ellps="WGS84").inv(*site, longitude, latitude)
    # Shapes of cells are not quite those of the sphere: hexagons differ most.
    assert metres <= 1.02 * half + 1e-6 if not code.lstrip("-").isdecimal() else metres <= 1.4 * half


def test_sizes():
    """Half diagonals: of squares the side over the root of 2, of hexagons the radius by the number of cells."""
    codes = ["1kmE4283N2672", "250mE428350N267275", "CRS3035RES20000mN2660000E4280000", "32UNC66", "549767897011250000"]
    hexagon = 510_065_622 / (10 * 3**5 + 2)
    expected = [1000 / math.sqrt(2), 250 / math.sqrt(2), 20000 / math.sqrt(2), 10000 / math.sqrt(2)]
    expected.append(1000 * math.sqrt(2 * hexagon / (3 * math.sqrt(3))))
    np.testing.assert_allclose(cells_of_codes(pl.Series(codes))["half_diagonal_m"], expected, rtol=1e-4)
    for code, corners in {
        "E008N54BA": [(8.5, 54.75), (8.75, 54.75), (8.5, 55.0), (8.75, 55.0)],
        "W010S52": [(-11, -53), (-10, -53), (-11, -52), (-10, -52)],
        "CRS4326RES0-15-0LON10-45-0LAT52-15-0": [(10.75, 52.25), (11, 52.25), (10.75, 52.5), (11, 52.5)],
    }.items():
        longitude, latitude, half = cells_of_codes(pl.Series([code])).row(0)
        assert (longitude, latitude) == pytest.approx(np.mean(corners, axis=0))
        geod = pyproj.Geod(a=6371008.8, b=6371008.8)
        assert half == pytest.approx(max(geod.inv(longitude, latitude, *corner)[2] for corner in corners), rel=1e-6)


@pytest.mark.parametrize("size", [25, 100, 250, 500, 1000, 5000, 10_000, 50_000, 100_000])
def test_squares_of_the_eea_have_the_centre_that_pyproj_gives(size):
    rng = np.random.default_rng(size)
    east, north = rng.integers(2_600_000, 7_000_000, 50), rng.integers(1_400_000, 5_400_000, 50)
    digits = len(str(size)) - len(str(size).rstrip("0"))
    unit, name = 10**digits, f"{size}m" if size < 1000 else f"{size // 1000}km"
    corners = [(int(x) // size * size, int(y) // size * size) for x, y in zip(east, north, strict=True)]
    codes = [f"{name}E{x // unit}N{y // unit}" for x, y in corners]
    turned = [f"{name}N{y // unit}E{x // unit}" for x, y in corners]
    inspire = [f"CRS3035RES{size}mN{y}E{x}" for x, y in corners]
    found = cells_of_codes(pl.Series(codes))
    back = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:3035", always_xy=True)
    np.testing.assert_allclose(
        np.stack(back.transform(found["longitude"], found["latitude"]), axis=1),
        np.array(corners) + size / 2,
        atol=1e-3,
    )
    assert found.equals(cells_of_codes(pl.Series(inspire)))
    assert found.equals(cells_of_codes(pl.Series(turned)))


@pytest.mark.parametrize(("degree", "west", "south"), [("E010N52", 10, 52), ("W010S52", -11, -53), ("W000N00", -1, 0)])
def test_quarters_tile_their_degree(degree, west, south):
    words = ["".join(letters) for letters in itertools.product("ABCD", repeat=3)]
    found = cells_of_codes(pl.Series([degree + word for word in words]))
    steps = (np.arange(8) + 0.5) / 8
    tiles = {(west + x, south + y) for x in steps for y in steps}
    assert set(zip(found["longitude"], found["latitude"], strict=True)) == tiles
    # A is north of C and west of B, at every level.
    at = dict(zip(words, zip(found["longitude"], found["latitude"], strict=True), strict=True))
    assert at["AAA"] == (west + steps[0], south + steps[7])
    assert at["DDD"] == (west + steps[7], south + steps[0])
    assert at["BCC"] == (west + steps[4], south + steps[4])


def krueger(longitude, latitude, meridian):
    """Easting and northing of UTM by the series of Krueger (1912), to the third order, on WGS84."""
    f = 1 / 298.257223563
    n = f / (2 - f)
    radius = 6378137.0 / (1 + n) * (1 + n**2 / 4 + n**4 / 64)
    e = 2 * math.sqrt(n) / (1 + n)
    phi, lam = math.radians(latitude), math.radians(longitude - meridian)
    t = math.sinh(math.atanh(math.sin(phi)) - e * math.atanh(e * math.sin(phi)))
    xi, eta = math.atan2(t, math.cos(lam)), math.atanh(math.sin(lam) / math.sqrt(1 + t * t))
    alpha = (n / 2 - 2 * n**2 / 3 + 5 * n**3 / 16, 13 * n**2 / 48 - 3 * n**3 / 5, 61 * n**3 / 240)
    east = eta + sum(a * math.cos(2 * j * xi) * math.sinh(2 * j * eta) for j, a in enumerate(alpha, 1))
    north = xi + sum(a * math.sin(2 * j * xi) * math.cosh(2 * j * eta) for j, a in enumerate(alpha, 1))
    return 500_000 + 0.9996 * radius * east, 0.9996 * radius * north


def military(longitude, latitude, digits):
    """The code of a place: letters of columns and rows from one running alphabet, as the standard draws them."""
    zone = int((longitude + 180) // 6) + 1
    band = "CDEFGHJKLMNPQRSTUVWXX"[int((latitude + 80) // 8)]
    east, north = krueger(longitude, latitude, 6 * zone - 183)
    north = north if latitude >= 0 else north + 10_000_000
    alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZ"
    column = alphabet[((zone - 1) * 8 + int(east // 100_000) - 1) % 24]
    row = alphabet[: alphabet.index("V") + 1][(int(north // 100_000) + (5 if zone % 2 == 0 else 0)) % 20]
    rest = "".join(f"{int(value % 100_000):05d}"[:digits] for value in (east, north))
    return f"{zone:02d}{band}{column}{row}{rest}"


@pytest.mark.parametrize("digits", [0, 1, 2, 3, 4, 5])
def test_squares_of_the_military_grid_hold_their_places_in_all_zones_and_bands(digits):
    assert military(10.0, 52.0, 5) == "32UNC6864961510"
    rng = np.random.default_rng(digits)
    sites = [
        (6 * zone - 180 + rng.uniform(0, 6), 8 * band - 80 + rng.uniform(0, 8))
        for zone in range(60)
        for band in range(20)
    ]
    sites += [(6 * zone - 180 + rng.uniform(0, 6), rng.uniform(80, 84)) for zone in range(60)]
    found = cells_of_codes(pl.Series([military(*site, digits) for site in sites]))
    assert found["longitude"].null_count() == 0
    side = 100_000 / 10**digits
    for site, (longitude, latitude, half) in zip(sites, found.iter_rows(), strict=True):
        meridian = 6 * int((site[0] + 180) // 6) - 177
        offset = np.subtract(krueger(*site, meridian), krueger(longitude, latitude, meridian))
        assert np.abs(offset).max() <= side / 2 + 0.01
        assert half == pytest.approx(side / math.sqrt(2))


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "32U", "61UNC66", "00UNC66", "32UNC661", "32INC66", "32UAA66", "E10N52", "E010N52E", "1kmE4283"),
        *(
            "3.45573994011250e17",
            "34557399401125000",
            "9945573994011250000",
            "345573994",
            "0kmE0N0",
            "E181N00",
            "E010N91",
        ),
        *("CRS4326RES0-0-0LON10-0-0LAT52-0-0", "CRS3035RES0mN0E0", "1mmE1N1", "47.1", "A010N52"),
    ],
)
def test_what_is_no_code_has_no_cell(text):
    assert cells_of_codes(pl.Series([text])).row(0) == (None, None, None)


def test_rows_keep_their_order_whatever_the_grid():
    codes = ["E008N54BA", None, " 1kmE4283N2672 ", "oops", "e008n54ba", "1KME4283N2672", "32unc66"]
    found = cells_of_codes(pl.Series(codes))
    assert found["longitude"].is_null().to_list() == [False, True, False, True, False, False, False]
    assert found.row(0) == found.row(4)
    assert found.row(2) == found.row(5)
    assert cells_of_codes(pl.Series([], dtype=pl.String)).height == 0
    # Keys of numbers, as parquet may have them.
    assert cells_of_codes(pl.Series([345573994011250000])).row(0)[:2] == (11.25, 45.573994)
