"""Compiled functions are compiled anew when one that they call was changed."""

import os
from pathlib import Path

from ocrrl.perception.tracking.fitting import compiled


def test_every_file_of_compiled_functions_is_known():
    folder = Path(compiled.__file__).parent
    using = {path.stem for path in folder.rglob("*.py") if "@compiled" in path.read_text()}
    assert using == set(compiled.FILES)
    assert [path for path in folder.parent.rglob("*.py") if "njit" in path.read_text()] == [folder / "compiled.py"]


def test_an_index_older_than_any_of_the_files_is_dropped(tmp_path):
    for name in compiled.FILES:
        (tmp_path / f"{name}.py").touch()
        os.utime(tmp_path / f"{name}.py", (1000, 1000))
    cache = tmp_path / "__pycache__"
    cache.mkdir()
    for name in ("old.nbi", "new.nbi", "old.nbc"):
        (cache / name).touch()
        os.utime(cache / name, (1500, 1500) if name.startswith("old") else (3000, 3000))
    compiled.drop_stale(tmp_path)
    assert len(list(cache.iterdir())) == 3
    os.utime(tmp_path / "signed_distance.py", (2000, 2000))
    compiled.drop_stale(tmp_path)
    assert sorted(path.name for path in cache.iterdir()) == ["new.nbi", "old.nbc"]
