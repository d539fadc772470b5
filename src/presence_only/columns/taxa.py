"""Taxa of users' tables: the species of a row, whether its name is open, its rank, and its taxon group.

Readers whose tables have Darwin Core's columns of names share this: ``species``, which may be the epithet alone;
``genus`` and ``specificEpithet``; ``scientificName``; ``taxonRank``; and the ranks above the species.
"""

from __future__ import annotations

from typing import Literal

import polars as pl

from presence_only.columns.species_names import HIGHER_RANKS, SPECIES_RANKS, with_names
from presence_only.common.errors import DataError

Infraspecific = Literal["roll_up", "drop"]
GroupRank = Literal["family", "order", "class", "phylum", "kingdom"]

# An epithet without its genus or with its initial, perhaps with an author.
_WITHOUT_GENUS = r"^\s*(?:\p{Lu}\p{Ll}?\.\s*)?(?:[×xX]\s*)?\p{Ll}[\p{Ll}-]+(?:\s+[\p{Lu}(].*)?\s*$"
# From low to high.
GROUP_RANKS: tuple[GroupRank, ...] = ("family", "order", "class", "phylum", "kingdom")


def taxon_columns(batch: pl.DataFrame, infraspecific: Infraspecific, where: str) -> dict[str, pl.Series]:
    """Species, open name and rank of every row.

    The name is that of ``species``, which may be the epithet alone beside a ``genus``, or of ``genus`` and
    ``specificEpithet``, or that of ``scientificName`` where the rank is not above the species. An epithet without a
    genus in any of them is an open name.
    """
    text = {name: pl.col(name).cast(pl.String) for name in batch.columns}
    # Of a rank that is not known, a scientific name is taken for what it looks like.
    rank = text["taxonRank"].str.to_lowercase().str.replace_all(r"[\W_]", "") if "taxonRank" in text else pl.lit(None)
    rank = rank.cast(pl.String)
    sources: list[pl.Expr] = []
    if "species" in text:
        genus = text["genus"] if "genus" in text else pl.lit(None, dtype=pl.String)
        alone = text["species"].str.contains(_WITHOUT_GENUS) & genus.is_null()
        sources.append(pl.when(~alone).then(text["species"]))
    if "genus" in text and "specificEpithet" in text:
        sources.append(pl.format("{} {}", text["genus"], text["specificEpithet"]))
    if "scientificName" in text:
        of_species = rank.is_null() | rank.is_in(list(SPECIES_RANKS))
        sources.append(pl.when(of_species).then(text["scientificName"]))
    if not sources:
        raise DataError(
            f"{where}: no column 'species', nor 'genus' and 'specificEpithet', nor 'scientificName'; one of them is "
            "needed to name a species"
        )
    given = {"text": pl.coalesce([*sources, *([text["species"]] if "species" in text else [])]), "rank": rank}
    # A name that only `scientificName` gives must look like one.
    given["strict"] = pl.coalesce([*sources[:-1], pl.lit(None)]).is_null() & ("scientificName" in text)
    if "genus" in text and "species" in text:
        given["genus"] = text["genus"]
    rows = with_names(
        batch.select(*(column.alias(name) for name, column in given.items())),
        "text",
        "genus" if "genus" in given else None,
    )
    kind, name = pl.col("name_kind"), pl.col("name")
    doubtful = (pl.col("strict") & ~name.str.contains(" ")) | (kind == "epithet")
    is_open = (kind == "open") | pl.col("rank").is_in(list(HIGHER_RANKS)).fill_null(False) | doubtful
    found = rows.select(
        species=pl.when(~is_open).then(name),
        open_name=pl.when(is_open).then("text"),
        taxonRank=_full_rank(infraspecific),
    )
    if found["taxonRank"].null_count() == len(found):
        found = found.drop("taxonRank")
    return {column.name: column for column in found.iter_columns()}


def _full_rank(infraspecific: Infraspecific) -> pl.Expr:
    """The rank of a row, by its name where the row does not say it."""
    kind = pl.col("name_kind")
    named: pl.Expr = pl.when(kind == "infraspecific").then(pl.lit("subspecies"))
    if infraspecific == "drop":
        named = pl.coalesce(named, pl.when(kind == "species").then(pl.lit("species")))
    return pl.coalesce("rank", named)


def taxon_group(batch: pl.DataFrame, lowest: GroupRank) -> pl.Series | None:
    """The taxon of every row at a rank or, where a row has none, at the next higher; None without such a column."""
    ranks = [rank for rank in GROUP_RANKS[GROUP_RANKS.index(lowest) :] if rank in batch.columns]
    if not ranks:
        return None
    return one_case(batch.select(group=pl.coalesce(pl.col(rank).cast(pl.String) for rank in ranks)).to_series())


def one_case(column: pl.Series) -> pl.Series:
    """A column of taxa, in which ``AVES`` and ``aves`` are ``Aves``."""
    odd = column.str.contains(r"^(?:\p{Ll}|\p{Lu}{2})\p{L}*$").fill_null(False)
    if not odd.any():
        return column
    capital = column.str.slice(0, 1).str.to_uppercase() + column.str.slice(1).str.to_lowercase()
    return capital.zip_with(odd, column)
