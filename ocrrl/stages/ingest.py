"""`ingest`: converts recordings of any format to the real LeRobotDataset and names the bad ones."""

from contextlib import suppress

from tqdm import tqdm

from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params, ParamsError


def run(task: TabletopTask, params: Params, layout: Layout) -> int:
    from ocrrl.recordings.ingest import ingest as ingest_folder
    from ocrrl.recordings.later_stages import why_not_mixed

    config = params.config("ingest", task.slug)
    with tqdm(desc="ingest", unit="episode") as bar:
        summary = ingest_folder(
            params.episodes_folder(task.slug),
            task,
            layout.dataset("real"),
            layout.normalised_episodes,
            layout.ingest_report,
            config,
            progress=lambda *_: bar.update(),
            cameras=params.cameras,
        )
    print(summary.describe())
    with suppress(ParamsError):  # of a section that is no business of this stage
        if line := why_not_mixed(summary.cells, task, params.config("training_set", task.slug).cells):
            print(line)
    return summary.exit_code
