import json
import os
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent

BAZEL = """#!/bin/bash
echo "$*" >"$ROOT/arguments"
for argument; do
    case $argument in --build_event_json_file=*) file=${argument#*=} ;; esac
done
cp "$ROOT/events" "$file"
echo "$file" >"$ROOT/file"
exit "${STATUS:-0}"
"""


def target(label, kind, files=(), tags=(), success=True):
    """Returns the events of a target."""
    package = label[2:].split(":")[0]
    outputs = [{"name": f"{package}/{file}", "pathPrefix": ["bazel-out", "k8-fastbuild", "bin"]} for file in files]
    completed = {"success": True, "importantOutput": outputs, "tag": list(tags)} if success else {}
    return [
        {"id": {"targetConfigured": {"label": label}}, "configured": {"targetKind": kind}},
        {"id": {"targetCompleted": {"label": label}}, "completed": completed},
    ]


@pytest.fixture
def build(tmp_path):
    """Runs the script with a Bazel that tells of the events given; returns what it exits with and says."""
    outputs = tmp_path / "outputs" / "k8-fastbuild" / "bin" / "os"
    outputs.mkdir(parents=True)
    (outputs / "disk.tar").touch()
    (tmp_path / "bazel-out").symlink_to(tmp_path / "outputs")
    (tmp_path / "bazel-bin").symlink_to(outputs.parent)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "bazel").write_text(BAZEL)
    (tmp_path / "bin" / "bazel").chmod(0o755)

    def run(events, *arguments, **environment):
        started = {"id": {"started": {}}, "started": {"workspaceDirectory": str(tmp_path)}}
        (tmp_path / "events").write_text("".join(json.dumps(event) + "\n" for event in [started, *events]))
        environment |= {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "ROOT": str(tmp_path)}
        command = [HERE / "run-bazel.sh", "bazel", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
        assert not Path((tmp_path / "file").read_text().strip()).exists()
        return done.returncode, done.stdout, done.stderr

    return run


SAID = """\
Images:
  bazel-bin/os/disk.tar
  bazel-out/k8-fastbuild/bin/os/disk.tar.zst
  bazel-out/k8-fastbuild/bin/os/update.tar
Boot one in QEMU with
  {} bazel run //os:launch
"""


def test_images_and_how_to_boot_them_are_named(build, tmp_path):
    events = target("//os:disk", "disk_image rule", ["disk.tar", "disk.tar.zst"])
    events += target("//os:launch", "py_binary rule", ["launch"], ["vm-launcher"])
    events += target("//os:update", "upgrade_image rule", ["update.tar"])
    events += target("//os:tool", "py_binary rule", ["tool"])
    assert build(events, "build", "//os/...") == (
        0,
        "",
        SAID.format(os.path.relpath(HERE / "container-run.sh", tmp_path)),
    )


def test_images_that_were_not_built_are_not_named(build):
    events = target("//os:other", "disk_image rule", ["disk.tar"], success=False)
    assert build([*events, *target("//os:tool", "py_binary rule", ["tool"])], "build", "//os/...") == (0, "", "")


def test_bazel_gets_its_arguments_and_its_status_is_handed_on(build, tmp_path):
    events = target("//os:disk", "disk_image rule", ["disk.tar"])
    assert build(events, "--nohome_rc", "build", "--color=no", "build", STATUS="8") == (8, "", "")
    first, second, third, *rest = (tmp_path / "arguments").read_text().split()
    assert [first, second, *rest] == ["--nohome_rc", "build", "--color=no", "build"]
    assert third.startswith("--build_event_json_file=")
