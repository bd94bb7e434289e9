"""`make docs`: the site is built without a warning and without network, and loads nothing from elsewhere."""

import os
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from ocrrl.commands.stages import MULTITASK_STAGES, STAGES
from ocrrl.params import CONFIGS, MULTITASK_CONFIGS
from tests.pipeline_copy import ROOT

NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Built by the Makefile's own command, elsewhere."""
    folder = tmp_path_factory.mktemp("site")
    (line,) = re.findall(r"^\t\$\(BIN\)/(sphinx-build .*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    words = shlex.split(line.replace("build/", f"{folder}/"))
    assert "--fail-on-warning" in words
    program = Path(sys.executable).with_name(words[0])
    environment = os.environ | NO_NETWORK | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([program, *words[1:]], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    return folder / "site"


class Loaded(HTMLParser):
    """What a browser loads for a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        names = ["src", "srcset", "poster"] + (["href", "data"] if tag in ("link", "use", "object") else [])
        self.addresses += [value for name in names if (value := values.get(name))]


def from_elsewhere(page: str) -> list[str]:
    parser = Loaded()
    parser.feed(page)
    return [address for address in parser.addresses if re.match(r"(?:https?:)?//", address)]


def test_every_page_is_on_the_site_and_can_be_searched(site):
    pages = [path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").glob("**/*.md")]
    assert len(pages) > 40
    index = (site / "searchindex.js").read_text()
    for page in pages:
        assert (site / page).with_suffix(".html").is_file() and f'"{page.as_posix()}"' in index


def test_nothing_is_loaded_from_elsewhere(site):
    for path in site.glob("**/*.html"):
        assert not from_elsewhere(path.read_text()), path.name
    for path in site.glob("**/*.css"):
        assert not re.search(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", path.read_text()), path.name


def test_what_is_loaded_from_elsewhere_is_found():
    assert from_elsewhere('<script src="https://cdn.example/a.js"></script>') == ["https://cdn.example/a.js"]
    assert from_elsewhere('<link rel="stylesheet" href="//fonts.example/css">') == ["//fonts.example/css"]
    assert not from_elsewhere('<a href="https://example.org">a link</a><img src="_images/looks.jpg">')


def test_the_api_pages_show_docstrings_and_the_command_line_every_command(site):
    calls = (site / "api" / "front_door.html").read_text()
    for name in ("make_env", "load_policy", "load_residual", "train_residual", "evaluate", "lineage"):
        assert f'name descname"><span class="pre">{name}<' in calls
    assert "Wilson intervals" in calls
    commands = (site / "command_line.html").read_text()
    for name in (*STAGES, *MULTITASK_STAGES, "teleoperate", "serve-vla"):
        assert f"usage: ocrrl {name}" in commands, name


def test_the_page_of_parameters_names_every_section_and_its_class():
    page = (ROOT / "docs" / "parameters.md").read_text()
    for section, home in (CONFIGS | MULTITASK_CONFIGS).items():
        module, _, name = home.partition(":")
        assert re.search(rf"^\| .*`{section}`.* \| `{name}` \|$", page, re.MULTILINE), section
        assert f".. autoclass:: {module}.{name}" in page


def test_the_citation_names_the_paper_and_this_software():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)  # what version 1.2.0 of the format requires
    assert f'version = "{citation["version"]}"' in (ROOT / "pyproject.toml").read_text()
    paper = citation["preferred-citation"]
    assert {"type", "title", "authors"} <= set(paper) and paper["title"] in (ROOT / "README.md").read_text()
