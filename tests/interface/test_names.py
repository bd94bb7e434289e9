import pytest

from ocrrl.interface.names import is_name, require_name, require_seed

NO_NAMES = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "-a",
    "_a",
    "a b",
    "A",
    "é",
    "a\n",
    "a.b",
    "${HOME}",
    "a" * 81,
    "\x1b[2J",
    3,
    None,
    ["a"],
]


@pytest.mark.parametrize("name", ["round0", "0", "cube_lift-0", "a" * 80, "20261129t183000z-rollout"])
def test_lower_case_letters_digits_dashes_and_underscores_make_a_name(name):
    assert is_name(name)
    require_name("round", name)


@pytest.mark.parametrize("name", NO_NAMES)
def test_anything_else_is_refused_in_one_line_that_says_what_is_required(name):
    with pytest.raises(ValueError, match=r"^round must be a name of 1 to 80 lower-case letters") as refused:
        require_name("round", name)
    assert str(refused.value).isprintable() and len(str(refused.value)) < 400


@pytest.mark.parametrize("seed", [-1, True, 1.0, "0", None])
def test_a_seed_is_a_whole_number_from_0_on(seed):
    require_seed("seed", 10**9)
    with pytest.raises(ValueError, match=r"^seed must be a whole number of at least 0, got "):
        require_seed("seed", seed)
