"""What the wheel holds, and that it is enough for a project."""

import os
import subprocess
import sys
import zipfile

from ocrrl.project.code_file import installed_code
from ocrrl.project.template import matching
from tests.pipeline_copy import ROOT
from tests.project.installed import run_installed


def tracked(folder: str) -> set[str]:
    """The files that git tracks there, and new ones that it does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", folder]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return {name for name in listed if (ROOT / name).is_file()}


def test_the_wheel_holds_the_package_and_the_files_of_a_project_and_no_other_top_level_package(image):
    (wheel,) = (image / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        content = {name: archive.read(name) for name in names}
    copied = {f"ocrrl/project/files/{name}": path for name, path in matching(ROOT).items()}
    assert names == (tracked("ocrrl") - {"ocrrl/project/Makefile"}) | set(copied)
    assert {path: path.read_bytes() for path in copied.values()} == {
        path: content[name] for name, path in copied.items()
    }
    assert tracked("flows") | tracked("tasks") | tracked("cells") | tracked(".dvc") <= set(matching(ROOT))


def test_the_installed_package_has_the_hashes_of_the_checkout(made):
    """So that a stage that was up to date in one is in the other, and `__pycache__` counts in neither."""
    assert (made / "code.yaml").read_text() == installed_code().text()


def test_importing_it_loads_nothing_heavy_and_is_quick(image):
    code = (
        "import sys, time; begun = time.process_time(); import ocrrl; spent = time.process_time() - begun\n"
        "assert not {'torch', 'mujoco', 'lerobot', 'h5py', 'numpy'} & set(sys.modules)\n"
        "assert 'site/ocrrl' in ocrrl.__file__ and spent < 0.3, spent"
    )
    environment = os.environ | {"PYTHONPATH": str(image / "site")}
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=image, check=True)


def test_the_metadata_name_the_extras(image):
    said = run_installed(image / "site", image, "demo", code=1).stderr
    assert "demo must run in a project's folder" in said and "`ocrrl init my_lab` makes one" in said
    (metadata,) = (image / "site").glob("ocrrl-*.dist-info/METADATA")
    extras = [line.split(": ")[1] for line in metadata.read_text().splitlines() if line.startswith("Provides-Extra")]
    assert {"train", "pipeline", "vla", "robot", "remote", "teleoperation", "view"} <= set(extras)
