"""Whether the scripts understand the BUILD files of the GuestOS, without building anything."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.buildfiles.values import DEFAULT_INFO, PROGRAM_INFO, Depset, File, Label, Struct, Target
from tools.buildfiles.workspace import Workspace
from tools.core.errors import UserError
from tools.testing.oracles import oracle

ROOT = Path(__file__).absolute().parents[3]
MISSING = re.compile(r"^//(.*):(.*): is neither declared in .* nor a file$")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The BUILD and source files of the checkout: its own ones, or the links to them that Bazel has for lint."""
    folder = tmp_path_factory.mktemp("checkout")
    if "CHECKOUT" in os.environ:
        index = Path.cwd().parent / os.environ["CHECKOUT"]
        paths = [path for kind in json.loads(index.read_text()).values() for path in kind]
        sources = {path: index.parent / f"{path}.file" for path in paths}
    else:
        listed = subprocess.run([oracle("git"), "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
        sources = {path: ROOT / path for path in listed.stdout.splitlines() if (ROOT / path).is_file()}
    for path, source in sources.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / path)
    return folder


def packages(workspace, label):
    """Stands in for a set of packages."""
    providers = Struct(**workspace.module(Label("", "defs/private", "debian_providers.bzl")))
    deb = File(f"/{label.name}.deb", label, f"{label.name}.deb")
    info = providers.DebianPackageInfo(architecture="amd64", deb=deb, name="a", version="1")
    return Target(
        label, [DEFAULT_INFO(files=Depset([deb])), providers.DebianPackagesInfo(packages=[info], provided=[])]
    )


def wheels(_workspace, label):
    return Target(label, [PROGRAM_INFO(module="", sources=Depset(), wheels=Depset([label.name]))])


def analyze(checkout, label):
    """Analyzes a target; files that lint doesn't read are made as they are asked for, since nobody reads them here."""
    while True:
        repositories = {"trixie": packages, "noble": packages, "pypi": wheels}
        workspace = Workspace(checkout, checkout / "out", repositories=repositories)
        try:
            return workspace, workspace.analyze(label)
        except UserError as error:
            match = MISSING.match(str(error))
            if not match or "CHECKOUT" not in os.environ:
                raise
            path = checkout / match[1] / match[2]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


@pytest.mark.parametrize("variant", ["dev", "prod"])
@pytest.mark.parametrize("name", ["disk-img.tar", "update-img.tar"])
def test_images_can_be_built_without_bazel(checkout, variant, name):
    workspace, target = analyze(checkout, Label("", f"ic-os/guestos/{variant}", name))
    (file,) = target.files()
    assert file.basename == name
    made = {action.mnemonic for action in workspace.actions.values()}
    assert {"DebianBaseRoot", "Ext4Image", "Initramfs", "VerityImage"} <= made
    assert workspace.actions[file].mnemonic == {"disk-img.tar": "DiskImage", "update-img.tar": "UpgradeImage"}[name]


@pytest.mark.parametrize("program", ["//tools/commands:image_extract", "//tools/commands:raw_disk"])
def test_programs_that_scripts_run_are_there(checkout, program):
    _, target = analyze(checkout, Label.parse(program))
    assert target[PROGRAM_INFO].module == program.removeprefix("//").replace(":", ".")
    assert target[PROGRAM_INFO].wheels.to_list()
