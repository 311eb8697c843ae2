"""The build: a wheel has configs/ and experiments/, which are at the top of the clone, inside the package."""

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
                shutil.rmtree(target, ignore_errors=True)  # left by an earlier build
                shutil.copytree(name, target)


setup(cmdclass={"build_py": WithWhatLiesBeside})
