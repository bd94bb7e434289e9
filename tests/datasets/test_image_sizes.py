import pytest

from ocrrl.datasets.image_sizes import require_datasets_of
from ocrrl.datasets.lerobot_writer import write_lerobot_dataset
from tests.episodes.toy_episodes import demonstrated


def test_a_dataset_of_other_sizes_is_refused_with_both_and_the_next_step(tmp_path):
    write_lerobot_dataset([("e.h5", demonstrated([3], image_size=32)[0])], tmp_path / "set")
    require_datasets_of([tmp_path / "set", tmp_path / "none"], {"front": (32, 32), "wrist": (32, 32)})
    with pytest.raises(
        ValueError,
        match=r"set must have images of .*, front 64 x 64, got front 32 x 32, wrist 32 x 32: `dvc repro` makes",
    ):
        require_datasets_of([tmp_path / "set"], {"front": (64, 64)})
