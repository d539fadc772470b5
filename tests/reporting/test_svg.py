import xml.etree.ElementTree as ET

import pytest
from matplotlib.figure import Figure

from presence_only.common.shown_names import in_a_figure
from presence_only.reporting.figures.svg import inline_svg


def figure(label="a label"):
    made = Figure(figsize=(3, 2))
    axes = made.subplots()
    axes.plot([0, 1], [0, 1], "o", label=label)
    axes.legend()
    axes.set_xlabel(label)
    axes.scatter([0.5], [0.5], rasterized=True)
    return made


def test_it_is_one_element_that_loads_nothing():
    text = inline_svg(figure(), "f1", "what it shows")
    root = ET.fromstring(text)
    assert root.tag == "svg"
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == "what it shows"
    assert root.attrib["viewBox"] == "0 0 216 144"
    assert "http" not in text
    assert "<metadata" not in text
    assert all(
        e.attrib["href"].startswith(("#f1-", "data:image/png;base64,")) for e in root.iter() if "href" in e.attrib
    )
    assert any(e.tag == "image" for e in root.iter())
    assert "a label" in [e.text for e in root.iter("text")]


def test_black_and_white_follow_the_page():
    text = inline_svg(figure(), "f1", "")
    assert "#000000" not in text
    assert "stroke: currentColor" in text
    assert "var(--back, #ffffff)" in text


def test_ids_do_not_clash_and_are_all_found():
    def ids(name):
        text = inline_svg(figure(), name, "")
        root = ET.fromstring(text)
        own = [e.attrib["id"] for e in root.iter() if "id" in e.attrib]
        used = [part.split(")")[0] for part in text.split("url(#")[1:]]
        used += [e.attrib["href"][1:] for e in root.iter() if e.attrib.get("href", "").startswith("#")]
        assert len(own) == len(set(own))
        assert set(used) <= set(own)
        return set(own)

    assert not ids("f1") & ids("f2")


def test_the_same_twice():
    assert inline_svg(figure(), "f1", "") == inline_svg(figure(), "f1", "")


def test_hostile_text_is_text():
    hostile = '<script>alert("1")</script> & $\\frac{ $ \x07'
    text = inline_svg(figure(in_a_figure(hostile)), "f1", hostile.replace("\x07", ""))
    root = ET.fromstring(text)
    assert not list(root.iter("script"))
    drawn = hostile.replace("\x07", "\N{REPLACEMENT CHARACTER}")
    assert [e.text for e in root.iter("text")].count(drawn) == 2
    assert root.attrib["aria-label"] == hostile.replace("\x07", "")


def test_wrong_name():
    with pytest.raises(ValueError, match="name = 'a b': must be small letters"):
        inline_svg(figure(), "a b", "")
