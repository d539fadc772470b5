"""Species names in one spelling: blanks, case, authors, subgenera and hybrid signs; open names are told apart.

A name that identifies a species becomes ``Genus epithet``, or ``Genus × epithet`` for a named hybrid. Names below the
species, such as subspecies, become that of their species. What identifies no species is an open name: a genus alone,
``sp.``, ``cf.``, ``aff.``, a question mark, a hybrid formula, a section or another rank above the species; two species
or epithets with a slash, a comma or a word such as ``or`` between them; and words that deny the species, as ``not
seen``, or stand before it, as ``dead Abies una``. An aggregate (``agg.``, ``-group``) counts for the species that it is
named after. What does not look like a scientific name, such as a code or the name of a virus, keeps its words, with
single blanks.

Source: open nomenclature of Sigovini, Keppel and Tagliapietra (2016), https://doi.org/10.1111/2041-210X.12594; the
hybrid sign of articles H.1 to H.5 of the International Code of Nomenclature, https://www.iapt-taxon.org/nomen/main.php
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Literal, NamedTuple

import polars as pl

Kind = Literal["species", "infraspecific", "open", "epithet", "other"]

HYBRID = "×"
# Ranks above the species, without blanks and underscores; what they name is no species.
_HIGHER_RANKS = (
    "domain realm superkingdom kingdom subkingdom infrakingdom superphylum phylum subphylum infraphylum division "
    "subdivision superclass class subclass infraclass parvclass megaclass cohort subcohort superorder order suborder "
    "infraorder parvorder superfamily epifamily family subfamily infrafamily supertribe tribe subtribe infratribe "
    "suprageneric genus genushybrid intergenerichybrid subgenus infragenus section subsection supersection series "
    "subseries infragenericname supragenericname zoosection botanysection stateofmatter complex"
)
# Ranks whose names have the epithet of a species.
_SPECIES_RANKS = (
    "species speciesaggregate hybrid infrahybrid subspecies variety subvariety form forma subform infraspecificname "
    "infrasubspecificname cultivar race convariety proles morph"
)
# Words of an open name: those that may be its first, and those that stand behind a genus only.
_OPEN_FIRST_WORDS = (
    "cf cfr aff indet undet indetermined undetermined unidentified unknown unspecified incertae "
    "no none not nil nothing without absent absence zero dead kein keine aucun aucune ninguno ninguna nenhum nenhuma"
)
_OPEN_LATER_WORDS = (
    "cf cfr conf aff affin nr near prox indet undet indeterminata indetermined undetermined unidentified unknown spec "
    "sp spp species gen genus incertae unspecified not none nothing absent "
    "sect section subsect subsection supersect subg subgen subgenus subser nothosect nothosubg"
)
# Words that are no epithet behind a genus, though they mean a rank or an aggregate behind an epithet.
_NO_EPITHETS = (
    "ssp subsp subspecies var forma fo agg aggr aggregate complex group grp gr hybrid nov juv larva larvae hort cv ser "
    "series fam family trib tribe"
)
_RANK_WORDS = "ssp subsp subspecies var variety varietas f fo forma form subvar subf morph cv nothosubsp"
# Words in small letters that belong to authors, or say in which sense a name is used.
_PARTICLES = (
    "de da do dos du del della di van von vom der den het ten ter zu zur la le les los las et and und ex in auct auctt "
    "non nec sensu emend fil bis agg aggr aggregate complex group grp gr s str l lat lato stricto strictu nom st af "
    "el y e i al apud pro hort comb nov s.l s.lat s.str s.s"
)
HIGHER_RANKS, SPECIES_RANKS = frozenset(_HIGHER_RANKS.split()), frozenset(_SPECIES_RANKS.split())
_OPEN_FIRST, _OPEN_LATER = frozenset(_OPEN_FIRST_WORDS.split()), frozenset(_OPEN_LATER_WORDS.split())
_NO_EPITHET = frozenset(_NO_EPITHETS.split())
_RANKS, _AUTHOR_WORDS = frozenset(_RANK_WORDS.split()), frozenset(_PARTICLES.split())
_QUOTES = {('"', '"'), ("'", "'"), ("“", "”"), ("‘", "’"), ("«", "»"), ("`", "`")}
_VIRUS = re.compile(r"(?:virus|phage|viroid|virid|satellite|prion)\w*\b|^candidatus\b", re.IGNORECASE)
_SIGN = re.compile(r"^[×xX✕╳⨯]$")
_GENUS = re.compile(r"^[^\W\d_][^\W\d_\-]*(?:-[^\W\d_]+)?$")
_EPITHET = re.compile(r"^(?:\d+-?)?[^\W\d_](?:[^\W_]|[\-'’])*$")
_INITIAL = re.compile(r"^[^\W\d_]{1,2}\.$")
# Words between two authors or two species, and those that stand between two species only.
_CONJUNCTIONS = frozenset(("&", "and", "und", "et", "y"))
_CHOICES = frozenset(("or", "vs", "versus", "vel", "oder", "ou"))
_NAMES_IN_A_LIST = re.compile(r"(?:[^\W\d_]|[.)]|\d{4})\s*[;|]\s*[^\W\d_]")
_SUBGENUS = re.compile(r"^(\S+) (?:subg|subgen|subgenus|sect|section)\.? [^\W\d_]+ (?=[a-z×])")
_AGGREGATE = re.compile(r"(?<=\w)-(?:group|gruppe|grp|gr|aggregate|aggr|agg|complex|komplex)\.?$", re.IGNORECASE)
# Signs of footnotes and of extinct species.
_MARKS = " *†‡"


class SpeciesName(NamedTuple):
    """A name in its one spelling.

    Args:
        text: The name, that of the species where the kind is ``species`` or ``infraspecific``.
        kind: ``species``; ``infraspecific``: written with a name below the species; ``open``: it identifies no
            species; ``epithet``: the second word of a species' name alone; ``other``: no scientific name.
    """

    text: str
    kind: Kind


@lru_cache(maxsize=2**18)
def species_name(text: str, genus: str | None = None) -> SpeciesName:
    """The one spelling of a name.

    Args:
        text: A name as someone wrote it, with or without its author.
        genus: The genus that the same row gives; it completes an epithet alone and an abbreviated genus.
    """
    plain = one_line(text)
    if not any(character.isalpha() for character in plain):
        return SpeciesName(plain, "open")
    if _VIRUS.search(plain):
        return SpeciesName(plain, "other")
    words = _words(_bare(plain))
    if genus is not None:
        words = _with_genus(words, _words(one_line(genus)))
    if _is_open(words):
        return SpeciesName(plain, "open")
    name = _binomial(words)
    return SpeciesName(plain, "other") if name is None else name


def one_line(text: str) -> str:
    """A text in composed characters, with single blanks for any white space and underscores, without quotes around."""
    text = unicodedata.normalize("NFC", text)
    # Characters without a width, such as soft hyphens, byte order marks and NUL, which nobody sees.
    text = "".join(character for character in text if unicodedata.category(character) != "Cf" and character != "\0")
    text = " ".join(text.replace("_", " ").split())
    while len(text) > 1 and (text[0], text[-1]) in _QUOTES:
        text = text[1:-1].strip()
    return text


def with_names(batch: pl.DataFrame, text: str, genus: str | None = None) -> pl.DataFrame:
    """A batch with the columns ``name`` and ``name_kind`` of :func:`species_name`, null where ``text`` is null.

    Every different text is looked at once.

    Args:
        batch: Rows.
        text: Its column of names.
        genus: Its column of genera, if it has one.
    """
    keys = [text] if genus is None else [text, genus]
    different = batch.select(keys).unique().filter(pl.col(text).is_not_null())
    names = [species_name(*row) for row in different.iter_rows()]
    found = different.with_columns(
        pl.Series("name", [name.text for name in names], dtype=pl.String),
        pl.Series("name_kind", [name.kind for name in names], dtype=pl.String),
    )
    return batch.join(found, on=keys, how="left", nulls_equal=True, maintain_order="left")


def _bare(plain: str) -> str:
    """A name without marks around it, commas and colons behind it, and brackets around the whole of it."""
    plain = plain.strip(_MARKS).rstrip(_MARKS + ",;:")
    while plain[:1] + plain[-1:] in ("()", "[]") and not any(sign in plain[1:-1] for sign in "()[]"):
        plain = plain[1:-1].strip(_MARKS)
    return plain


def _words(plain: str) -> list[str]:
    """The words of a name, without a subgenus in brackets, and with hybrid signs as words of their own."""
    plain = re.sub(r"([×✕╳⨯])", r" \1 ", plain)
    plain = re.sub(r"(?<=\w)\(", " (", plain)
    plain = re.sub(r"^(\S+) \([^\W\d_]+\) (?=[a-z×])", r"\1 ", plain)
    plain = _SUBGENUS.sub(r"\1 ", plain)
    plain = re.sub(r",(?=[^\W\d_])", ", ", plain)
    return [HYBRID if _SIGN.match(word) else word for word in plain.split()]


def _with_genus(words: list[str], genus: list[str]) -> list[str]:
    """The words of a name whose genus stands in a column of its own."""
    if not genus or not words:
        return words
    first = words[0]
    if _INITIAL.match(first) and genus[-1].lower().startswith(first[:-1].lower()):
        return [*genus, *words[1:]]
    if [word.lower() for word in words[: len(genus)]] == [word.lower() for word in genus]:
        return words
    # An epithet begins with a small letter, or stands alone.
    return [*genus, *words] if first[:1].islower() or first == HYBRID or len(words) == 1 else words


def _is_open(words: list[str]) -> bool:
    """Whether a name says that no species was identified."""
    if any(sign in word for word in words for sign in "?/") or any("+" in word for word in words[1:]):
        return True
    if _NAMES_IN_A_LIST.search(" ".join(words)):
        return True
    # `sp1` is `sp.` with a number; `species1` may be a code.
    plain = [re.sub(r"(?<=sp)\d+$|(?<=spp)\d+$", "", word.rstrip(".,;:)").strip("(").lower()) for word in words]
    if plain[0] in _OPEN_FIRST or any(word in _OPEN_LATER for word in plain[1:]):
        return True
    if len(words) == 1 and re.sub(r"\W", "", words[0]).lower() in _OPEN_LATER:
        return True
    if plain[-1] == "dead" or _are_two_species(words):
        return True
    # `dead Abies una`, `2 Abies una`: of a name, the first word has the capital letter.
    if len(words) > 2 and (words[0][0].islower() or words[0][0].isdigit()) and _is_name(words[1:]):
        return True
    # Two signs, or one behind an epithet, are a formula of parents.
    signs = [place for place, word in enumerate(words) if word == HYBRID]
    return len(signs) > 1 or (bool(signs) and signs[0] > 1)


def _are_two_species(words: list[str]) -> bool:
    """Whether a second name or epithet follows behind a comma or a word such as ``&``; authors have no epithets."""
    for place, word in enumerate(words[1:-1], 1):
        behind = words[place + 1 :]
        if word.rstrip(".").lower() in _CHOICES and behind[0][0].isalpha():
            return True
        is_conjunction = word.lower() in _CONJUNCTIONS
        if not is_conjunction and not word.endswith(","):
            continue
        # `Abies una & altera`: nothing but the binomial stands before.
        at_epithet = place == (2 if is_conjunction else 1) and _is_epithet(behind[0])
        if at_epithet or _is_name(behind):
            return True
    return False


def _is_name(words: list[str]) -> bool:
    """Whether words begin with a genus, perhaps abbreviated, and an epithet."""
    if len(words) < 2 or not words[0][0].isupper() or not (_GENUS.match(words[0]) or _INITIAL.match(words[0])):
        return False
    return _is_epithet(words[1])


def _is_epithet(word: str) -> bool:
    """Whether a word in small letters is none of those that belong to authors and ranks."""
    word = word.rstrip(".,:)")
    return word[:1].islower() and len(word) > 2 and bool(_EPITHET.match(word)) and word not in _AUTHOR_WORDS | _RANKS


def _binomial(words: list[str]) -> SpeciesName | None:
    """Genus and epithet of words that are a scientific name, None where they are none."""
    hybrid_genus = words[0] == HYBRID
    words = words[1:] if hybrid_genus else words
    if not words or not (_GENUS.match(words[0]) or _INITIAL.match(words[0])):
        return None
    before = f"{HYBRID} " if hybrid_genus else ""
    genus, rest = before + words[0][:1].upper() + words[0][1:].lower(), words[1:]
    if not rest:
        # A word alone: with a capital letter it is a genus, without one an epithet.
        return SpeciesName(genus, "open") if words[0][0].isupper() else SpeciesName(words[0], "epithet")
    if rest[0] == HYBRID:
        genus, rest = f"{genus} {HYBRID}", rest[1:]
    if not rest:
        return SpeciesName(genus, "open")
    epithet, behind = _AGGREGATE.sub("", rest[0]), rest[1:]
    if not behind and epithet.endswith(".") and _is_epithet(epithet) and len(epithet) > 5:
        epithet = epithet.rstrip(".")
    # `Abies hort.` and `Abies 'Nana'` are of a genus.
    if re.match(r"['\"‘“][^\W\d_]", epithet) or (epithet.endswith(".") and epithet[0].islower()):
        return SpeciesName(genus, "open")
    # The author behind a comma: `Abies una, Mill.`
    epithet = epithet.rstrip(",:*†") if epithet[0].islower() else epithet
    if _is_author(epithet, behind) or epithet.rstrip(".").lower() in _NO_EPITHET:
        return SpeciesName(genus, "open")
    if not _EPITHET.match(epithet):
        return None
    shouted = epithet.isupper() and words[0].isupper() and len(epithet) > 1
    if epithet[0].isupper() and not shouted and behind:
        # `Great Spotted Woodpecker` is no species with an author.
        return None
    name = f"{genus} {epithet.lower()}"
    if not behind:
        return SpeciesName(name, "species")
    behind[0] = _AGGREGATE.sub("", behind[0])
    if behind[0].rstrip(".").lower() in _RANKS:
        return SpeciesName(name, "infraspecific")
    if behind[0][:1].islower() and behind[0].rstrip(".,").lower() not in _AUTHOR_WORDS and "'" not in behind[0][:2]:
        return SpeciesName(name, "infraspecific") if _EPITHET.match(behind[0]) else None
    # Behind an author; `f.` is his son there.
    if any(word.rstrip(".").lower() in _RANKS - {"f"} for word in behind[1:]):
        return SpeciesName(name, "infraspecific")
    if shouted and len(behind) == 1 and behind[0].isalpha() and len(behind[0]) > 3:
        return SpeciesName(name, "infraspecific")
    return SpeciesName(name, "species")


def _is_author(word: str, behind: list[str]) -> bool:
    """Whether the word behind a genus is the author of the genus."""
    if word[0] in "([" or "&" in word or word.rstrip(".").lower() in {"ex", "et"}:
        return True
    if not word[0].isupper():
        return False
    return word.endswith((".", ",")) or (bool(behind) and bool(re.match(r"^[(\[]?\d{4}|^&$|^ex$|^et$", behind[0])))
