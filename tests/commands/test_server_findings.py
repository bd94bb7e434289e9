"""`ocrrl doctor` asks the policy servers that params.yaml names."""

import pytest

from ocrrl.cli import main
from ocrrl.commands import server_findings
from ocrrl.params import Params
from tests.policies.remote.served import served, write_compact


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with params.yaml, whose `finetune` names the policy that `write` is given."""
    monkeypatch.chdir(tmp_path)
    assert main(["params", "--preset", "default"]) == 0

    def write(policy):
        config = Params.config

        def changed(self, section, task):
            found = config(self, section, task)
            return found if section != "finetune" else type(found)(policy=policy)

        monkeypatch.setattr(Params, "config", changed)

    return write


def test_without_a_remote_vla_nobody_is_asked(project):
    assert list(server_findings.policy_servers()) == []


def test_each_address_is_asked_once(project, tmp_path, monkeypatch):
    monkeypatch.setattr(server_findings, "TIMEOUT", 0.3)
    with served(write_compact(tmp_path / "vla"), "openpi") as (address, service):
        project({"type": "remote", "protocol": "openpi", "address": {"sim": address, "real": "env:NOWHERE_AT_ALL"}})
        good, bad = server_findings.policy_servers()
    assert good.subject == f"policy server {address}" and not good.remedy
    assert good.found == f"openpi, checkpoint {service.contract.identity}"
    assert "NOWHERE_AT_ALL must hold the address" in bad.remedy and not bad.required
