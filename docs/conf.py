"""The documentation site: `make docs` builds it from docs/*.md and the code's docstrings, without network."""

import io
import re
from contextlib import redirect_stdout, suppress

from sphinx.application import Sphinx

from ocrrl.cli import COMMANDS, main
from ocrrl.commands.stages import MULTITASK_STAGES, STAGES

NAVIGATION = {
    "Tutorial": ("tutorial", "notebook"),
    "How to": (
        *(
            "start_a_project",
            "bring_your_own_demonstrations",
            "teleoperation",
            "stepping_in",
            "rounds",
            "lerobot_robot",
            "lerobot_eval",
        ),
        *("bring_your_own_vla", "foundation_vlas", "policy_servers", "train_elsewhere", "cameras"),
        *("add_a_tabletop_task", "deploy_on_fr3", "approval", "calibrate", "foundation_pose"),
        *("flows", "observe", "scale_out", "dvc", "devices", "viewers", "hub", "when_it_fails", "contribute"),
    ),
    "Reference": ("pipeline", "command_line", "parameters", "cell_file", "api/index", "code_map"),
    "Explanation": (
        *("observation_spaces", "tracking", "looks", "lineage", "safety", "security", "paper_differences"),
        *("Results <results>", "Results with ACT as the base <results_act>", "results_bases", "failure_modes"),
        *("harm", "sequential_evaluation"),
    ),
}
"""Pages by what a reader wants (diataxis.fr): to learn, to do one thing, to look something up, to understand."""

project = "ocrrl"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_heading_anchors = 4
default_role = "code"  # docstrings are plain text with names in backticks
highlight_language = "none"
html_theme = "furo"  # loads no font and no script from elsewhere
html_title = "ocrrl"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_mock_imports = ["lerobot", "transformers"]  # slow to import, and not described


def setup(app: Sphinx) -> None:
    app.connect("source-read", _completed)
    app.connect("autodoc-process-docstring", _as_restructured_text)


def _completed(app: Sphinx, page: str, source: list[str]) -> None:
    """Adds what has its home elsewhere: the navigation (`NAVIGATION`), and what each command says of itself."""
    if page == "index":
        source[0] += "".join(_menu(caption, pages) for caption, pages in NAVIGATION.items())
    if page == "command_line":
        source[0] += "".join(
            f"\n## {name}\n\n```none\n{_help(name)}```\n" for name in (*STAGES, *MULTITASK_STAGES, *COMMANDS)
        )


def _as_restructured_text(
    app: Sphinx, kind: str, name: str, described: object, options: object, lines: list[str]
) -> None:
    """Our docstrings are plain text: rows that are indented stay rows, and |a| is no substitution."""

    def escaped(bar: re.Match[str]) -> str:
        return r"\|" if bar[0] == "|" else bar[0]

    rows = False
    for line in list(lines):
        del lines[0]
        if line.strip() and rows != line.startswith("    "):
            rows = not rows
            lines += ["", ".. code-block:: none", ""] if rows else [""]
        lines.append(line if rows else re.sub(r"`[^`]*`|\|", escaped, line))


def _menu(caption: str, pages: tuple[str, ...]) -> str:
    return "\n".join(("", "```{toctree}", ":hidden:", f":caption: {caption}", *pages, "```", ""))


def _help(command: str) -> str:
    with redirect_stdout(io.StringIO()) as printed, suppress(SystemExit):
        main([command, "--help"])
    return printed.getvalue()
