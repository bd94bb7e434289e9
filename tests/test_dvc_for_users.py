"""What docs/dvc.md promises: commands that exist, plots of files that the stages write, messages that say what to do."""

import errno
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc.cli.parser import get_main_parser
from dvc_render.vega_templates import Template

from ocrrl import cli
from ocrrl.layout import Layout
from ocrrl.report.build_report import SUCCESS, success_rows
from ocrrl.report.inputs import read_inputs
from tests.pipeline_copy import ROOT
from tests.report.synthetic_round import write_synthetic_round

PAGE = (ROOT / "docs" / "dvc.md").read_text()
PLOTS = {
    title: plot for entry in yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"] for title, plot in entry.items()
}
TEMPLATE = json.loads((ROOT / ".dvc" / "plots" / "success_rate.json").read_text())


def commands(program: str) -> list[str]:
    """What the page has in backticks or after a prompt, from `program` on."""
    quoted = re.findall(rf"`({program} [^`]+)`", PAGE)
    typed = re.findall(rf"^    (?:\$ )?({program} .+)$", PAGE, flags=re.MULTILINE)
    return [re.split(r" && | > | # ", command)[0] for command in quoted + typed]


@pytest.mark.parametrize("command", sorted(set(commands("dvc"))))
def test_every_dvc_command_of_the_page_parses(command):
    words = shlex.split(command)[1:]
    if all(word.isalpha() for word in words) and len(words) <= 2:  # named, without its arguments
        with pytest.raises(SystemExit, match="0"):
            get_main_parser().parse_args([*words, "--help"])
    else:
        get_main_parser().parse_args(words)


def test_the_page_names_the_commands_that_users_need():
    named = " ".join(commands("dvc"))
    for command in ("dag", "repro", "exp run", "exp show", "plots show", "plots diff", "metrics diff", "params diff"):
        assert f"dvc {command}" in named
    for command in ("remote add", "push", "pull"):
        assert f"dvc {command}" in named
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:`|\$ )make ([a-z]+)", PAGE):
        assert f"\n{target}: " in makefile


def test_plots_are_of_files_that_a_stage_writes():
    layout = Layout("cube_lift")
    outputs = {layout.residual(0): "curve.json", layout.report: SUCCESS}
    outputs |= {layout.vla(domain): "training.json" for domain in ("sim", "real")}
    files = {path.replace("${round}", "round0") for plot in PLOTS.values() for path in plot["y"]}
    assert files == {str(folder / name) for folder, name in outputs.items()}


def test_the_plot_of_success_has_the_fields_that_the_report_writes(tmp_path):
    rows = success_rows(read_inputs(write_synthetic_round(tmp_path, episodes=4, seeds=(0,), videos=0)))
    (plot,) = (plot for plot in PLOTS.values() if plot["template"] == "success_rate")
    (field,) = plot["y"].values()
    assert [row[field] for row in rows][:4] == [
        *("sim: base VLA", "sim: base + residual"),
        *("twin (simulated): base VLA", "twin (simulated): base + residual"),
    ]
    drawn = set(re.findall(r'"field": "(\w+)"', json.dumps(TEMPLATE))) - {"rev"}
    assert {plot["x"], *drawn} <= rows[0].keys()


def test_dvc_fills_the_template_of_success():
    template = Template(TEMPLATE, name="success_rate")
    for anchor in ("data", "x", "y", "title", "x_label", "y_label", "color", "plot_width", "plot_height"):
        assert template.has_anchor(anchor), anchor


def test_ocrrl_runs_the_code_of_the_folder_that_it_is_started_in(tmp_path):
    """`dvc exp run --temp` and `--queue` start it in a copy of the project."""
    package = tmp_path / "ocrrl"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "cli.py").write_text("import sys\nprint('the copy', sys.argv[1:])\n")
    program = "import sys; from ocrrl.cli import main; sys.exit(main())"
    # As the installed `ocrrl` does, this does not look into the working folder for modules.
    command = [sys.executable, "-P", "-c", program, "train_residual", "cube_lift"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "the copy ['train_residual', 'cube_lift']\n"


def test_a_full_disk_is_named_and_what_to_do(monkeypatch, capsys):
    def full(options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cli, "_run", full)
    assert cli.main(["doctor"]) == 1
    assert "no space left on the disk" in capsys.readouterr().err
    assert "make gc" in PAGE and Path(ROOT, "tasks", "collect_garbage.py").is_file()
