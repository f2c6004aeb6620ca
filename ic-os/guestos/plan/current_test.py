"""The checked-in plan is what Bazel would do, and complete."""

import json
import os
from pathlib import Path

import pytest

from guestos_tools.plan import fill, read_plan
from guestos_tools.update_plan import PLAN, plan_text

ROOT = Path(__file__).absolute().parents[3]

MNEMONICS = {
    "disk-img.tar": "DiskImage",
    "update-img.tar": "UpgradeImage",
    "update-img.tar.gz": "UpgradeImage",
    "update-img.tar.zst": "UpgradeImage",
}

if "ACTIONS" not in os.environ:
    pytest.skip("needs what Bazel knows: bazel test //ic-os/guestos/plan:current_test", allow_module_level=True)


@pytest.fixture(scope="module")
def plan():
    return read_plan(ROOT / PLAN)


def needed(actions, image):
    """Returns the actions that an image needs, by each of their outputs."""
    found, left = {}, [image]
    while left:
        name = left.pop()
        if name in actions and name not in found:
            found[name] = actions[name]
            left += [*actions[name].references(), *actions[name].outputs]
    return found


def test_plan_is_current():
    made = plan_text(json.loads(Path(os.environ["ACTIONS"]).read_text()))
    assert (ROOT / PLAN).read_text() == made, "write it anew: bazel run //ic-os/guestos/plan:update"


@pytest.mark.parametrize("distribution", ["debian", "ubuntu"])
@pytest.mark.parametrize("variant", ["dev", "prod"])
@pytest.mark.parametrize("name", MNEMONICS)
def test_images_can_be_built_by_the_plan(plan, distribution, variant, name):
    image = f"ic-os/guestos/{variant}/{name}"
    actions = needed(plan.by_output(distribution), image)
    assert {"DebianBaseRoot", "Ext4Image", "Initramfs", "VerityImage"} <= {each.mnemonic for each in actions.values()}
    assert actions[image].mnemonic == MNEMONICS[name]
    for action in actions.values():
        text = json.dumps(fill([action.arguments, action.spec, action.content], lambda name: [f"/{name}"]))
        assert "bazel-out" not in text
        assert "${" not in text
        assert bool(action.module) != (action.content is not None)


@pytest.mark.parametrize("distribution", ["debian", "ubuntu"])
def test_the_loader_finds_its_configuration_where_the_distribution_has_it(plan, distribution):
    esp = plan.by_output(distribution)["ic-os/guestos/bootloader/esp_image.img.tar"]
    paths = [entry["path"] for layer in esp.spec["layers"] for entry in layer["entries"]]
    assert f"/EFI/{distribution}/grub.cfg" in paths


def test_passwords_are_placeholders(plan):
    specs = {name: action.spec for name, action in plan.by_output("debian").items() if action.mnemonic == "Ext4Image"}
    assert specs["ic-os/guestos/dev/rootfs_image.img.recipe"]["accounts"]["passwords"] == {"root": "${password}"}
    assert specs["ic-os/guestos/prod/rootfs_image.img.recipe"]["accounts"]["passwords"] == {}
