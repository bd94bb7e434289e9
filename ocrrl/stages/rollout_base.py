"""`rollout_base`: collects successful episodes of the real VLA alone in the twin, for the control variant."""

from ocrrl import files
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.stages.rollout import collect


def run(task: TabletopTask, params: Params, layout: Layout) -> None:
    from ocrrl.policies.checkpoint import expected_policies

    config = params.config("rollout_base", task.slug)
    inputs = files.fingerprint(files.code_fingerprint(), config, params.cameras, layout.vla("real"))
    collect(task, layout, config, expected_policies(params, task.slug), None, inputs, params.cameras)
