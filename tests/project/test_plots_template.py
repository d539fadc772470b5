"""`dvc plots show` opens offline: the page that DVC fills asks for nothing."""

from pathlib import Path

from dvc_render.html import HTML
from dvc_render.vega import VegaRenderer

TEMPLATE = Path(__file__).parents[2] / ".dvc" / "plots.html"


def test_the_page_has_the_plots_and_asks_for_nothing():
    assert "http" in VegaRenderer.SCRIPTS  # What DVC's own page would load.
    page = (
        HTML(TEMPLATE.read_text()).with_scripts(VegaRenderer.SCRIPTS).with_element('<img src="static/a.png">').embed()
    )
    assert '<img src="static/a.png">' in page
    assert "http" not in page
    assert "<script" not in page
    assert "{" not in page.split("</style>")[1]
