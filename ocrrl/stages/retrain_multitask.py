"""`retrain_multitask`: trains one VLA for every tabletop task, and two control variants with equal steps."""

from ocrrl import files
from ocrrl.datasets.image_sizes import require_datasets_of
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.stages.retrain import VARIANTS, dataset, train_variants


def run(tasks: list[TabletopTask], params: Params, layout: Layout) -> None:
    config = params.multitask_config("retrain_multitask")
    parts = [Layout(task.slug, layout.round) for task in tasks]
    require_datasets_of([dataset(part, variant) for variant in VARIANTS for part in parts], params.cameras)
    inputs = files.fingerprint(
        files.code_fingerprint(), config, *(dataset(p, variant) for variant in VARIANTS for p in parts)
    )
    latencies = {params.latency(task.slug) for task in tasks}
    if len(latencies) > 1:
        named = ", ".join(sorted(str(path or "none") for path in latencies))
        raise ValueError(f"tabletop_tasks must name one latency for the VLA of all of them, got {named}")
    train_variants(parts, config, layout.work(f"retrain_multitask-{inputs}"), layout, latencies.pop())
