"""`publish`: copies the last multi-task VLA to a path that is the same in all rounds."""

import shutil

from ocrrl import files
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import PUBLISHED_VLA, Layout
from ocrrl.params import Params


def run(tasks: list[TabletopTask], params: Params, layout: Layout) -> None:
    work = files.fresh_folder(layout.work("publish"))
    shutil.copytree(layout.vla("retrained"), work / "vla")
    files.publish(work / "vla", PUBLISHED_VLA)
    print(f"{PUBLISHED_VLA}: {layout.vla('retrained')}")
