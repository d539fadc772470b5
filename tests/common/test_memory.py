import pytest

from presence_only.common.errors import UserError
from presence_only.common.memory import Part, check_memory, in_words, memory_of_machine


def test_what_fits_is_not_refused():
    check_memory("a map", [Part("cells", 60, "resolution"), Part("names", 40, "species")], available=100)


def test_the_largest_part_and_its_setting_are_named():
    parts = [Part("10 cells", 5 * 10**9, "resolution"), Part("3 names", 2 * 10**12, "species")]
    with pytest.raises(UserError) as error:
        check_memory("a map", parts, available=24 * 10**9)
    assert str(error.value) == (
        "a map needs about 2.0 TB of memory, and there are 24.0 GB: 2.0 TB for 3 names; change species"
    )


def test_a_machine_has_memory():
    assert 10**8 < memory_of_machine() < 10**15
    check_memory("nothing", [Part("nothing", 0, "x")])


@pytest.mark.parametrize(("n", "words"), [(999, "1.0 kB"), (1_500_000, "1.5 MB"), (10**16, "10,000.0 TB")])
def test_bytes_in_words(n, words):
    assert in_words(n) == words
