"""`finetune`: trains the VLA of one domain on its LeRobotDataset."""

import json

from ocrrl import files
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params


def run(task: TabletopTask, params: Params, layout: Layout, domain: str) -> None:
    from ocrrl.datasets.image_sizes import require_datasets_of
    from ocrrl.policies.finetune import TrainingData
    from ocrrl.policies.finetune import finetune as train

    config = params.config("finetune", task.slug)
    require_datasets_of([layout.dataset(domain)], params.cameras)
    paired = domain == "real" and config.real_episodes == "replayed"
    inputs = files.fingerprint(files.code_fingerprint(), config, layout.dataset(domain))
    kept = json.loads(layout.accepted_replays.read_text()) if paired else None
    train(
        [TrainingData(layout.dataset(domain), kept)],
        layout.vla(domain),
        layout.work(f"finetune-{domain}-{inputs}"),
        config,
        latency=params.latency(task.slug),
        vla=domain,
    )
