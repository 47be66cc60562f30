"""The wheel alone, in an empty environment away from the checkout. Minutes: `make wheel-test`."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from avsync.tasks.registry import list_models

ROOT = Path(__file__).parents[1]
# Weights of others in the package, each with a notice.
OTHER_TERMS = {
    "yunet_n_320_320": (".onnx",),
    "face_mesh": (".safetensors", ".json"),
    "whisper_tiny_en_1_layer": (".safetensors", ".json"),
    "face_sync-research": (".safetensors", ".json"),
}
pytestmark = [pytest.mark.wheel, pytest.mark.timeout(1800)]


def run(*command, cwd, **env):
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT, cwd=folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The `bin` folder of an environment that has the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("empty")
    run(sys.executable, "-m", "venv", folder / "env", cwd=folder)
    bin_folder = folder / "env" / "bin"
    constraints = ("-c", ROOT / "constraints.txt")
    run(bin_folder / "python", "-m", "pip", "install", "-q", *constraints, wheel, cwd=folder)
    return bin_folder


def test_the_wheel_holds_the_package_with_its_types_and_weights(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "avsync/py.typed" in names
    for row in (row for row in list_models() if row.file):
        weights = f"avsync/pretrained/{row.file}"
        assert {weights, weights.replace(".safetensors", ".json")} <= names
    for stem, ends in OTHER_TERMS.items():
        assert {f"avsync/pretrained/{stem}{end}" for end in (*ends, ".LICENSE")} <= names
    (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
    said = zipfile.ZipFile(wheel).read(metadata).decode()
    assert "License-Expression: MIT AND Apache-2.0 AND LicenseRef-face-sync-research\n" in said
    folder = metadata.removesuffix("METADATA") + "licenses"
    notices = (f"avsync/pretrained/{stem}.LICENSE" for stem in OTHER_TERMS)
    assert {f"{folder}/{path}" for path in ("LICENSE", *notices)} <= names
    outside = {name.split("/")[0] for name in names if not name.startswith("avsync")}
    assert not outside


def test_the_wheel_runs_the_demo(installed, tmp_path):
    # Without what would lead back to the checkout, and with a proxy that nobody serves: no network.
    alone = {"PYTHONPATH": "", "PATH": str(installed), "AVSYNC_YUNET": ""}
    alone |= dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    said = run(installed / "avsync", "demo", cwd=tmp_path, **alone)
    assert "The shift was found and repaired." in said
    assert (tmp_path / "avsync-demo" / "report.html").stat().st_size > 10_000
    fixed = run(installed / "avsync", "check", "avsync-demo/fixed.mp4", cwd=tmp_path)
    assert "in tolerance" in fixed


def test_the_installation_is_consistent(installed, tmp_path):
    run(installed / "python", "-m", "pip", "check", cwd=tmp_path)
    code = "import avsync; print(avsync.__file__); print([m.name for m in avsync.list_models()])"
    said = run(installed / "python", "-c", code, cwd=tmp_path)
    assert str(ROOT) not in said and "dense_sync" in said
