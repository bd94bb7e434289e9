"""A law of damage: an episode that is read from a damaged dataset is the undamaged one; all else is refused by name."""

import json
import random
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from ocrrl.episodes.episode_checks import EpisodeRejected, EpisodeRequirements
from ocrrl.recordings.lerobot.dataset import open_dataset
from ocrrl.recordings.lerobot.dataset_files import DatasetFiles
from tests.recordings.lerobot.recorded_dataset import Recorded

ODD = (None, "x", "", -1, 0, 3, 1e308, float("nan"), float("inf"), [], {}, True, ["a", 1], {"a": None}, "../../x", 2.5)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Two datasets of one recording, as v3 and as v2.1, parquet with checksums, and the episodes in them."""
    folder = tmp_path_factory.mktemp("whole")
    recorded = Recorded(kind="image", lengths=[6, 5, 7])
    for root in (recorded.write(folder / "v3", row_group_size=6), recorded.write_v21(folder / "v21")):
        for path in root.rglob("*.parquet"):
            pq.write_table(pq.read_table(path), path, row_group_size=6, write_page_checksum=True)
    return folder, {name: read(folder / name)[0] for name in ("v3", "v21")}


def read(root):
    """The episodes that are read, and how many refusals there were."""
    cameras = {camera: f"observation.images.{camera}" for camera in ("front", "wrist")}
    episodes, refused = {}, 0
    try:
        dataset = open_dataset(DatasetFiles(root, root), cameras, ("observation.state", "action"), needs_task=False)
    except EpisodeRejected:
        return {}, 1
    for number in dataset.episodes:
        try:
            episodes[number] = dataset.read(number, EpisodeRequirements())
        except EpisodeRejected:
            refused += 1
    return episodes, refused + len(dataset.faults)


def places(value, place=()):
    yield place
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield from places(part, (*place, key))


def with_odd_value(text, chance):
    content = json.loads(text)
    *way, last = chance.choice([place for place in places(content) if place])
    part = content
    for key in way:
        part = part[key]
    part[last] = chance.choice(ODD)
    return json.dumps(content)


def with_damage(raw, chance):
    kind, place = chance.randrange(4), chance.randrange(len(raw))
    if kind == 0:
        return raw[:place]
    if kind == 1:
        return raw + bytes(100)
    damage = bytes(chance.randrange(256) for _ in range((1, 60)[kind - 2]))
    return raw[:place] + damage + raw[place + len(damage) :]


@pytest.mark.parametrize("seed", range(4))
def test_what_is_read_from_a_damaged_dataset_is_what_it_was(whole, tmp_path, seed):
    folder, undamaged = whole
    chance = random.Random(seed)
    for case in range(40):
        name = chance.choice(["v3", "v21"])
        root = shutil.copytree(folder / name, tmp_path / str(case))
        path = chance.choice(sorted(path for path in root.rglob("*") if path.is_file()))
        if path.suffix == ".json":
            path.write_text(with_odd_value(path.read_text(), chance))
        else:
            path.write_bytes(with_damage(path.read_bytes(), chance))
        episodes, refused = read(root)
        assert refused or len(episodes) == 3, path
        for number, raw in episodes.items():
            for parts in ("columns", "images"):
                for key, values in getattr(undamaged[name][number], parts).items():
                    np.testing.assert_array_equal(getattr(raw, parts)[key], values, err_msg=f"{path} {key}")
