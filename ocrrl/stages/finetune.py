"""`finetune`: trains the VLA of one domain on its LeRobotDataset."""

import json
from pathlib import Path

from ocrrl import files
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params


def run(task: TabletopTask, params: Params, layout: Layout, domain: str) -> None:
    from ocrrl.datasets.image_sizes import require_datasets_of
    from ocrrl.policies.finetune import finetune as train
    from ocrrl.policies.training_data import TrainingData

    config = params.config("finetune", task.slug)
    require_datasets_of([layout.dataset(domain)], params.cameras)
    imported = params.imported_vla(task.slug, domain)
    if imported is not None and _published(imported, task, params, layout, domain):
        return
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
    if imported is not None:
        from ocrrl.policies.imported_vla import note_served

        note_served(imported, layout.vla(domain))


def _published(imported: Path, task: TabletopTask, params: Params, layout: Layout, domain: str) -> bool:
    """Publish the VLA that was imported to the folder `imported`; False for one that a policy server answers with."""
    from ocrrl.policies.imported_vla import NOT_CHECKED, REMOTE, SERVED, publish_imported, read_imported, require_for

    config, found = params.config("finetune", task.slug), read_imported(imported)
    require_for(found, imported, task.slug, domain)
    if found.kind == SERVED:
        if config.policy["type"] != REMOTE:
            raise ValueError(
                f"finetune.{task.slug}.policy.type must be {REMOTE} for {imported}, a checkpoint of {found.checkpoint} that only its "
                f"own server opens, got {config.policy['type']}; `configs/policy_*.yaml` in the export has the section"
            )
        print(f"{imported}: {NOT_CHECKED}")
        return False
    work, latency = layout.work(f"finetune-{domain}-imported"), params.latency(task.slug)
    publish_imported(imported, layout.vla(domain), work, config.policy, config.device, latency)
    print(
        f"{layout.vla(domain)}: {imported}, trained on an export of {found.source} ({found.source_hash[:8]}); nothing trained here"
    )
    return True
