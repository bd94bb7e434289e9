"""What `ocrrl doctor` finds of the policy servers that params.yaml names."""

from collections.abc import Iterator

from ocrrl.commands.surroundings_findings import Finding
from ocrrl.params import Params

TIMEOUT = 2.0  # [s]
SECTIONS = ("finetune", "retrain")


def policy_servers() -> Iterator[Finding]:
    """One for each address of a VLA of type remote; none without such a VLA, or where params.yaml is wrong."""
    try:
        params = Params.read()
        policies = [params.config(section, task).policy for section in SECTIONS for task in params.tasks()]
    except (ValueError, ImportError):
        return
    remote = [policy for policy in policies if policy["type"] == "remote"]
    if not remote:
        return
    from ocrrl.policies.remote.remote_config import remote_config

    asked = set()
    for config in map(remote_config, remote):
        named = config.address.values() if not isinstance(config.address, str) else [config.address_of("")]
        for address in named:
            if (config.protocol, address) not in asked:
                asked.add((config.protocol, address))
                yield _server(config.protocol, address, config.token)


def _server(protocol: str, address: str, token: str) -> Finding:
    subject = f"policy server {address}"
    try:
        from ocrrl.policies.remote.handshake import open_client
        from ocrrl.policies.remote.vla_file import identity_of

        client = open_client(protocol, address, token)
        try:
            served = client.connect(TIMEOUT)
        finally:
            client.close()
    except (ValueError, RuntimeError, ImportError) as error:
        return Finding(subject, "does not answer as it must", str(error), required=False)
    return Finding(subject, f"{served.version}, {identity_of(served)}", required=False)
