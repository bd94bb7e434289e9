"""The documentation names what is there, and only that."""

import re
from dataclasses import fields
from datetime import UTC, datetime

import pytest

from ocrrl.cli import COMMANDS
from ocrrl.commands.stages import MULTITASK_STAGES, STAGES
from ocrrl.commands.surroundings_findings import surroundings
from ocrrl.policies.finetune_config import PEFT, LerobotTraining
from ocrrl.preset_params import BASES, PRESETS
from tests.pipeline_copy import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]


def test_every_stage_and_preset_is_in_the_pipeline_page():
    text = (ROOT / "docs" / "pipeline.md").read_text()
    for stage in (*STAGES, *MULTITASK_STAGES):
        assert f"| `{stage}` |" in text
    for preset in PRESETS:
        assert f"`{preset}`" in text or f"|{preset}" in text or f"{preset}|" in text


def test_every_base_and_setting_of_lerobot_train_is_in_its_page():
    text = (ROOT / "docs" / "foundation_vlas.md").read_text()
    for name in (*BASES, *(field.name for field in fields(LerobotTraining)), *PEFT):
        assert f"`{name}`" in text, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_exists(page):
    text = page.read_text()
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (page.parent / target).exists(), f"{page.name} links {target}"
    for target in re.findall(r"`((?:ocrrl|tests|benchmarks|docs)/[\w/.]+\.(?:py|md|yaml))`", text):
        if "press_button" not in target:
            assert (ROOT / target).exists(), f"{page.name} names {target}"
    for module in re.findall(r"python -m (benchmarks\.\w+)", text):
        assert (ROOT / (module.replace(".", "/") + ".py")).exists(), f"{page.name} names {module}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_names_is_one(page):
    commands = {*STAGES, *MULTITASK_STAGES, *COMMANDS}
    for command in re.findall(r"(?:`|bin/|^\s+|&& )ocrrl ([a-z_-]+)\b", page.read_text(), flags=re.MULTILINE):
        assert command in commands, f"{page.name} names `ocrrl {command}`"


def test_every_finding_of_doctor_is_in_its_page():
    text = (ROOT / "docs" / "when_it_fails.md").read_text()
    for finding in surroundings(datetime.now(UTC)):
        assert finding.subject in text, finding.subject
