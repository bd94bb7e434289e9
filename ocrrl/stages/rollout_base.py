"""`rollout_base`: collects successful episodes of the real VLA alone in the twin, for the control variant."""

from ocrrl import files
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.stages.rollout import collect


def run(task: TabletopTask, params: Params, layout: Layout) -> None:
    config = params.config("rollout_base", task.slug)
    inputs = files.fingerprint(files.code_fingerprint(), config, params.cameras, layout.vla("real"))
    collect(task, params, layout, config, None, inputs)
