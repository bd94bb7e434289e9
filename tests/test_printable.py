import io
import sys

import pytest
from tqdm import tqdm

from ocrrl.cli import main
from ocrrl.printable import code_span, escaped_output, markdown_text, one_line, printable

HOSTILE = "a\x1b]0;owned\x07b\x9b31mc\u202ed\rz\udcff"


def test_what_a_terminal_obeys_or_does_not_show_is_escaped():
    assert printable(HOSTILE) == "a\\x1b]0;owned\\x07b\\x9b31mc\\u202ed\\rz\\udcff"
    assert printable("Grüße, 你好 👩\u200d🔬\n\tdone") == "Grüße, 你好 👩\u200d🔬\n\tdone"
    assert one_line("a\nok   python\t3.12") == "a\\nok   python\\t3.12"
    for code in (*range(32), *range(127, 160), 0x2028, 0x2066, 0x200F, 0xFEFF, 0xE0041):
        assert chr(code) not in one_line(f"x{chr(code)}y")


def test_what_is_printed_meanwhile_is_escaped_and_a_progress_bar_moves(monkeypatch):
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with escaped_output():
        print(HOSTILE, "and\nmore")
        sys.stderr.writelines([HOSTILE])
        for _ in tqdm(range(2), "\x1b[2Jfile", mininterval=0):
            pass
    assert sys.stdout is out and out.getvalue() == printable(HOSTILE) + " and\nmore\n"
    assert "\x1b" not in err.getvalue() and "\r\\x1b[2Jfile: 100%" in err.getvalue()


def test_no_command_prints_an_escape_sequence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for arguments in (
        ["view", f"{tmp_path}/\x1b[31m.h5"],
        ["lineage", "\x1b[31mx"],
        ["doctor", "--cell-file", "\x1b[31mcell.yaml"],
        ["params", "--preset", "\x1b[31m"],
    ):
        main(arguments)
    with pytest.raises(SystemExit):
        main(["\x1b[31mno-command"])
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err and said.err.count("\\x1b[31m") >= 4


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("# title", "\\# title"),
        ("---", "\\---"),
        ("1. one", "1\\. one"),
        ("a\n---\nlicense: x", "a\\\\n---\\\\nlicense: x"),
        ("a | b", "a \\| b"),
        ("`code` *b* ~~c~~", "\\`code\\` \\*b\\* \\~\\~c\\~\\~"),
        ("![x](http://y)", "![x\\](http://y)"),
        ("__bold__", "\\_\\_bold\\_\\_"),
        ("stack_cube, [0.3, 0.6], null", "stack_cube, [0.3, 0.6], null"),
    ],
)
def test_markdown_shows_text_as_it_is(text, shown):
    assert markdown_text(text) == shown


def test_code_stays_in_its_fence():
    assert code_span("a_b") == "`a_b`"
    assert code_span("a``b\n") == "``` a``b\\n ```"
