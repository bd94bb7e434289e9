"""Equal robots draw equal noise, in any row of a batch of any size."""

import pytest
import torch

from ocrrl.policies.shared_noise import SharedNoise

DRAWS = {
    "randn": lambda n: torch.randn(n, 4, 3),
    "randn by keyword": lambda n: torch.randn(size=(n, 40), dtype=torch.float64),
    "rand": lambda n: torch.rand(n, 32),
    "normal": lambda n: torch.normal(mean=0.0, std=1.0, size=(n, 16, 7)),
    "like": lambda n: torch.randn_like(torch.empty(n, 5)),
    "in place": lambda n: torch.empty(n, 20).uniform_(-1, 1),
    "in place, transposed": lambda n: torch.empty(6, n).T.normal_(),
    "with a generator": lambda n: torch.randn(n, 9, generator=torch.Generator().manual_seed(3)),
}


@pytest.mark.parametrize("name", DRAWS)
def test_each_row_has_the_noise_of_a_batch_of_one(name):
    found = {}
    for rows in (1, 2, 5):
        torch.manual_seed(0)
        with torch.inference_mode(), SharedNoise(rows):
            found[rows] = DRAWS[name](rows), torch.randn(rows, 3)
    for rows in (2, 5):
        for drawn, alone in zip(found[rows], found[1], strict=True):
            assert drawn.shape[0] == rows and drawn.dtype == alone.dtype
            assert all(torch.equal(row, alone[0]) for row in drawn)
    assert found[1][0].std() > 0.1


def test_noise_that_is_not_of_the_batch_is_left_as_it_is():
    with SharedNoise(3):
        assert len(set(torch.randn(4).tolist())) == 4


def test_a_draw_that_would_differ_between_rows_is_refused_by_name():
    with SharedNoise(3), pytest.raises(ValueError, match=r"aten\.randint"):
        torch.randint(0, 10, (3,))
    with SharedNoise(1):
        torch.randint(0, 10, (1,))
