"""Parquet files alone, in folders and in a zip."""

import zipfile

import polars as pl
from support.table_files import WANTED, failure, rows, write

from presence_only.tables import batches
from presence_only.tables.reading import read_table


class TestParquet:
    TABLE = pl.DataFrame({"species": ["Pica pica", "Apus apus"], "decimallatitude": [1.5, None], "gbifid": [1, 2]})

    def test_file_with_lower_case_names_and_types_of_its_own(self, tmp_path):
        path = tmp_path / "a.parquet"
        self.TABLE.write_parquet(path)
        assert rows(path) == [
            {"decimalLatitude": 1.5, "species": "Pica pica"},
            {"decimalLatitude": None, "species": "Apus apus"},
        ]

    def test_folder_of_files_without_endings(self, tmp_path, monkeypatch):
        monkeypatch.setattr(batches, "ROWS_A_BATCH", 1)
        folder = tmp_path / "occurrence.parquet"
        folder.mkdir()
        self.TABLE[:1].write_parquet(folder / "000000")
        self.TABLE.write_parquet(folder / "000001")
        write(tmp_path / "citation.txt", "cite this")
        (folder / ".hidden").touch()
        assert [row["species"] for row in rows(tmp_path)] == ["Pica pica", "Pica pica", "Apus apus"]

    def test_in_a_zip_and_nothing_is_left_behind(self, tmp_path, monkeypatch):
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(scratch))
        self.TABLE.write_parquet(tmp_path / "a")
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(tmp_path / "a", "occurrence.parquet/000000")
        assert len(rows(path)) == 2
        assert list(scratch.iterdir()) == []
        # Nor when the reader stops in the middle.
        batches = read_table(path, WANTED)
        next(batches)
        assert len(list(scratch.iterdir())) == 1
        batches.close()
        assert list(scratch.iterdir()) == []

    def test_one_that_is_cut_off(self, tmp_path):
        path = tmp_path / "a.parquet"
        self.TABLE.write_parquet(path)
        path.write_bytes(path.read_bytes()[:-40])
        assert failure(path).startswith(": is a damaged or incomplete parquet file (")

    def test_folder_without_any(self, tmp_path):
        assert failure(tmp_path).startswith(": there is no parquet file in this folder")

    def test_missing_column(self, tmp_path):
        path = tmp_path / "a.parquet"
        self.TABLE.drop("species").write_parquet(path)
        assert failure(path).startswith(": no column 'species'; ")
