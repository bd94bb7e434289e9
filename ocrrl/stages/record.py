"""`record`: scripted teleoperation in the twin, one episode file per demonstration."""

from tqdm import tqdm

from ocrrl import files
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.rollouts.rollout_recorder import package_versions
from ocrrl.worlds import make_teleoperator, make_twin


def run(task: TabletopTask, params: Params, layout: Layout) -> None:
    from ocrrl.rollouts.record import record_episodes

    config = params.config("record", task.slug)
    cell = make_twin(task.slug, min(10, config.episodes), params.cameras)
    work = files.fresh_folder(layout.work("record"))
    with tqdm(total=config.episodes, desc="record", unit="episode") as bar:
        summary = record_episodes(
            cell,
            make_teleoperator(task.slug, cell),
            work,
            initial_state_seeds("record", config.max_attempts),
            config,
            calibration=cell.calibration(),
            versions=package_versions(),
            progress=lambda written, _: bar.update(written - bar.n),
        )
    files.publish(work, layout.recorded_episodes)
    print(f"{summary.written} episodes recorded in the twin cell, {summary.attempts} attempts")
