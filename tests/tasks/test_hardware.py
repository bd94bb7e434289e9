"""A stage's device is the tabletop task's own, else the shared one."""

import pytest
import yaml

from tasks.graph import Stage
from tasks.run_stage import asks_for_cuda


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"shared": {"device": "cuda"}, "cube_lift": {}}, True),
        ({"shared": {"device": "cuda:1"}, "cube_lift": {"device": "cpu"}}, False),
        ({"shared": {"device": "auto"}, "cube_lift": {"device": "cuda"}}, True),
        ({"shared": {"device": "auto"}, "cube_lift": {}}, False),
        ({"shared": {}, "cube_lift": {}}, False),
    ],
)
def test_a_task_s_own_device_comes_before_the_shared_one(section, expected, tmp_path):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"finetune": section}))
    names = ("finetune.cube_lift", "finetune.shared", "tasks")  # as DVC sorts them
    stage = Stage("finetune@cube_lift-sim", "ocrrl finetune cube_lift --domain sim", (), parameters=names)
    assert asks_for_cuda(stage, tmp_path) == expected
