"""Names by hand: what each spelling stands for, and what identifies no species."""

import polars as pl
import pytest

from presence_only.columns.species_names import one_line, species_name, with_names

ONE_SPECIES = [
    "Abies una",
    "Abies Una",
    "ABIES UNA",
    "abies una",
    "Abies \nuna",
    "Abies  una",
    "Abies\u00a0una",
    "\u200bAbies\u2003una ",
    "Abies_una",
    "Abies una L.",
    "Abies una L., 1758",
    "Abies una (L.) Mill.",
    "ABIES UNA L.",
    "Abies (Pinus) una Mill.",
    "Abies una de Candolle",
    "Abies una van der Hoeven, 1830",
    "Abies una d'Orb.",
    "Abies una Øst & Ræv",
    "Abies una auct. non L.",
    "Abies una s.l.",
    "Abies una agg.",
    "Abies una aggr.",
    "Abies una gr.",
    "Abies una-group",
    "Abies una-agg.",
    "Abies una*",
    "*Abies una",
    "†Abies una",
    "Abies una *",
    "(Abies una)",
    "[Abies una]",
    "Abies una,",
    "Abies una;",
    "Abies una, Mill.",
    "Abies una, Mill. & Hook.",
    "Abies una Mill. & A. Gray",
    "Abies una Hook. & Arn. ex Mill.",
    "Abies una Mill., Hook. and Arn., 1758",
    "Abies una et Mill.",
    "Abies una Ser.",
    "Abies una(L.) Mill.",
    "Abies subg. Pinus una",
    "Abies u\x00na",
    "Abies una\x00\x00",
]
BELOW = [
    "Abies una minor",
    "Abies una L. subsp. minor Mill.",
    "Abies una subsp. minor",
    "Abies una var. minor (L.) Mill.",
    "ABIES UNA MINOR",
]
HYBRID = [
    "Abies x altera",
    "Abies X altera",
    "Abies × altera",
    "Abies ×altera",
    "ABIES × ALTERA",
    "Abies x altera Mill.",
]
OPEN = [
    "Abies",
    "Abies Mill.",
    "Abies Miller, 1768",
    "Abies sp.",
    "Abies sp",
    "Abies SP.",
    "Abies spp.",
    "Abies sp. 1",
    "Abies sp1",
    "Abies sp. nov.",
    "Abies indet.",
    "Abies cf. una",
    "cf. Abies una",
    "Abies una cf.",
    "Abies aff. una",
    "Abies nr. una",
    "Abies una?",
    "Abies ? una",
    "Abies una/altera",
    "Abies una x altera",
    "Abies una × Abies altera",
    "Abies una & altera",
    "Abies una and altera",
    "Abies una, altera",
    "Abies una or Abies altera",
    "Abies una & Abies altera",
    "Abies una & A. altera",
    "Abies una L. & Pinus altera L.",
    "Abies una + Pinus altera",
    "Abies una+altera",
    "Abies una and Pinus altera",
    "Abies una et Pinus altera",
    "Abies una vs. Abies altera",
    "Abies una, Pinus altera",
    "Abies una,Pinus altera",
    "Abies una L., Pinus altera L.",
    "Abies una; Pinus altera",
    "Abies una | Pinus altera",
    "Abies or Pinus",
    "Abies una not seen",
    "Abies una (absent)",
    "Abies una (dead)",
    "None seen",
    "No birds",
    "nothing",
    "dead Abies una",
    "2 Abies una",
    "juvenile Abies una L.",
    "Abies sect. Ruderalia",
    "Abies sect. Ruderalia Mill.",
    "Abies una sect. Ruderalia",
    "Abies subg. Abies",
    "Abies sect. Abies subsect. Minores",
    "Abies sect. Abies sp.",
    "Abies ser. Minores",
    "Abies hort.",
    "Abies auct.",
    "Abies aggr.",
    "Abies 'Nana'",
    "Unidentified bird",
    "unknown",
    "2016",
    "47.1",
]
# What is no scientific name keeps its words.
OTHERS = ["Human adenovirus C", "Tobacco mosaic virus", "Candidatus Abies una", "Great Spotted Woodpecker", "BOLD:AAA1"]


@pytest.mark.parametrize("text", ONE_SPECIES)
def test_spellings_of_one_species(text):
    assert species_name(text) == ("Abies una", "species")


@pytest.mark.parametrize("text", BELOW)
def test_names_below_the_species_are_of_their_species(text):
    assert species_name(text) == ("Abies una", "infraspecific")


@pytest.mark.parametrize("text", HYBRID)
def test_hybrids_have_one_sign(text):
    assert species_name(text) == ("Abies × altera", "species")


@pytest.mark.parametrize("text", OPEN)
def test_open_names(text):
    assert species_name(text).kind == "open"


@pytest.mark.parametrize("text", OTHERS)
def test_what_is_no_scientific_name_stays(text):
    assert species_name(text) == (text, "other")


@pytest.mark.parametrize(
    ("text", "genus", "name"),
    [
        ("una", "Abies", "Abies una"),
        ("Una", "Abies", "Abies una"),
        ("UNA", "ABIES", "Abies una"),
        ("una L.", "Abies", "Abies una"),
        ("Abies una", "Abies", "Abies una"),
        ("A. una", "Abies", "Abies una"),
        ("x altera", "Abies", "Abies × altera"),
        ("×altera", "Abies", "Abies × altera"),
        # A whole name counts more than the column beside it.
        ("Pica pica", "Abies", "Pica pica"),
    ],
)
def test_the_genus_of_another_column(text, genus, name):
    assert species_name(text, genus).text == name
    assert species_name(text, genus).kind == "species"


@pytest.mark.parametrize("text", ["sp.", "spp", "cf. una", "aff. una", "indet.", "Abies"])
def test_open_names_beside_a_genus(text):
    assert species_name(text, "Abies").kind == "open"


@pytest.mark.parametrize(
    "name", ["Parus major", "Acer l-album", "Coccinella 7-punctata", "Pica pica-pica", "Rosa laüer", "Genus s0"]
)
def test_a_name_in_its_spelling_stays_and_is_its_own_result(name):
    assert species_name(name) == (name, "species")
    assert species_name(species_name(f" {name}  L.").text).text == name


def test_an_epithet_alone_is_told():
    assert species_name("una") == ("una", "epithet")


def test_characters_are_composed():
    assert one_line("Rosa lau\u0308er") == "Rosa laüer"


def test_columns():
    batch = pl.DataFrame({"n": ["una", None, "Abies una L.", "sp."], "g": ["Abies", "Abies", None, "Abies"]})
    found = with_names(batch.with_row_index("i"), "n", "g")
    assert found["i"].to_list() == [0, 1, 2, 3]
    assert found["name"].to_list() == ["Abies una", None, "Abies una", "sp."]
    assert found["name_kind"].to_list() == ["species", None, "species", "open"]


def test_a_point_ends_a_sentence_or_an_abbreviation():
    assert species_name("Abies altera.") == ("Abies altera", "species")
    assert species_name("Abies alt.").kind == "open"
