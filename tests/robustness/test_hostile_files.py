"""Files that are damaged or made to mislead: each is read as what it holds, or refused in one sentence."""

import contextlib
import encodings.aliases
import gzip
import io
import json
import os
import struct
import zipfile
from importlib import import_module

import numpy as np
import polars as pl
import pytest
from support.torture import record_trials, trials

from presence_only.columns.column_names import Columns
from presence_only.common.errors import UserError
from presence_only.geography import rasters
from presence_only.geography.geojson import read_polygons
from presence_only.geography.rasters import open_environment
from presence_only.model.range_map import Grid
from presence_only.occurrences.bias_raster import bias_raster_sites
from presence_only.tables import darwin_core
from presence_only.tables.paths import table_paths
from presence_only.tables.reading import read_archive, read_table
from presence_only.tables.unpacking import Archive

COLUMNS = Columns(required=("species", "decimalLongitude", "decimalLatitude"))
NAMES = ["Parus major", "Øresund ågeri", "Größe müller", "Ciconia ciconia"]
WORLD = (-180.0, -90.0, 180.0, 90.0)
SITES = np.array([[0.5, 0.5], [-179.9, 89.9], [179.9, -89.9], [10.2, 50.1]])
LONGEST_SENTENCE = 1500


def is_text_encoding(codec):
    """Whether a codec makes bytes of text."""
    try:
        return isinstance("a\n".encode(codec), bytes)
    except (LookupError, UnicodeError, ValueError):
        return False


REAL_CODECS = {name for name in encodings.aliases.aliases.values() if is_text_encoding(name)}


def outcome(call):
    """What a call gives; a user's error is given too. Anything else is told in a sentence of its own."""
    try:
        return call(), ""
    except UserError as error:
        said = str(error)
        if not said or len(said) > LONGEST_SENTENCE:
            return None, f"a sentence of {len(said)} characters: {said[:200]!r}"
        return error, ""
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return None, f"{type(error).__name__}: {str(error)[:200]}"


def refused(value):
    return isinstance(value, UserError)


class Trials:
    """Trials of one kind, and what fell."""

    def __init__(self, what):
        self.what, self.tried, self.fell = what, 0, []

    def __call__(self, name, call, check=lambda value: True):
        """Make a trial; what is not refused must pass the check."""
        self.tried += 1
        value, fell = outcome(call)
        if not fell and not refused(value) and not check(value):
            fell = f"read as {str(value)[:200]}"
        if fell:
            self.fell.append(f"{name}: {fell}")
        return value

    def must_refuse(self, name, call):
        self(name, call, lambda _: False)

    def done(self):
        record_trials(self.what, self.tried, self.fell)


def rows_of(path):
    return pl.concat(list(read_table(path, COLUMNS)))


def table_text(names, separator=","):
    lines = [("species", "decimalLongitude", "decimalLatitude"), *((n, f"{i}.5", "50.25") for i, n in enumerate(names))]
    return "".join(separator.join(line) + "\n" for line in lines)


def metafile(encoding, quote="&quot;"):
    fields = "".join(
        f'<field index="{i}" term="http://rs.tdwg.org/dwc/terms/{term}"/>' for i, term in enumerate(COLUMNS.required)
    )
    return (
        f'<archive xmlns="http://rs.tdwg.org/dwc/text/"><core encoding="{encoding}" fieldsTerminatedBy="," '
        f'fieldsEnclosedBy="{quote}" ignoreHeaderLines="1" rowType="http://rs.tdwg.org/dwc/terms/Occurrence">'
        f"<files><location>a.txt</location></files>{fields}</core></archive>"
    )


def write_archive(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def rows_of_archive(path):
    with Archive(path) as archive:
        metafile_name = darwin_core.metafile_of(archive.names)
        read = (
            darwin_core.read_zip(archive, metafile_name, COLUMNS) if metafile_name else read_archive(archive, COLUMNS)
        )
        return pl.concat(list(read))


def test_tables_in_any_encoding(tmp_path):
    tried = Trials("tables in odd encodings")
    names_of_codecs = sorted(
        {*encodings.aliases.aliases.values(), "utf_8_sig", "utf_32_le", "klingon", "idna", "undefined"}
    )
    for codec in names_of_codecs:
        for names in (NAMES, ["Parus major", "Pica pica"]):
            text = table_text(names)
            try:
                content = text.encode(codec)
            except (LookupError, UnicodeError, ValueError):
                if codec in REAL_CODECS:
                    continue  # that cannot write these names
                content = text.encode()
            path, archive = tmp_path / "t.csv", tmp_path / "a.zip"
            path.write_bytes(content)
            if not (content.isascii() and content != text.encode()):
                # Of what is ASCII to anyone who is not told, such as UTF-7, nothing can be known.
                tried(codec, lambda path=path: rows_of(path), lambda t, n=names: t["species"].to_list() == n)
            for quote in ("&quot;", ""):
                write_archive(archive, {"meta.xml": metafile(codec, quote), "a.txt": content})
                tried(
                    f"a metafile that says {codec}",
                    lambda archive=archive: rows_of_archive(archive),
                    lambda t, n=names: t["species"].to_list() == n,
                )
    for separator in ",;\t":
        mixed = (
            table_text(NAMES, separator).encode() + "Größe".encode("latin-1") + f"{separator}1{separator}2\n".encode()
        )
        path.write_bytes(mixed)
        tried.must_refuse("UTF-8 and Latin-1", lambda: rows_of(path))
    tried.done()


HOSTILE_NUMBERS = [
    "0",
    "00001",
    "-1",
    "1e3",
    "1.0",
    "²",
    "٣",
    "1_000",
    " 1 ",
    "10" * 20,
    "9" * 5000,
    "NaN",
    "0x10",
    "",
    "1,000",
]


def test_numbers_of_a_metafile(tmp_path):
    tried = Trials("numbers of a metafile")
    for number in HOSTILE_NUMBERS:
        for attribute in ('ignoreHeaderLines="1"', 'index="1"', 'index="0"'):
            name = attribute.partition("=")[0]
            write_archive(
                tmp_path / "a.zip",
                {"meta.xml": metafile("utf-8").replace(attribute, f'{name}="{number}"'), "a.txt": table_text(NAMES)},
            )
            tried(f"{name} {number[:20]}", lambda: rows_of_archive(tmp_path / "a.zip"))
    tried.done()


SQUARE = [[0, 40], [10, 40], [10, 50], [0, 50], [0, 40]]
GEOJSON = {
    "type": "FeatureCollection",
    "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}},
    "features": [
        {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [SQUARE]}},
        {
            "type": "Feature",
            "geometry": {
                "type": "GeometryCollection",
                "geometries": [{"type": "MultiPolygon", "coordinates": [[SQUARE], [SQUARE]]}],
            },
        },
    ],
}
RAW = "@@raw@@"
# Written into the file as they are: not all of them are what Python's json would write.
HOSTILE_JSON = [
    "null", "true", "-0", "1e400", "-1e400", "NaN", "Infinity", "1" + "0" * 400, "9" * 5000, '"1"', '"12"', '""', "[]",
    "{}", "[[]]", "[1]", "[1, 2, 3, 4]", '["1", "2"]', "[true, false]", "[null, null]", "[[1], [2], [3], [4]]",
    "[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000, '"Polygon"', '"GeometryCollection"',
    '"EPSG:3035"', '"' + "x" * 20_000 + '"', '{"type": "name", "properties": {"name": "EPSG:3035"}}',
    '{"type": "name", "properties": {"name": "' + "y" * 9000 + '"}}', '{"type": "EPSG", "properties": {"code": {}}}',
    '{"type": "link", "properties": {"href": "http://localhost/crs"}}', "[1e308, 1e308]", "[-1e308, 1e308]",
]  # fmt: skip


def places(tree, path=()):
    """The path of every part of a tree."""
    yield path
    parts = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, part in parts:
        yield from places(part, (*path, key))


def with_raw(tree, path, raw):
    """JSON of a tree in which one part is ``raw`` text."""
    copied = json.loads(json.dumps(tree))
    if not path:
        return raw
    node = copied
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = RAW
    return json.dumps(copied).replace(f'"{RAW}"', raw)


def test_geojson_of_any_shape(tmp_path):
    tried = Trials("hostile GeoJSON")
    path = tmp_path / "p.geojson"
    cases = [(where, raw) for where in places(GEOJSON) for raw in HOSTILE_JSON]
    rng = np.random.default_rng(21)
    chosen = rng.permutation(len(cases))[: trials(300, len(cases))]
    for where, raw in [cases[i] for i in chosen]:
        path.write_text(with_raw(GEOJSON, where, raw))
        tried(
            f"{where} = {raw[:40]}",
            lambda: read_polygons(path, "evaluation.polygon"),
            lambda found: all(
                np.isfinite(p.outer).all() and np.all(np.abs(p.outer) <= (360, 90)) for p in found.polygons
            ),
        )
    for encoding in ("utf-16", "utf-32", "cp037", "utf-8-sig"):
        path.write_bytes(json.dumps(GEOJSON).encode(encoding))
        tried(encoding, lambda: read_polygons(path, "evaluation.polygon"), lambda found: len(found.polygons) == 3)
    nested = '{"type": "GeometryCollection", "geometries": [' * 3000 + "]}" * 3000
    path.write_text(nested)
    tried.must_refuse("nested collections", lambda: read_polygons(path, "evaluation.polygon"))
    # A point is no pair by chance: eight lone numbers are not four points.
    path.write_text(
        with_raw(GEOJSON, ("features", 0, "geometry", "coordinates", 0), "[[0],[40],[10],[40],[10],[50],[0],[40]]")
    )
    tried.must_refuse("lone numbers", lambda: read_polygons(path, "evaluation.polygon"))
    tried.done()


def npy(array, shape=None, kind=None):
    """The bytes of an array, whose header may say another shape or type."""
    array = np.asarray(array)
    header = {
        "descr": kind or np.lib.format.dtype_to_descr(array.dtype),
        "fortran_order": False,
        "shape": shape or array.shape,
    }
    text = repr(header).encode("latin-1", "replace") + b"\n"
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text)) + text + array.tobytes()


def layers_npz(path, changed=(), compression=zipfile.ZIP_STORED):
    """An .npz of one layer of 7, in which some members are others."""
    members = {
        "names": npy(np.array(["a"])),
        "layers": npy(np.full((1, 18, 36), 7.0, np.float32)),
        "bounds": npy(np.array(WORLD)),
    }
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in [*(members | dict(changed)).items()]:
            if content is not None:
                archive.writestr(f"{name}.npy", content)


HUGE = [(10**12,), (1, 10**6, 10**6), (1, 2**62, 2), (10**400,), (-1, 18, 36), (1, 0, 10**12), (1,) * 70, (0, 0, 0)]
NPZ_MEMBERS = {
    "objects": npy(np.zeros(3), kind="|O"),
    "complex": npy(np.full((1, 18, 36), 7j)),
    "text": npy(np.array([["x"]])),
    "void": npy(np.zeros(4, "V8")),
    "dates": npy(np.zeros((1, 18, 36), "M8[D]")),
    "structured": npy(np.zeros(4, [("a", "f4")])),
    "empty file": b"",
    "no array": b"words",
    "cut": npy(np.zeros((1, 18, 36)))[:-9],
    "nested header": b"\x93NUMPY\x01\x00" + struct.pack("<H", 9000) + b"(" * 8999 + b"\n",
    "unknown version": b"\x93NUMPY\x09\x00" + b"\0" * 40,
    "nothing": npy(np.zeros(())),
    "not finite": npy(np.full(4, np.inf)),
    "nan": npy(np.full(4, np.nan)),
    "huge numbers": npy(np.array([-1e308, -1e308, 1e308, 1e308])),
    "tiny cells": npy(np.array([0, 0, 5e-324, 5e-324])),
    "wide": npy(np.array([-1e9, -1e9, 1e9, 1e9])),
    "half floats": npy(np.full((1, 18, 36), 7, np.float16)),
    "bytes": npy(np.full((1, 18, 36), 7, np.int8)),
    "unsigned": npy(np.full((1, 18, 36), 7, np.uint64)),
    "swapped": npy(np.full((1, 18, 36), 7, ">f4")),
    "twice as many": npy(np.full((2, 18, 36), 7.0)),
    "one number": npy(np.array(3)),
    "missing": None,
    **{f"shape {str(shape)[:30]}": npy(np.zeros(648, np.float32), shape=shape) for shape in HUGE},
}


def sevens_or_nan(environment):
    values = environment.sample(SITES)
    return bool((np.isnan(values) | (values == 7)).all())


def test_arrays_of_any_kind(tmp_path):
    tried = Trials("hostile .npz")
    path = tmp_path / "layers.npz"
    cases = [(kind, member) for kind in NPZ_MEMBERS for member in ("names", "layers", "bounds", "crs")]
    for i in np.random.default_rng(3).permutation(len(cases))[: trials(60, len(cases))]:
        kind, member = cases[i]
        layers_npz(path, {member: NPZ_MEMBERS[kind]})
        # The bytes of a member are read as what they say, so only that reading ends well is asked.
        tried(f"{member}: {kind}", lambda: open_environment(str(path)).sample(SITES))
    for crs in ("EPSG:3035", "EPSG:4326", "no crs", "+proj=utm", "EPSG:4978", "\x00", "z" * 9000, "EPSG:4326+5773"):
        layers_npz(path, {"crs": npy(np.array(crs))})
        tried(f"crs {crs[:20]}", lambda: sevens_or_nan(open_environment(str(path))), bool)
    layers_npz(path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("layers.npy", npy(np.zeros((1, 18, 36))))
    tried.must_refuse("a member twice", lambda: open_environment(str(path)))
    layers_npz(
        path,
        {"layers": npy(np.zeros((1, 2**14, 2**16), np.int8)[:, :8], shape=(9, 2**14, 2**15))},
        zipfile.ZIP_DEFLATED,
    )
    tried.must_refuse("more than memory", lambda: open_environment(str(path)))
    for given in (np.zeros(3), b"PK\x05\x06" + b"\0" * 18, b"", b"\x93NUMPY"):
        path.write_bytes(given if isinstance(given, bytes) else npy(given))
        tried.must_refuse("no .npz", lambda: open_environment(str(path)))
    tried.done()


def geotiff(path, layers=None, transform=None, crs="EPSG:4326", **profile):
    """A GeoTIFF of the world, of sevens unless told otherwise."""
    rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")
    layers = np.full((1, 18, 36), 7, np.float32) if layers is None else layers
    count, height, width = layers.shape
    transform = rasterio.Affine(10, 0, -180, 0, -10, 90) if transform is None else rasterio.Affine(*transform)
    with rasterio.open(
        path, "w", driver="GTiff", dtype=layers.dtype, crs=crs, transform=transform,
        count=count, height=height, width=width, **profile,
    ) as file:  # fmt: skip
        file.write(layers)


TRANSFORMS = [
    (10, 0, -180, 0, 0, 90), (0, 0, -180, 0, -10, 90), (0, 0, 0, 0, 0, 0), (1, 2, 0, 2, 4, 0),
    (1e-320, 0, 0, 0, -1e-320, 0), (1e200, 0, 0, 0, -1e200, 0),
    (np.inf, 0, 0, 0, -1, 0), (np.nan, 0, 0, 0, -1, 0), (10, 0, np.inf, 0, -10, 90),
    (-10, 0, 180, 0, 10, -90), (0, 10, -180, -10, 0, 90), (7, 7, 0, -7, 7, 0), (1e-9, 0, 0, 0, -1e-9, 0),
    (1e9, 0, 0, 0, -1e9, 0),
]  # fmt: skip
KINDS = ("uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64",
         "complex64", "complex128")  # fmt: skip


def test_rasters_of_any_kind(tmp_path, monkeypatch):
    pytest.importorskip("rasterio", reason="rasterio is not installed")
    tried = Trials("hostile rasters")
    path = tmp_path / "layer.tif"
    for transform in TRANSFORMS:
        for crs in ("EPSG:4326", "EPSG:3035", "EPSG:4978"):
            with contextlib.suppress(Exception):
                geotiff(path, transform=transform, crs=crs)
                for nearest_km in (None, 500.0):
                    tried(
                        f"transform {transform} in {crs}",
                        lambda near=nearest_km: sevens_or_nan(open_environment(str(path), near)),
                        bool,
                    )
                tried(f"bias of {transform}", lambda: bias_raster_sites(path, 10, np.random.default_rng(0)))
    for kind in KINDS:
        geotiff(path, np.full((1, 18, 36), 7, kind))
        value = tried(f"of {kind}", lambda: sevens_or_nan(open_environment(str(path))), bool)
        assert refused(value) == kind.startswith("complex")
    geotiff(path, np.zeros((1, 1, 1), np.float32))
    tried("one cell", lambda: open_environment(str(path)).sample(SITES))
    monkeypatch.setattr(rasters, "MOST_LAYERS", 50)
    geotiff(path, np.zeros((51, 1, 1), np.uint8))
    tried.must_refuse("more bands than layers", lambda: open_environment(str(path)))
    tried.done()


@pytest.mark.parametrize("content", ["vrt", "relative", "warped", "zip", "png", "text"])
def test_another_format_under_the_name_of_a_geotiff_reads_no_other_file(tmp_path, content):
    rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")
    secret, path = tmp_path / "secret.tif", tmp_path / "layer.tif"
    geotiff(secret)
    source = "secret.tif" if content == "relative" else str(secret)
    relative = int(content == "relative")
    band = (
        f'<VRTRasterBand dataType="Float32" band="1"><SimpleSource><SourceFilename relativeToVRT="{relative}">'
        f"{source}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
    )
    vrt = (
        '<VRTDataset rasterXSize="36" rasterYSize="18"><SRS>EPSG:4326</SRS>'
        f"<GeoTransform>-180, 10, 0, 90, 0, -10</GeoTransform>{band}</VRTDataset>"
    )
    match content:
        case "zip":
            write_archive(path, {"layer.tif": secret.read_bytes()})
        case "png":
            with contextlib.suppress(rasterio.errors.RasterioError):
                geotiff(secret, np.zeros((1, 18, 36), np.uint8))
                import_module("rasterio.shutil").copy(secret, path, driver="PNG")
        case "text":
            path.write_text(str(secret))
        case _:
            path.write_text(vrt)
    with pytest.raises(UserError, match="cannot be read as a raster"):
        open_environment(str(path))


@pytest.mark.parametrize("nodata", [None, 0.0])
@pytest.mark.parametrize(
    ("width", "height", "profile"),
    [
        (100_000, 50_000, {"blockysize": 1}),
        (100_000, 50_000, {"tiled": True, "blockxsize": 4096, "blockysize": 4096}),
        (100_000, 50_000, {"blockysize": 50_000}),
        (100_000, 50_000, {"tiled": True, "blockxsize": 50_000, "blockysize": 50_000}),
        (2_000_000, 1_000_000, {"tiled": True, "blockxsize": 65_520, "blockysize": 65_520}),
        (400_000, 200_000, {"tiled": True, "blockxsize": 256, "blockysize": 256}),
    ],
)  # fmt: skip
def test_a_sparse_raster_is_read_around_the_sites_or_refused(tmp_path, width, height, profile, nodata):
    rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")
    path = tmp_path / "sparse.tif"
    transform = rasterio.Affine(360 / width, 0, -180, 0, -180 / height, 90)
    shape = {"width": width, "height": height, "count": 1, "dtype": "float32", "crs": "EPSG:4326"}
    with rasterio.open(
        path, "w", driver="GTiff", transform=transform, SPARSE_OK=True, BIGTIFF="YES", compress="deflate",
        nodata=nodata, **shape, **profile,
    ):  # fmt: skip
        pass
    used = resident_bytes()
    value, fell = outcome(lambda: open_environment(str(path)).sample(SITES))
    assert not fell
    large_blocks = profile["blockysize"] > 4096
    assert refused(value) == large_blocks
    if not large_blocks:
        assert np.isnan(value).all() if nodata == 0 else (value == 0).all()
        if nodata == 0:
            # All cells within 5,000 km are too many to look at.
            assert refused(outcome(lambda: open_environment(str(path), 5000.0).sample(SITES))[0])
    if width > 10**5:
        assert refused(outcome(lambda: bias_raster_sites(path, 10, np.random.default_rng(0)))[0])
    assert resident_bytes() - used < 2e9


def resident_bytes():
    """The most memory that this process has held."""
    resource = pytest.importorskip("resource", reason="not on this system")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_paths_that_lead_nowhere(tmp_path):
    tried = Trials("hostile paths")
    (tmp_path / "a folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")
    given = [
        "~nosuchuser", "~nosuchuser/a.tif", "", ".", "\0", "a\0.csv", "x" * 5000, "/".join("x" * 3000),
        "/dev/null", "/dev/zero", "/proc/self/mem", "http://localhost/a.tif", "/vsicurl/http://localhost/a.tif",
        "zip://a.zip!a.tif", "GTIFF_DIR:1:a.tif", "\udcff.csv", "[", "{}", "\x1b[31m.csv",
        *(str(tmp_path / name) for name in ("a folder", "loop", "dangling", "pipe", "nothing")),
    ]  # fmt: skip
    for text in given:
        tried(f"environment {text[:30]!r}", lambda text=text: open_environment(text), lambda _: False)
        tried(
            f"table {text[:30]!r}", lambda text=text: [rows_of(path) for path in table_paths([text])], lambda _: False
        )
    for name in ("loop", "dangling", "pipe", "nothing", "a folder"):
        tried.must_refuse(f"polygons {name}", lambda name=name: read_polygons(tmp_path / name, "evaluation.polygon"))
    tried.done()


def test_bounds_of_a_map():
    tried = Trials("bounds of a map")
    numbers = [-np.inf, -1e300, -181.0, -180.0, -0.0, 5e-324, 90.0, 1e300, np.inf, np.nan]
    rng = np.random.default_rng(5)
    for _ in range(trials(300, 3000)):
        box = rng.choice(numbers, 4).tolist()
        resolution = float(rng.choice([0.0, 5e-324, 1e-300, 1e-9, 1.0, 90.0, np.inf, np.nan, -1.0]))
        tried(
            f"{box} at {resolution}",
            lambda b=box, r=resolution: Grid(*b, r),
            lambda grid: 0 < np.prod(grid.shape) <= 1e7,
        )
    tried.done()


def inputs(folder):
    """Good files of every kind, and how each is read."""
    table = table_text(NAMES * 20).encode()
    (folder / "t.csv").write_bytes(table)
    (folder / "t.csv.gz").write_bytes(gzip.compress(table))
    write_archive(folder / "t.zip", {"t.csv": table})
    write_archive(folder / "dwca.zip", {"meta.xml": metafile("utf-8"), "a.txt": table})
    pl.read_csv(io.BytesIO(table)).write_parquet(folder / "t.parquet")
    layers_npz(folder / "layers.npz")
    (folder / "p.geojson").write_text(json.dumps(GEOJSON))
    readers = {
        "t.csv": rows_of, "t.csv.gz": rows_of, "t.zip": rows_of, "t.parquet": rows_of, "dwca.zip": rows_of_archive,
        "layers.npz": lambda path: open_environment(str(path)).sample(SITES),
        "p.geojson": lambda path: read_polygons(path, "evaluation.polygon"),
    }  # fmt: skip
    with contextlib.suppress(pytest.skip.Exception):
        geotiff(folder / "layer.tif")
        geotiff(folder / "tiles.tif", np.full((2, 300, 300), 7, np.int16), compress="deflate", tiled=True)
        for name in ("layer.tif", "tiles.tif"):
            readers[name] = lambda path: open_environment(str(path), 50.0).sample(SITES)
    return readers


def damaged(content, rng):
    """The same bytes, cut, with some altered, doubled or left out, or with some of another kind."""
    content = bytearray(content)
    match rng.integers(6):
        case 0:
            return bytes(content[: rng.integers(len(content))])
        case 1:
            for at in rng.integers(len(content), size=rng.integers(1, 8)):
                content[at] = rng.integers(256)
        case 2:
            at = rng.integers(min(len(content), 400))  # most of a file's description lies at its beginning
            content[at : at + 4] = rng.bytes(4)
        case 3:
            first, last = sorted(rng.integers(len(content), size=2))
            content[first:last] = content[first:last] * 2
        case 4:
            first = rng.integers(len(content))
            del content[first : first + rng.integers(1, 64)]
        case _:
            at = rng.integers(len(content))
            content[at:at] = rng.choice([b"\0", b"\n", b'"', b"\xff\xfe", b"\r", b"9" * 400])
    return bytes(content)


@pytest.mark.filterwarnings("ignore")
def test_damaged_files(tmp_path):
    tried = Trials("damaged files of users")
    readers = inputs(tmp_path)
    whole = {name: (tmp_path / name).read_bytes() for name in readers}
    rng = np.random.default_rng(2021)
    for _ in range(trials(400, 4000)):
        name = str(rng.choice(list(readers)))
        path = tmp_path / f"damaged {name}"
        path.write_bytes(damaged(whole[name], rng))
        tried(name, lambda path=path, name=name: readers[name](path))
    tried.done()
