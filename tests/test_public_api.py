"""Every package exports its public names, imported when first used."""

import importlib
import subprocess
import sys

import pytest
from structure import PACKAGE

PACKAGES = sorted(
    ".".join(stub.parent.relative_to(PACKAGE.parent).parts) for stub in PACKAGE.rglob("*.pyi")
)
# Packages whose parent exports what is public.
PRIVATE = {
    "avsync.encoders.pretrained",
    *(
        f"avsync.training.recipes.{task}"
        for task in ("lipreading", "separation", "sync", "talking")
    ),
}


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_resolves_and_is_no_submodule_by_accident(name):
    package = importlib.import_module(name)
    folder = PACKAGE.parent.joinpath(*name.split("."))
    modules = {path.stem for path in folder.iterdir() if path.suffix == ".py"}
    assert package.__all__
    assert not modules & set(package.__all__), "a module would hide the name"
    for public in package.__all__:
        assert getattr(package, public) is not None


def test_every_package_has_a_front_door():
    folders = {path.parent for path in PACKAGE.rglob("__init__.py")}
    names = {".".join(folder.relative_to(PACKAGE.parent).parts) for folder in folders}
    assert names - set(PACKAGES) == PRIVATE


def test_importing_packages_loads_nothing_heavy():
    code = f"""
import importlib, sys
for name in {PACKAGES!r}:
    importlib.import_module(name)
heavy = {{"torch", "torchaudio", "cv2", "av", "scipy", "jinja2"}} & set(sys.modules)
sys.exit(" ".join(heavy) or 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
