"""The build: a wheel carries configs/ and experiments/, which stand at the top of the clone, inside the package."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

BESIDE = ("configs", "experiments")


class WithWhatLiesBeside(build_py):
    """An editable installation reads them where they are."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for name in BESIDE:
                target = Path(self.build_lib) / "skipln" / name
                shutil.rmtree(target, ignore_errors=True)  # what an earlier build left
                shutil.copytree(name, target)


setup(cmdclass={"build_py": WithWhatLiesBeside})
