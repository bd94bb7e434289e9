"""`finetune_multitask`: trains the simulator's counterpart of the retrained VLA, for the next residual."""

from ocrrl import files
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params


def run(tasks: list[TabletopTask], params: Params, layout: Layout) -> None:
    """The same episodes as simulation shows them: demonstrations, and the rollouts that the round before collected."""
    from ocrrl.datasets.image_sizes import require_datasets_of
    from ocrrl.policies.finetune import finetune
    from ocrrl.policies.training_data import TrainingData

    config = params.multitask_config("retrain_multitask")
    parts = [Layout(task.slug, name) for task in tasks for name in (layout.first.round, layout.round)]
    datasets = [part.dataset("sim") for part in parts]
    require_datasets_of(datasets, params.cameras)
    inputs = files.fingerprint(files.code_fingerprint(), config, *datasets)
    work = layout.work(f"finetune_multitask-{inputs}")
    finetune([TrainingData(root) for root in datasets], layout.vla("sim"), work, config, vla="sim")
