"""docs/policy_servers.md names what is there: its examples are valid, and its table has every field."""

import re
import textwrap
from dataclasses import fields

import pytest
import yaml

from ocrrl.policies.remote.remote_config import RemoteConfig, remote_config
from ocrrl.policies.remote.state_words import WORDS
from tests.pipeline_copy import ROOT

TEXT = (ROOT / "docs/policy_servers.md").read_text().partition("## Other action forms")[0]
EXAMPLES = re.findall(r"^ {4}policy:\n(?: {6}.*\n)+", TEXT, flags=re.MULTILINE)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_page_is_a_valid_policy_section(example):
    assert remote_config(yaml.safe_load(textwrap.dedent(example))["policy"]).address_of("real")


def test_the_page_has_an_example_a_protocol_every_field_and_every_word():
    assert {remote_config(yaml.safe_load(textwrap.dedent(e))["policy"]).protocol for e in EXAMPLES} == {
        "gr00t",
        "openpi",
    }
    for field in fields(RemoteConfig):
        assert f"`{field.name}`" in TEXT or field.name in ("type", "protocol"), field.name
    for word in WORDS:
        assert f"`{word}`" in TEXT, word
