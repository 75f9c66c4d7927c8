"""What a user gets who installs the launcher without the repository."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_wheel_holds_every_module_template_and_descriptor(tmp_path: Path) -> None:
    # Of a copy, as a build leaves folders beside its sources.
    left_out = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    for folder in ("common", "scripts", "descriptors"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=left_out)
    code = "from setuptools.build_meta import build_wheel; build_wheel('.')"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "scripts", capture_output=True, check=True)
    (wheel,) = (tmp_path / "scripts").glob("*.whl")

    held = set(zipfile.ZipFile(wheel).namelist())

    launcher = ROOT / "scripts" / "nucseg_launcher"
    needed = {
        str(path.relative_to(launcher.parent)) for path in (*launcher.rglob("*.py"), *launcher.rglob("templates/*"))
    }
    assert {name for name in held if name.startswith("nucseg_launcher/")} == needed
    descriptors = {path.name for path in (ROOT / "descriptors").glob("*.json")}
    assert {Path(name).name for name in held if "/share/nucseg/descriptors/" in name} == descriptors
