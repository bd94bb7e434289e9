"""The one way from a YAML file's values to a config: each value gets its field's type, or is refused by its full name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import pytest

from ocrrl.config_builder import LARGEST_WHOLE_NUMBER, OPTIONAL, ParamsError, build, shown, values_of


@dataclass(frozen=True)
class Lens:
    width: int
    mirrored: bool = False


@dataclass(frozen=True)
class Config:
    name: str = "a"
    count: int = 1
    rate: float = 1.0
    keep: bool = True
    most: int | None = None
    form: Literal["wide", "narrow"] = "wide"
    cells: tuple[str, ...] = ()
    pair: tuple[float, float] = (0.0, 1.0)
    corner: tuple[int, str, bool] = (0, "a", True)
    names: list[str] = field(default_factory=list)
    position: str | Sequence[str] = "x"
    offset: float | tuple[float, ...] | None = None
    images: Mapping[str, str] = field(default_factory=dict)
    poses: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    lens: Lens | None = None
    lenses: dict[str, Lens] = field(default_factory=dict)
    anything: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError(f"count must be at least 0, got {self.count}")


def built(**values: Any) -> Config:
    return build(Config, values, "file: section", complete=False)


@pytest.mark.parametrize(
    ("key", "given", "got"),
    [
        ("name", "100", "100"),
        ("count", "20", 20),
        ("count", "1e2", 100),
        ("count", 100.0, 100),
        ("count", "-3.0e0", None),
        ("rate", 3, 3.0),
        ("rate", "1e-4", 1e-4),
        ("rate", "1e2", 100.0),
        ("rate", "-.5", -0.5),
        ("most", None, None),
        ("most", "7", 7),
        ("form", "narrow", "narrow"),
        ("cells", ["a", "b"], ("a", "b")),
        ("pair", [0, "1e-1"], (0.0, 0.1)),
        ("corner", [1, "b", False], (1, "b", False)),
        ("names", ["a"], ["a"]),
        ("position", "state[0:3]", "state[0:3]"),
        ("position", ["x", "y"], ("x", "y")),
        ("offset", "1e-2", 0.01),
        ("offset", [1, 2], (1.0, 2.0)),
        ("offset", None, None),
        ("images", {"front": "a.b"}, {"front": "a.b"}),
        ("poses", {"cube": ["a", "b"], "cup": "c"}, {"cube": ("a", "b"), "cup": "c"}),
        ("lens", {"width": 3}, Lens(3)),
        ("lens", Lens(4), Lens(4)),
        ("lenses", {"left": {"width": "1e1", "mirrored": True}}, {"left": Lens(10, True)}),
        ("anything", {"type": "act", "sizes": [1, 2.5, None, True]}, {"type": "act", "sizes": [1, 2.5, None, True]}),
    ],
)
def test_a_value_becomes_one_of_its_field_s_type(key, given, got):
    if got is None and given is not None:
        with pytest.raises(ParamsError, match=r"^file: section\.count must be at least 0, got -3$"):
            built(**{key: given})
        return
    value = getattr(built(**{key: given}), key)
    assert value == got and type(value) is type(got)


@pytest.mark.parametrize(
    ("key", "given", "message"),
    [
        ("name", 100, "name must be text, got 100; write it in quotes to make it text"),
        ("name", True, "name must be text, got True; write it in quotes to make it text"),
        ("name", None, "name must be text, got None"),
        ("name", date(2026, 11, 30), "name must be text, got datetime.date(2026, 11, 30); write it in quotes"),
        ("count", 1.5, "count must be a whole number, got 1.5"),
        ("count", "many", "count must be a whole number, got 'many'"),
        ("count", True, "count must be a whole number, got True"),
        ("count", [1], "count must be a whole number, got [1]"),
        ("count", 10**30, f"count must be a whole number within +-{LARGEST_WHOLE_NUMBER}, got 1000"),
        ("count", "9" * 5000, "count must be a whole number, got '999"),
        ("count", float("inf"), "count must be a whole number, got inf"),
        ("rate", float("nan"), "rate must be a finite number, got nan"),
        ("rate", float("-inf"), "rate must be a finite number, got -inf"),
        ("rate", "1e999", "rate must be a finite number, got '1e999'"),
        ("rate", 10**400, "rate must be a finite number, got a whole number of"),
        ("rate", -1e300, "rate must be a number within +-1e+12, got -1e+300"),
        ("rate", "inf", "rate must be a number, got 'inf'"),
        ("rate", {"a": 1}, "rate must be a number, got {'a': 1}"),
        ("keep", "yes", "keep must be true or false, got 'yes'"),
        ("keep", 1, "keep must be true or false, got 1"),
        ("most", "few", "most must be a whole number, got 'few'"),
        ("form", "round", "form must be one of wide, narrow, got 'round'"),
        ("form", ["wide"], "form must be one of wide, narrow, got ['wide']"),
        ("cells", "fr3", "cells must be a list of texts, got 'fr3'"),
        ("cells", ["a", 3], "cells[1] must be text, got 3"),
        ("pair", [1.0], "pair must be a list of 2 numbers, got [1.0]"),
        ("pair", [1.0, "x"], "pair[1] must be a number, got 'x'"),
        ("corner", [1, "b"], "corner must be a list of 3 values, got [1, 'b']"),
        ("position", 7, "position must be text or a list of texts, got 7"),
        ("position", ["x", 7], "position[1] must be text, got 7"),
        ("offset", "far", "offset must be a number or a list of numbers or null, got 'far'"),
        ("offset", [1, "far"], "offset[1] must be a number, got 'far'"),
        ("images", "front", "images must be a mapping of names to texts, got 'front'"),
        ("images", ["front"], "images must be a mapping of names to texts, got ['front']"),
        ("images", {"front": 1}, "images.front must be text, got 1"),
        ("images", {1: "front"}, "images's key 1 must be text, got 1"),
        ("poses", {"cube": [["a"]]}, "poses.cube[0] must be text, got ['a']"),
        ("lens", {"width": "wide"}, "lens.width must be a whole number, got 'wide'"),
        ("lens", {}, "lens.width must be given"),
        ("lens", 3, "lens must be a mapping of width, mirrored, got 3"),
        (
            "lenses",
            {"left": {"wdith": 3}},
            "lenses.left.wdith is no parameter; the parameters are width, mirrored; did",
        ),
        ("anything", {"a": {"b": [float("inf")]}}, "anything.a.b[0] must be a finite number, got inf"),
        ("anything", {"a": {1: 2}}, "anything.a's key 1 must be text"),
        (
            "anything",
            {"a": date(2026, 1, 1)},
            "anything.a must be text, a number, true, false, null, a list or a mapping",
        ),
        ("anything", None, "anything must be a mapping of names to values, got None"),
    ],
)
def test_a_wrong_value_is_refused_by_its_full_name(key, given, message):
    with pytest.raises(ParamsError) as raised:
        built(**{key: given})
    assert str(raised.value).startswith(f"file: section.{message}")
    assert len(str(raised.value)) < 300 and "\n" not in str(raised.value)


def test_unknown_keys_are_named_with_the_nearest_that_there_is():
    with pytest.raises(ParamsError, match=r"^file: section\.rte is no parameter; .*; did you mean rate\?$"):
        built(rte=1)
    with pytest.raises(ParamsError, match=r"section\.1 is no parameter; the parameters are name, .*anything$"):
        build(Config, {1: 2}, "section", complete=False)


def test_missing_keys_are_named_where_every_key_has_to_be_there_and_where_there_is_no_default():
    with pytest.raises(ParamsError, match=r"^params: name must be given; `ocrrl params --preset default` writes every"):
        build(Config, {}, "params:")
    with pytest.raises(ParamsError, match=r"^lens\.width must be given$"):
        build(Lens, {}, "lens", complete=False)
    with pytest.raises(ParamsError, match=r"^lens must be a mapping of width, mirrored, got \[\]$"):
        build(Lens, [], "lens")


def test_an_optional_field_may_be_left_out_and_is_written_only_where_it_is_set():
    @dataclass(frozen=True)
    class Sight:
        width: int
        night: bool = field(default=False, metadata=OPTIONAL)

    plain, night = build(Sight, {"width": 3}, "sight"), build(Sight, {"width": 3, "night": True}, "sight")
    assert (plain.night, night.night) == (False, True)
    assert (values_of(plain), values_of(night)) == ({"width": 3}, {"width": 3, "night": True})
    with pytest.raises(ParamsError, match=r"sight\.night must be true or false, got 1"):
        build(Sight, {"width": 3, "night": 1}, "sight")


def test_a_type_that_yaml_does_not_have_is_a_mistake_of_the_program():
    @dataclass
    class Odd:
        value: complex = 0j

    with pytest.raises(TypeError, match="a type that YAML has"):
        build(Odd, {"value": 1}, "odd")


def test_what_an_error_shows_is_short_and_printable():
    assert shown("a\x1b[31mb") == "'a\\x1b[31mb'"
    assert len(shown({"a": ["x" * 1000] * 50})) < 120
    assert shown(16**9000) == "a whole number of 36001 bits"  # of which Python itself refuses to write the digits
    assert str(ParamsError("a\x1b[31m\nb" + "x" * 5000)) == "a\\x1b[31m\\nb" + "x" * 1488 + " ..."
    assert shown([0] * 1000) == "a list of 1000 values"
