"""Users' rasters, written here in every form, against sampling by hand."""

import re
import sys
import tracemalloc

import numpy as np
import pyproj
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from presence_only.common.errors import DataError
from presence_only.geography import rasters as module
from presence_only.geography.earth import Earth
from presence_only.geography.rasters import Grid, Layers, open_environment
from presence_only.geography.sphere import EARTH_RADIUS_KM, unit_vectors

WORLD = (-180.0, -90.0, 180.0, 90.0)


def spread_sites(n=3000, seed=0):
    """Sites all over the Earth, with its corners."""
    rng = np.random.default_rng(seed)
    corners = [[180, 90], [-180, -90], [-180, 0], [180, 0], [0, 90], [0, -90], [179.99, 5], [-179.99, 5], [0.5, 0.5]]
    return np.concatenate([np.column_stack([rng.uniform(-180, 180, n), rng.uniform(-90, 90, n)]), corners])


def save_arrays(path, layers, bounds=WORLD, **more):
    layers = np.asarray(layers)
    np.savez(path, names=[f"layer {i}" for i in range(len(layers))], layers=layers, bounds=bounds, **more)
    return str(path)


def save_geotiff(path, layers, bounds=WORLD, crs="EPSG:4326", scale=None, descriptions=None, **profile):
    rasterio = pytest.importorskip("rasterio", reason="GeoTIFFs need rasterio: pip install presence-only[rasters]")
    layers = np.asarray(layers)
    count, height, width = layers.shape
    transform = rasterio.transform.from_bounds(*bounds, width, height)
    shape = {"count": count, "height": height, "width": width}
    with rasterio.open(
        path, "w", driver="GTiff", dtype=layers.dtype, crs=crs, transform=transform, **shape, **profile
    ) as file:
        file.write(layers)
        if scale:
            file.scales, file.offsets = [scale[0]] * count, [scale[1]] * count
        if descriptions:
            file.descriptions = descriptions
    return str(path)


def bilinear(layer, bounds, longitude, latitude, *, wraps):
    """The plain definition, one site at a time."""
    west, south, east, north = bounds
    rows, columns = layer.shape
    x = (longitude - west) / (east - west) * columns - 0.5
    y = (north - latitude) / (north - south) * rows - 0.5
    y = min(max(y, 0), rows - 1)
    x = x if wraps else min(max(x, 0), columns - 1)
    total = norm = 0.0
    for row in (int(np.floor(y)), int(np.floor(y)) + 1):
        for column in (int(np.floor(x)), int(np.floor(x)) + 1):
            weight = (1 - abs(y - row)) * (1 - abs(x - column))
            value = layer[min(row, rows - 1), column % columns if wraps else min(column, columns - 1)]
            if not np.isnan(value):
                total, norm = total + weight * value, norm + weight
    return total / norm if norm > 0 else np.nan


def nearest(layer, bounds, longitude, latitude, reach_km):
    """The defined cell with the nearest centre, by looking at all of them."""
    west, south, east, north = bounds
    rows, columns = layer.shape
    longitudes = west + (np.arange(columns) + 0.5) * (east - west) / columns
    latitudes = north - (np.arange(rows) + 0.5) * (north - south) / rows
    centres = np.stack(np.meshgrid(longitudes, latitudes), axis=-1)[~np.isnan(layer)]
    cosine = unit_vectors(centres) @ unit_vectors(np.array([[longitude, latitude]]))[0]
    best = np.argmax(cosine)
    return layer[~np.isnan(layer)][best] if EARTH_RADIUS_KM * np.arccos(cosine[best]) <= reach_km else np.nan


@pytest.fixture
def half_known():
    """A layer on a grid of 10 degrees with holes, as of the sea."""
    rng = np.random.default_rng(5)
    layer = rng.normal(size=(18, 36)).astype(np.float32)
    layer[rng.random(layer.shape) < 0.7] = np.nan
    return layer


@pytest.mark.parametrize("cells_at_once", [1, 720, 2**22])
def test_the_shipped_grid_read_as_strips_gives_what_earth_gives(monkeypatch, cells_at_once):
    monkeypatch.setattr(module, "CELLS_AT_ONCE", cells_at_once)
    monkeypatch.setattr(module, "SITES_AT_ONCE", 1000)
    sites = spread_sites()
    before = sites.copy()
    layers = Layers((module._earth_grid(),))
    assert_allclose(layers.sample(sites), Earth.load().sample(sites), rtol=1e-5, atol=1e-4)
    assert_array_equal(sites, before)
    assert layers.names == Earth.load().names
    assert layers.sample(sites[:0]).shape == (0, 8)


@pytest.mark.parametrize("bounds", [WORLD, (0.0, -90.0, 360.0, 90.0)], ids=["-180..180", "0..360"])
def test_arrays_around_the_earth_are_interpolated_across_180_degrees(tmp_path, half_known, bounds):
    environment = open_environment(save_arrays(tmp_path / "layers.npz", [half_known], bounds))
    sites = spread_sites(500)
    expected = [bilinear(half_known, bounds, *site, wraps=True) for site in sites]
    assert_allclose(environment.sample(sites)[:, 0], expected, rtol=1e-5, atol=1e-5)
    assert np.isnan(expected).any()


def test_beyond_its_bounds_a_layer_is_undefined(tmp_path, half_known):
    bounds = (-10.0, 35.0, 26.0, 53.0)
    environment = open_environment(save_arrays(tmp_path / "layers.npz", [half_known], bounds))
    rng = np.random.default_rng(0)
    sites = np.column_stack([rng.uniform(-9.9, 26, 300), rng.uniform(35, 53, 300)])
    expected = [bilinear(half_known, bounds, *site, wraps=False) for site in sites]
    assert_allclose(environment.sample(sites)[:, 0], expected, rtol=1e-5, atol=1e-5)
    outside = np.array([[-10.1, 40.0], [26.1, 40.0], [170.0, 40.0], [-180.0, 40.0], [0.0, 34.9], [0.0, 90.0]])
    assert np.isnan(environment.sample(outside)).all()
    on_edge = np.array([[-10.0, 44.0], [26.0, 44.0], [0.0, 35.0], [0.0, 53.0]])
    full = open_environment(save_arrays(tmp_path / "full.npz", [np.ones((18, 36))], bounds))
    assert_array_equal(full.sample(on_edge), np.ones((4, 1)))


def test_a_map_that_crosses_180_degrees_is_one_map(tmp_path):
    bounds = (170.0, -20.0, 190.0, 0.0)
    ramp = np.tile(np.arange(20.0), (20, 1))
    environment = open_environment(save_arrays(tmp_path / "fiji.npz", [ramp], bounds))
    values = environment.sample(np.array([[179.0, -10.0], [-179.0, -10.0], [180.0, -10.0], [-180.0, -10.0], [0, -10]]))
    assert_allclose(values[:, 0], [8.5, 10.5, 9.5, 9.5, np.nan])


@pytest.mark.parametrize("bounds", [WORLD, (0.0, -90.0, 360.0, 90.0), (-20.0, -45.0, 52.0, 45.0)])
@pytest.mark.parametrize("cells_at_once", [36, 2**22])
def test_nearest_takes_the_nearest_defined_cell_within_reach(tmp_path, half_known, bounds, cells_at_once, monkeypatch):
    monkeypatch.setattr(module, "CELLS_AT_ONCE", cells_at_once)
    half_known[:, :12] = np.nan
    path = save_arrays(tmp_path / "layers.npz", [half_known, np.zeros_like(half_known)], bounds)
    # At a pole itself all cells of a row are equally near.
    sites = np.concatenate([[site for site in spread_sites(400) if abs(site[1]) < 90], [[77.3, 89.3], [-3.1, -88.8]]])
    plain, filled = open_environment(path).sample(sites), open_environment(path, 900.0).sample(sites)
    known = ~np.isnan(plain[:, 0])
    assert_array_equal(filled[known], plain[known])
    expected = [nearest(half_known, bounds, *site, 900.0) for site in sites[~known]]
    assert_allclose(filled[~known, 0], expected, rtol=1e-6)
    if bounds == WORLD:
        assert 0.1 < np.isnan(expected).mean() < 0.9


def test_the_sea_near_a_coast_takes_the_coast(monkeypatch):
    earth, near = Earth.load(), open_environment("earth", 200.0)
    assert open_environment("earth") is earth
    sites = np.array([[-10.9, 39.5], [-30.0, 30.0], [10.0, 50.0]])
    plain, filled = earth.sample(sites), near.sample(sites)
    assert np.isnan(plain[:2, 1:]).all()
    assert np.isfinite(filled[0]).all()
    assert np.isnan(filled[1, 1:]).all()
    assert_allclose(filled[2], plain[2], rtol=1e-5)


def test_a_geotiff_equals_its_array(tmp_path, half_known):
    arrays = open_environment(save_arrays(tmp_path / "layers.npz", [half_known]))
    stored = np.where(np.isnan(half_known), -3.4e38, half_known).astype(np.float32)
    raster = open_environment(save_geotiff(tmp_path / "temperature.tif", [stored], nodata=np.float32(-3.4e38)))
    sites = spread_sites(500)
    assert raster.names == ("temperature",)
    assert_allclose(raster.sample(sites), arrays.sample(sites), rtol=1e-5, atol=1e-5)


def test_an_ascii_grid_is_read_as_the_geotiff_of_its_cells(tmp_path):
    pytest.importorskip("rasterio", reason="rasterio is not installed")
    cells = np.arange(12, dtype=np.float32).reshape(3, 4)
    lines = ["ncols 4", "nrows 3", "xllcorner 10", "yllcorner 40", "cellsize 1", "NODATA_value -9999"]
    rows = [" ".join(str(cell) for cell in row) for row in cells]
    (tmp_path / "layer.asc").write_text("\n".join([*lines, *rows]) + "\n")
    (tmp_path / "layer.prj").write_text(pyproj.CRS("EPSG:4326").to_wkt("WKT1_ESRI"))
    found = open_environment(str(tmp_path / "layer.asc")).sample(np.array([[10.5, 42.5], [13.5, 40.5], [50.0, 40.5]]))
    np.testing.assert_array_equal(found.ravel(), [0.0, 11.0, np.nan])


def test_scale_offset_and_nodata_of_integers(tmp_path):
    stored = np.full((1, 18, 36), 250, dtype=np.int16)
    stored[0, :9] = -9999
    raster = open_environment(save_geotiff(tmp_path / "t.tif", stored, nodata=-9999, scale=(0.1, -5.0)))
    values = raster.sample(np.array([[0.0, -45.0], [0.0, 45.0]]))
    assert_allclose(values[:, 0], [20.0, np.nan])


@pytest.mark.parametrize(
    ("fill", "kind"),
    [
        (-3.4e38, "float32"),
        (np.finfo("float64").min, "float64"),
        (9.96921e36, "float32"),
        (1e20, "float64"),
        (-9999, "float32"),
        (-9999, "int16"),
        (-32768, "int16"),
        (32767, "int16"),
        (65535, "uint16"),
        (2**32 - 1, "uint32"),
        (-(2**31), "int32"),
        (-99999, "int32"),
        (9999, "uint16"),
        (99999, "float32"),
    ],
)
@pytest.mark.parametrize("form", ["geotiff", "npz"])
def test_what_stands_for_no_value_is_undefined_without_a_declaration(tmp_path, fill, kind, form):
    whole = np.add.outer(np.arange(18), np.arange(36)).astype(kind)
    holed = whole.copy()
    holed[:, :4] = fill
    save = save_geotiff if form == "geotiff" else save_arrays
    environment = open_environment(save(tmp_path / ("t.tif" if form == "geotiff" else "t.npz"), [holed]))
    # The coast is 140 W, and the first centre of a cell to the east of it is 135 W.
    sites = np.array([[-155.0, 5.0], [-137.0, 5.0], [20.0, 5.0]])
    expected = open_environment(save_arrays(tmp_path / "whole.npz", [whole])).sample(sites)[2, 0]
    assert_allclose(environment.sample(sites)[:, 0], [np.nan, 4 + 8, expected])
    said = f"cells of {int(fill)} (11.11% of the cells that were looked at) lie far from all others"
    told = [said] if abs(fill) < 1e19 else []
    assert len(environment.notes) == len(told)
    assert all(part in note for part, note in zip(told, environment.notes, strict=True))


def test_a_depth_of_9999_metres_and_a_white_of_255_are_numbers(tmp_path):
    floor = np.linspace(-10900, 8800, 18 * 36).astype("int16").reshape(1, 18, 36)
    floor[0, 0, 0] = -9999
    deep = open_environment(save_geotiff(tmp_path / "floor.tif", floor))
    assert deep.sample(np.array([[-175.0, 85.0]]))[0, 0] == -9999
    assert deep.notes == ()
    tree_cover = np.tile(np.arange(36, dtype="uint8"), (1, 18, 1))
    tree_cover[0, :9] = 255
    cover = open_environment(save_geotiff(tmp_path / "cover.tif", tree_cover))
    assert cover.sample(np.array([[-175.0, 85.0]]))[0, 0] == 255
    assert len(cover.notes) == 1
    assert "Layer 'cover' declares no nodata value. Its cells of 255 (50.00% of" in cover.notes[0]
    assert "are taken as a measurement; if they stand for no value, declare that" in cover.notes[0]
    mask = np.zeros((1, 18, 36), "uint16")
    mask[0, :9] = 65535
    assert open_environment(save_geotiff(tmp_path / "mask.tif", mask)).sample(np.array([[-175.0, 85.0]]))[0, 0] == 65535


def test_a_declared_nodata_value_is_believed(tmp_path):
    stored = np.full((1, 18, 36), 250, dtype=np.int16)
    stored[0, :9], stored[0, 9, 0] = -9999, -32768
    raster = open_environment(save_geotiff(tmp_path / "t.tif", stored, nodata=-32768))
    assert_array_equal(raster.sample(np.array([[0.0, 45.0], [-175.0, -5.0]]))[:, 0], [-9999, np.nan])
    assert raster.notes == ()
    # NaN is undefined anyway: to declare it says nothing of -9999.
    raster = open_environment(save_geotiff(tmp_path / "f.tif", stored.astype("float32"), nodata=np.nan))
    assert np.isnan(raster.sample(np.array([[0.0, 45.0]]))[0, 0])


def test_a_band_of_alpha_is_a_mask_and_no_layer(tmp_path):
    rasterio = pytest.importorskip("rasterio", reason="GeoTIFFs need rasterio: pip install presence-only[rasters]")
    layers = np.stack([np.full((18, 36), 7, "uint8"), np.full((18, 36), 255, "uint8")])
    layers[1, :9] = 0
    path = save_geotiff(tmp_path / "t.tif", layers, alpha="yes")
    with rasterio.open(path) as file:
        assert [band.name for band in file.colorinterp] == ["gray", "alpha"]
    environment = open_environment(path)
    assert environment.names == ("t",)
    assert_array_equal(environment.sample(np.array([[0.0, 45.0], [0.0, -45.0]]))[:, 0], [np.nan, 7])


def test_classes_are_kept_and_named(tmp_path):
    rasterio = pytest.importorskip("rasterio", reason="GeoTIFFs need rasterio: pip install presence-only[rasters]")
    classes = np.tile(np.arange(36, dtype="uint16"), (1, 18, 1))
    classes[0, :9] = 65535
    path = save_geotiff(tmp_path / "cover.tif", classes, photometric="palette")
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {value: (value, 0, 0, 255) for value in range(36)})
    environment = open_environment(path)
    assert environment.sample(np.array([[0.0, 45.0]]))[0, 0] == 65535
    assert "Layer 'cover' has a colour table" in environment.notes[0]


@pytest.mark.parametrize("shape", [{}, {"tiled": True, "blockxsize": 16, "blockysize": 16}])
def test_a_few_blocks_tell_what_stands_for_no_value(tmp_path, shape, monkeypatch):
    monkeypatch.setattr(module, "BLOCKS_LOOKED_AT", 8)
    layer = np.tile(np.arange(128, dtype="uint16"), (1, 256, 1))
    layer[0, 2:5, 2:5] = 65535
    path = save_geotiff(tmp_path / "t.tif", layer, (0.0, 0.0, 1.28, 2.56), **shape)
    assert np.isnan(open_environment(path).sample(np.array([[0.035, 2.525]]))[0, 0])


LOCAL = 'LOCAL_CS["unnamed",UNIT["metre",1]]'
SITE = 'ENGCRS["site 7",EDATUM["site"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]]'


@pytest.mark.parametrize(
    ("save", "crs", "name"),
    [
        (save_geotiff, LOCAL, "unnamed"),
        (save_arrays, LOCAL, "unnamed"),
        (save_arrays, SITE, "site 7"),
        (save_arrays, "EPSG:4978", "WGS 84"),
        (save_arrays, "EPSG:5773", "EGM96 height"),
        (save_arrays, "ESRI:104903", "GCS_Moon_2000"),
    ],
)
def test_a_reference_system_that_is_not_on_earths_surface_is_one_sentence(tmp_path, save, crs, name):
    path = save(tmp_path / ("a.tif" if save is save_geotiff else "a.npz"), np.zeros((1, 2, 2)), crs=crs)
    sentence = f"there is no way from longitude and latitude to its coordinate reference system {name!r}"
    with pytest.raises(DataError, match=re.escape(sentence)):
        open_environment(path)


@pytest.mark.parametrize("tiled", [False, True])
def test_a_projected_raster_is_sampled_where_its_cells_lie(tmp_path, tiled):
    bounds = (2_500_000.0, 1_500_000.0, 6_500_000.0, 5_500_000.0)
    x = np.linspace(bounds[0] + 10_000, bounds[2] - 10_000, 200)
    y = np.linspace(bounds[3] - 10_000, bounds[1] + 10_000, 200)
    layers = np.stack([np.tile(x, (200, 1)), np.tile(y[:, None], (1, 200))]).astype(np.float64)
    shape = {"tiled": True, "blockxsize": 64, "blockysize": 64} if tiled else {}
    path = save_geotiff(tmp_path / "laea.tif", layers, bounds, "EPSG:3035", descriptions=("x", "y"), **shape)
    environment = open_environment(path)
    assert environment.names == ("laea: x", "laea: y")
    # EPSG:3035 has its origin, false easting and northing 4,321,000 and 3,210,000 m, at 10 E, 52 N.
    sites = np.array([[10.0, 52.0], [0.0, 45.0], [20.0, 60.0], [-100.0, 0.0], [-170.0, -52.0]])
    values = environment.sample(sites)
    assert_allclose(values[0], [4_321_000, 3_210_000], atol=1)
    pyproj = pytest.importorskip("pyproj")
    expected = np.column_stack(pyproj.Proj("EPSG:3035")(sites[1:3, 0], sites[1:3, 1]))
    assert_allclose(values[1:3], expected, atol=2)
    assert np.isnan(values[3:]).all()


def test_nearest_in_a_projected_raster(tmp_path):
    bounds = (2_500_000.0, 1_500_000.0, 6_500_000.0, 5_500_000.0)
    layer = np.full((1, 200, 200), np.nan, dtype=np.float32)
    layer[0, 100, 50], layer[0, 100, 60] = 1.0, 2.0
    path = save_geotiff(tmp_path / "laea.tif", layer, bounds, "EPSG:3035", nodata=np.nan)
    pyproj = pytest.importorskip("pyproj")
    x = np.array([50, 54, 56, 60, 50]) * 20_000 + 2_510_000
    y = 5_490_000 - np.array([100, 100, 100, 100, 120]) * 20_000
    sites = np.column_stack(pyproj.Proj("EPSG:3035")(x, y, inverse=True))
    values = open_environment(path, 110.0).sample(sites)[:, 0]
    assert_allclose(values, [1, 1, 2, 2, np.nan])


def test_a_folder_gives_a_layer_a_file_each_on_its_own_grid(tmp_path):
    save_geotiff(tmp_path / "bio_2.tif", np.full((1, 9, 18), 2.0))
    save_geotiff(tmp_path / "bio_1.TIF", np.full((1, 18, 36), 1.0))
    save_geotiff(tmp_path / "europe.tiff", np.full((1, 10, 10), 3.0), (0.0, 40.0, 20.0, 60.0))
    (tmp_path / "readme.txt").write_text("not a raster")
    environment = open_environment(str(tmp_path))
    assert environment.names == ("bio_1", "bio_2", "europe")
    values = environment.sample(np.array([[10.0, 50.0], [100.0, 50.0]]))
    assert_array_equal(values, [[1, 2, 3], [1, 2, np.nan]])


def test_only_the_rows_around_the_sites_are_read(monkeypatch):
    asked = []

    def read(layer, rows, columns):
        asked.append((rows.stop - rows.start) * (columns.stop - columns.start))
        return np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=np.float32)

    # 30 seconds of arc, 3.7 GB a layer.
    grid = Grid(("a",), (21_600, 43_200), (1 / 120, 0, -180, 0, -1 / 120, 90), None, read)
    rng = np.random.default_rng(0)
    switzerland = np.column_stack([rng.uniform(6, 10.5, 1000), rng.uniform(45.8, 47.8, 1000)])
    Layers((grid,)).sample(switzerland)
    assert sum(asked) < 2 * 4.5 * 2.0 * 120**2
    asked.clear()
    tracemalloc.start()
    Layers((grid,)).sample(spread_sites(2000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(asked) <= module.CELLS_AT_ONCE + 43_200
    assert peak < 100e6


def test_bad_files_are_one_sentence(tmp_path):
    def refused(path, sentence):
        with pytest.raises(DataError, match=sentence):
            open_environment(str(path))

    refused(tmp_path / "none.npz", "none.npz': there is no such file; give 'earth', or the path of a GeoTIFF")
    refused(tmp_path, "is a folder without .tif or .tiff files")
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"PK\x03\x04 and no more")
    refused(broken, "cannot be read as an .npz of numbers")
    np.savez(tmp_path / "pickled.npz", names=["a"], bounds=WORLD, layers=np.array([[[{}]]], dtype=object))
    refused(tmp_path / "pickled.npz", "cannot be read as an .npz of numbers")
    np.savez(tmp_path / "nameless.npz", layers=np.zeros((1, 2, 2)))
    refused(tmp_path / "nameless.npz", "has no 'names'; an .npz of layers holds names, layers and bounds")
    np.savez(tmp_path / "flat.npz", names=["a"], layers=np.zeros((2, 2)), bounds=WORLD)
    refused(tmp_path / "flat.npz", r"layers must be numbers of the shape \(C, rows, columns\)")
    save_arrays(tmp_path / "turned.npz", np.zeros((1, 2, 2)), (10.0, 0.0, 0.0, 10.0))
    refused(tmp_path / "turned.npz", "bounds are .*; they must be west, south, east, north")
    save_arrays(tmp_path / "crs.npz", np.zeros((1, 2, 2)), crs="EPSG:1")
    refused(tmp_path / "crs.npz", "unknown coordinate reference system 'EPSG:1'")
    np.savez(tmp_path / "twice.npz", names=["a", "a"], layers=np.zeros((2, 2, 2)), bounds=WORLD)
    refused(tmp_path / "twice.npz", "two layers have the name 'a'")


def test_bad_rasters_are_one_sentence(tmp_path):
    path = tmp_path / "a.tif"
    save_geotiff(path, np.random.default_rng(0).normal(size=(1, 400, 400)), crs=None)
    with pytest.raises(DataError, match=re.escape("a.tif: says not where on Earth it lies")):
        open_environment(str(path))
    save_geotiff(path, np.zeros((1, 4, 4), "complex64"))
    with pytest.raises(DataError, match=re.escape("a.tif: holds complex numbers")):
        open_environment(str(path))
    path.write_text("no raster")
    with pytest.raises(DataError, match=re.escape("a.tif: cannot be read as a raster")):
        open_environment(str(path))
    save_geotiff(path, np.random.default_rng(0).normal(size=(1, 400, 400)), compress="deflate")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=re.escape("a.tif: cannot be read")):
        open_environment(str(path)).sample(spread_sites())


def test_without_rasterio_a_geotiff_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\x00")
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(DataError, match=re.escape("pip install presence-only[rasters]")):
        open_environment(str(path))


@pytest.mark.parametrize("sites", [np.zeros((2, 3)), np.array([[181.0, 0.0]]), np.array([[0.0, np.nan]])])
def test_sites_off_the_globe_are_refused(sites):
    with pytest.raises(DataError, match=r"sites must have the shape \(n, 2\)"):
        Layers(()).sample(sites)
