"""Words for the status and the basis of a record, in the spellings of publishers.

``occurrenceStatus`` says whether a species was there, ``basisOfRecord`` what the record is. GBIF writes one word of a
list for each; publishers write others. A word that is known neither as a presence nor as an absence says nothing of
either: the record counts as a presence, as one without a status does, and the funnel names the word. A negative number
may stand for an absence or for a missing value: the record counts as no presence, and the funnel names the number.

Source: https://dwc.tdwg.org/terms/#dwc:occurrenceStatus, https://dwc.tdwg.org/terms/#dwc:basisOfRecord, and GBIF's
vocabularies, https://rs.gbif.org/vocabulary/gbif/occurrence_status.xml
"""

from __future__ import annotations

import math

import polars as pl

_PRESENT = (
    "present presence yes y true t p pres 1 observed observado detected seen recorded heard found occurs exists "
    "common abundant frequent occasional rare uncommon irregular sporadic doubtful native introduced established "
    "positive confirmed presente présent présente anwesend vorhanden"
)
_ABSENT = (
    "absent absence no n false f a abs 0 notpresent nonpresent notobserved notdetected notrecorded notfound notseen "
    "notencountered undetected unobserved nondetected nondetection nodetection negative excluded extinct extirpated "
    "eradicated zero none nil ausente ausencia abwesend nichtvorhanden nonobservé"
)
# What a publisher may write for each of Darwin Core's and GBIF's kinds of record.
_BASES = {
    "humanobservation": "humanobservation humanobs human ho",
    "machineobservation": "machineobservation machineobs machine mo cameratrap",
    "observation": "observation observed obs o fieldobservation sighting visualobservation occurrenceobservation",
    "occurrence": "occurrence",
    "preservedspecimen": "preservedspecimen preserved specimen s ps herbariumspecimen museumspecimen voucher "
    "herbariumsheet herbarium physicalspecimen",
    "fossilspecimen": "fossilspecimen fossil fs f",
    "livingspecimen": "livingspecimen living ls l livingcollection germplasm",
    "materialsample": "materialsample sample ms environmentalsample dna",
    "materialentity": "materialentity",
    "materialcitation": "materialcitation citation literature mc literaturerecord",
    "unknown": "unknown u",
}
PRESENT, ABSENT = frozenset(_PRESENT.split()), frozenset(_ABSENT.split())
BASES = {word: basis for basis, words in _BASES.items() for word in words.split()}


def plain_word(text: str) -> str:
    """A word of a list without what differs between its spellings: case, blanks, hyphens, underscores, points."""
    return "".join(character for character in text.lower() if character.isalnum())


def is_absence(text: str) -> bool | None:
    """Whether a status says that the species was not there; None for an unknown word and a negative number."""
    value = _number(text)
    if value is not None:
        return value == 0 if math.isfinite(value) and value >= 0 else None
    word = plain_word(text)
    return word in ABSENT if word in PRESENT or word in ABSENT else None


def with_answers(batch: pl.DataFrame, column: str, unread: str) -> pl.DataFrame:
    """A batch whose ``column`` is true where its text says yes, false where it says no, null elsewhere.

    Args:
        batch: Rows.
        column: Its column of words such as ``1``, ``TRUE``, ``f`` or ``no``.
        unread: Name of the further column, of the texts that were not understood.
    """
    batch = batch.with_columns(pl.col(column).cast(pl.String))
    different = batch[column].drop_nulls().unique()
    found = [None if (no := is_absence(text)) is None else not no for text in different]
    table = pl.DataFrame(
        {
            column: different,
            "_answer": pl.Series(found, dtype=pl.Boolean),
            unread: _unread(different, found),
        }
    )
    joined = batch.join(table, on=column, how="left", maintain_order="left")
    return joined.with_columns(pl.col("_answer").alias(column)).drop("_answer")


def basis(text: str) -> str | None:
    """A kind of record in lower case and without blanks, as ``humanobservation``; None where the word is not known."""
    return BASES.get(plain_word(text))


def with_statuses(batch: pl.DataFrame, column: str) -> pl.DataFrame:
    """A batch with ``absent``, and ``unread_status``, the texts that were not understood, of a column of statuses.

    A negative number is not understood, and no presence.
    """
    batch = batch.with_columns(pl.col(column).cast(pl.String))
    different = batch[column].drop_nulls().unique()
    found = [is_absence(text) for text in different]
    table = pl.DataFrame(
        {
            column: different,
            "absent": pl.Series(
                [True if (_number(text) or 0) < 0 else no for text, no in zip(different, found, strict=True)],
                dtype=pl.Boolean,
            ),
            "unread_status": _unread(different, found),
        }
    )
    return batch.join(table, on=column, how="left", maintain_order="left")


def with_bases(batch: pl.DataFrame, column: str, also: frozenset[str] = frozenset()) -> pl.DataFrame:
    """A batch with ``basis`` and ``unread_basis``, the texts that were not understood, of a column of kinds of record.

    Args:
        batch: Rows.
        column: Its column of kinds of record.
        also: Further words that count as kinds, as :func:`plain_word` gives them.
    """
    batch = batch.with_columns(pl.col(column).cast(pl.String))
    different = batch[column].drop_nulls().unique()
    found = [plain_word(text) if plain_word(text) in also else basis(text) for text in different]
    table = pl.DataFrame(
        {column: different, "basis": pl.Series(found, dtype=pl.String), "unread_basis": _unread(different, found)}
    )
    return batch.join(table, on=column, how="left", maintain_order="left")


def _number(text: str) -> float | None:
    """A text as a number, also one with a decimal comma; None where it is none."""
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None


def _unread(texts: pl.Series, found: list[bool | None] | list[str | None]) -> pl.Series:
    """The texts for which nothing was found, null elsewhere."""
    return pl.Series([text if one is None else None for text, one in zip(texts, found, strict=True)], dtype=pl.String)
