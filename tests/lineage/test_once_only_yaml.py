import pytest

from ocrrl.lineage.once_only_yaml import load_yaml

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
        load_yaml(LOCK, "dvc.lock")


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
        ("- a\n", "f must hold a mapping, got list"),
        ("a: [\n", "f must be YAML: "),
        ("a: 1\n---\nb: 1\n", "f must be YAML: "),
    ],
)
def test_what_a_merge_leaves_is_refused_in_one_line(text, message):
    with pytest.raises(ValueError) as refused:
        load_yaml(text, "f")
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_sound_yaml_is_read():
    assert load_yaml("", "f") == {}
    assert load_yaml("a: &x {b: 1}\nc: {<<: *x, b: 2}\n1: 2\n'1': 3\n", "f") == {
        "a": {"b": 1},
        "c": {"b": 2},
        1: 2,
        "1": 3,
    }
    assert load_yaml("a: '<<<<<<< HEAD'\nb: |\n  =======\n", "f")["b"] == "=======\n"


def test_aliases_within_aliases_cost_nothing():
    text = "a0: &a0 [1]\n" + "".join(f"a{k}: &a{k} [*a{k - 1}, *a{k - 1}]\n" for k in range(1, 60))
    assert load_yaml(text, "f")["a0"] == [1]
