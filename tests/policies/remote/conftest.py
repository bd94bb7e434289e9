import pytest

from tests.policies.remote.served import write_compact


@pytest.fixture(scope="session")
def compact(tmp_path_factory):
    """The folder of an untrained default VLA."""
    return write_compact(tmp_path_factory.mktemp("compact") / "vla")
