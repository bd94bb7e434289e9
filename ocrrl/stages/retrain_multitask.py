"""`retrain_multitask`: trains one VLA for every tabletop task, and two control variants with equal steps."""

from ocrrl import files
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.stages.retrain import VARIANTS, dataset, train_variants


def run(tasks: list[TabletopTask], params: Params, layout: Layout) -> None:
    config = params.multitask_config("retrain_multitask")
    parts = [Layout(task.slug, layout.round) for task in tasks]
    inputs = files.fingerprint(
        files.code_fingerprint(), config, *(dataset(p, variant) for variant in VARIANTS for p in parts)
    )
    train_variants(parts, config, layout.work(f"retrain_multitask-{inputs}"), layout)
