"""`rollout_base`: collects successful episodes of the real VLA alone in the twin, for the control variant."""

from ocrrl import files
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.stages.rollout import collect


def run(task: TabletopTask, params: Params, layout: Layout) -> None:
    config = params.config("rollout_base", task.slug)
    for name in ("handover", "labelled"):
        if getattr(config, name):
            raise ValueError(
                f"rollout_base.{name} must be left out, since the VLA acts alone, got {getattr(config, name)}"
            )
    if config.initial_states == "failed":
        raise ValueError(
            "rollout_base.initial_states must be same or fresh, since it keeps what the VLA alone solves, got failed"
        )
    inputs = files.fingerprint(files.code_fingerprint(), config, params.cameras, layout.vla("real"))
    collect(task, params, layout, config, None, inputs)
