"""A stock openpi server that fails: each fault is one named line, and the next question connects anew."""

import pytest

from ocrrl.interface.protocols import PolicyFault
from ocrrl.policies.remote.wire import pack_openpi
from tests.policies.remote.scripted import OPENPI, Openpi, ask, opened, patience
from tests.policies.remote.served import scripted_openpi


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("text", r"got its error: KeyError: 'observation/side_image'"),
        ("1011", r"must be reachable, got: .*1011.*it broke"),
        ("silent", "must answer in time, waited "),
        ("other", r"an answer must have actions, .* got other"),
    ],
)
def test_a_stock_openpi_server_that_fails_is_named_and_connected_to_anew(broken, message):
    server = Openpi()
    with scripted_openpi(server) as address:
        vla = opened(OPENPI, address)
        assert ask(vla, 3).shape == (3, 8, 7)
        server.broken = broken
        with patience(vla, 0.3 if broken == "silent" else 2.0), pytest.raises(PolicyFault, match=message) as refused:
            ask(vla)
        assert address in str(refused.value) and "\n" not in str(refused.value)
        server.broken, before = "", server.connections
        assert ask(vla).shape == (1, 8, 7)
        assert server.connections >= before + (broken != "other")
        vla.close()


def test_a_server_that_says_too_much_of_itself_is_refused():
    def converse(connection):
        connection.send(pack_openpi({"weights": ["x" * 1000] * 2000}))
        connection.recv()

    with (
        scripted_openpi(converse) as address,
        pytest.raises(ValueError, match="must describe itself in at most 1048576"),
    ):
        opened(OPENPI, address)
