"""A YAML file is read whole or refused in one line, whatever is in it."""

import time

import pytest

from ocrrl.safe_yaml import MOST_BYTES, parse_yaml, read_yaml


@pytest.fixture
def read(tmp_path):
    path = tmp_path / "file.yaml"

    def write_and_read(text):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_yaml(path)

    return write_and_read


def laughs(levels: int, width: int = 9) -> str:
    """A list of lists of ..., `width` ** `levels` values in a few hundred bytes."""
    lines = ["a0: &a0 [ha]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("a: 1\nb: [x, 1.5, null, true]", {"a": 1, "b": ["x", 1.5, None, True]}),
        ("a: &a {x: 1}\nb: *a\nc: {<<: *a, x: 2, y: 3}", {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 2, "y": 3}}),
        ("\ufeffname: Würfel", {"name": "Würfel"}),
        (laughs(3, 2), {"a0": ["ha"], "a1": [["ha"]] * 2, "a2": [[["ha"]] * 2] * 2}),
    ],
)
def test_what_people_write_is_read(read, text, value):
    assert read(text) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "a must be there once, got it on lines 1 and 3; keep one of them"),
        ("x:\n  on: 1\n  yes: 2", "x.on must be there once, got it on lines 2 and 3"),  # both are true to YAML
        ("a: [", "must be YAML: line "),
        ("a: 1\n\tb: 2", "must be YAML: line 2"),
        ("a: \x00", "must be YAML: "),
        ("--- 1\n--- 2", "must be YAML: "),
        ("? [1, 2]\n: 3", "a key must be text or a number, got a list or a mapping"),
        ("*nobody", "must be YAML: line 1"),
        (b"a: \xff\xfe", "must be UTF-8 text, got byte 0xff in line 1"),
        ("a: !!python/object/apply:os.system [touch]", "values must have no tag"),
        ("a: !!bool maybe", "values must have no tag"),
        ("a: 2026-02-31", "a value that looks like a number or a date must be one"),
        ("a: " + "9" * 5000, "a value that looks like a number or a date must be one"),
        ("a: 0b_", "a value that looks like a number or a date must be one"),
        ("a: &a [*a]", "*a must not hold itself"),
        ("a: &a {b: [*a]}", "*a must not hold itself"),
        ("[" * 100 + "]" * 100, "at most 40 deep"),
        ("[" * 400_000, "at most 40 deep"),
        ("a: " + "{b: " * 100_000, "at most 40 deep"),
        ("- " * 300_000, "at most 40 deep"),
        (laughs(12), "aliases must not write out to more than"),
        (f"a: &a {'x' * 900_000}\nb: [*a, *a, *a, *a, *a]", "aliases must not write out to more than"),
        ("m0: &m0 {a: 1}\n" + "\n".join(f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}]}}" for n in range(1, 12)), "alias"),
        ("x" * (MOST_BYTES + 1), f"must have at most {MOST_BYTES} bytes"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_in_one_line_and_at_once(read, text, message):
    start = time.perf_counter()
    with pytest.raises(ValueError) as raised:
        read(text)
    assert time.perf_counter() - start < 2
    said = str(raised.value)
    assert message in said and "file.yaml" in said and "\n" not in said and len(said) < 400


def test_what_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"must be a file that can be read, got: Is a directory$"):
        read_yaml(tmp_path)
    with pytest.raises(ValueError, match=r"none\.yaml must be a file that can be read, got: No such file"):
        read_yaml(tmp_path / "none.yaml")


LOCK = """schema: '2.0'
stages:
  a@x:
    cmd: one
  b@x:
    cmd: two
  a@x:
    cmd: three
"""


def test_a_stage_that_stands_there_twice_is_named_with_its_lines_and_what_helps():
    with pytest.raises(
        ValueError, match=r"dvc.lock: stages.a@x must be there once, got it on lines 3 and 7; .*dvc repro a@x`"
    ):
        parse_yaml(LOCK, "dvc.lock")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: {c: 1, c: 2}\n", "f: b.c must be there once, got it on lines 2 and 2; keep one of them"),
        (
            "outs:\n- path: x\n  md5: a\n  md5: b\n  md5: c\n",
            "f: outs.0.md5 must be there once, got it on lines 3, 4 and 5",
        ),
        ("a: &x {b: 1}\nc: *x\nd: *x\nd: 3\n", "f: d must be there once, got it on lines 3 and 4"),
        (
            "a: 1\n<<<<<<< HEAD\nb: 2\n=======\nb: 3\n>>>>>>> theirs\n",
            "f must be merged, got git's mark <<<<<<< on line 2",
        ),
        ("a: [\n", "f must be YAML: "),
        ("a: 1\n---\nb: 1\n", "f must be YAML: "),
    ],
)
def test_what_a_merge_leaves_is_refused_in_one_line(text, message):
    with pytest.raises(ValueError) as refused:
        parse_yaml(text, "f")
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_keys_that_only_look_alike_are_two():
    assert parse_yaml("a: &x {b: 1}\nc: {<<: *x, b: 2}\n1: 2\n'1': 3\n", "f") == {
        "a": {"b": 1},
        "c": {"b": 2},
        1: 2,
        "1": 3,
    }
    assert parse_yaml("a: '<<<<<<< HEAD'\nb: |\n  =======\n", "f")["b"] == "=======\n"


def test_aliases_within_aliases_cost_nothing():
    text = "a0: &a0 [1]\n" + "".join(f"a{k}: &a{k} [*a{k - 1}, *a{k - 1}]\n" for k in range(1, 60))
    assert parse_yaml(text, "f", most_written_out=None)["a0"] == [1]
