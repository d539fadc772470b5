"""The species of rows that name it in several columns."""

import polars as pl
import pytest

from presence_only.columns.taxa import taxon_columns
from presence_only.datasets.table import DatasetSettings, read_records


def names(**columns):
    rows = max(len(column) for column in columns.values())
    assert all(len(column) == rows for column in columns.values())
    found = taxon_columns(pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)), "roll_up", "x.csv")
    return list(zip(found["species"], found["open_name"], strict=True))


@pytest.mark.parametrize("epithet", ["vulgare", "vulgare L.", "T. vulgare", "x vulgare", " vulgare"])
def test_the_whole_name_counts_beside_an_epithet(epithet):
    found = names(species=[epithet] * 2, scientificName=["Thymus vulgare L.", "Blechnum vulgare"])
    assert found == [("Thymus vulgare", None), ("Blechnum vulgare", None)]


def test_an_epithet_whose_genus_is_not_there_is_open():
    assert names(species=["vulgare", "Thymus vulgare"]) == [(None, "vulgare"), ("Thymus vulgare", None)]
    assert names(species=["vulgare"], scientificName=[None]) == [(None, "vulgare")]
    assert names(species=["vulgare"], scientificName=["Thymus"]) == [(None, "Thymus")]
    assert names(species=["vulgare"] * 2, genus=["Thymus", None]) == [("Thymus vulgare", None), (None, "vulgare")]
    found = names(species=["vulgare"] * 2, genus=["Thymus", None], scientificName=["Blechnum vulgare"] * 2)
    assert found == [("Thymus vulgare", None), ("Blechnum vulgare", None)]


def test_an_aggregate_counts_for_its_species_by_rank_and_by_name():
    found = names(
        scientificName=["Festuca ovina", "Festuca ovina aggr.", "Bombus terrestris-group"],
        taxonRank=["SPECIES_AGGREGATE", None, None],
    )
    assert found == [("Festuca ovina", None), ("Festuca ovina", None), ("Bombus terrestris", None)]


def test_epithets_stay_where_names_are_as_given(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("species,lon,lat\nvulgare,1,2\nParus major,3,4\n")
    settings = {"kind": "table", "path": str(path), "min_records": 1}
    for form, species in (("as_given", ["vulgare", "Parus major"]), ("scientific", ["Parus major"])):
        found = read_records(DatasetSettings.parse(settings | {"names": form}, "datasets.mine"))
        assert found.table["species"].to_list() == species
