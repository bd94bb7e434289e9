"""Copies the files of a new project into the wheel, as `ocrrl/project/files`; all else is in pyproject.toml."""

import runpy
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

TEMPLATE = "ocrrl/project/template.py"


class BuildWithProjectFiles(build_py):
    """In an editable installation the files are read from the checkout."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for name, path in runpy.run_path(TEMPLATE)["matching"](Path.cwd()).items():
            target = Path(self.build_lib, "ocrrl/project/files", name)
            self.mkpath(str(target.parent))
            self.copy_file(str(path), str(target), preserve_mode=False)


setup(cmdclass={"build_py": BuildWithProjectFiles})
