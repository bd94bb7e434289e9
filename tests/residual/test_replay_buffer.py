"""The ring and the mixing of demonstrations with own experience."""

import numpy as np
import pytest

from ocrrl.residual.replay_buffer import ReplayBuffer, sample_mixed


def filled(first: int, last: int, capacity: int = 10) -> ReplayBuffer:
    buffer = ReplayBuffer(capacity, 2)
    for value in range(first, last):
        buffer.add(np.full((1, 2), value, np.float32))
    return buffer


def values(buffer: ReplayBuffer) -> set[float]:
    out = np.empty((500, 2), np.float32)
    buffer.sample(500, np.random.default_rng(0), out)
    return set(out[:, 0].tolist())


def test_the_oldest_rows_give_way():
    buffer = filled(0, 13)
    assert len(buffer) == 10 and values(buffer) == set(range(3, 13))
    buffer.add(np.arange(100, 125, dtype=np.float32)[:, None].repeat(2, 1))
    assert values(buffer) == set(range(115, 125)), "more rows at once than the ring holds"


def test_a_batch_starts_with_the_demonstrations():
    batch = np.empty((8, 2), np.float32)
    sample_mixed(filled(0, 5), filled(50, 55), batch, 3, np.random.default_rng(0))
    assert (batch[:3] >= 50).all() and (batch[3:] < 5).all()


def test_sampling_nothing_from_an_empty_buffer_is_fine_something_is_refused():
    batch = np.empty((4, 2), np.float32)
    sample_mixed(filled(0, 5), ReplayBuffer(1, 2), batch, 0, np.random.default_rng(0))
    with pytest.raises(ValueError, match="must hold at least one transition"):
        sample_mixed(filled(0, 5), ReplayBuffer(1, 2), batch, 2, np.random.default_rng(0))


def test_a_restored_ring_goes_on_where_it_was():
    one, other = filled(0, 13), ReplayBuffer(10, 2)
    other.set_state(one.get_state())
    for buffer in (one, other):
        buffer.add(np.full((1, 2), 99, np.float32))
    assert values(one) == values(other)
