"""Says where the disk images of a build are, and how to boot one.

Usage: built_images.py EVENTS, where EVENTS is the file that `bazel build --build_event_json_file` wrote. Nothing is
printed where the build had no target of the rules disk_image and upgrade_image.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

_IMAGES = ("disk_image rule", "upgrade_image rule")
_LAUNCHER = "vm-launcher"
"""A tag of the targets of vm_launcher."""


def read(lines: list[str]) -> tuple[Path, list[dict[str, Any]], list[str]]:
    """Returns the root of the workspace, the files of the images that were built, and the labels that boot one.

    https://bazel.build/remote/bep-glossary
    """
    root, kinds, files, launchers = Path(), {}, [], []
    for line in lines:
        event = json.loads(line)
        if "started" in event:
            root = Path(event["started"]["workspaceDirectory"])
        elif "configured" in event:
            kinds[event["id"]["targetConfigured"]["label"]] = event["configured"]["targetKind"]
        elif event.get("completed", {}).get("success"):
            label = event["id"]["targetCompleted"]["label"]
            if kinds.get(label) in _IMAGES:
                files += event["completed"].get("importantOutput", [])
            if _LAUNCHER in event["completed"].get("tag", []):
                launchers.append(label)
    return root, files, launchers


def place(root: Path, file: dict[str, Any]) -> str:
    """Returns the path of an output through the links in the workspace, relative to the current folder."""
    path = root.joinpath(*file["pathPrefix"], file["name"])
    short = root / "bazel-bin" / file["name"]
    if short.exists() and path.exists() and short.samefile(path):
        path = short
    return os.path.relpath(path)


def main(events: str) -> None:
    """Prints the files, one a line, then the commands."""
    root, files, launchers = read(Path(events).read_text().splitlines())
    if not files:
        return
    print("Images:")
    for path in sorted({place(root, file) for file in files}):
        print(f"  {path}")
    if launchers:
        print("Boot one in QEMU with")
    script = os.path.relpath(Path(__file__).with_name("container-run.sh"))
    for label in sorted(set(launchers)):
        print(f"  {script} bazel run {label}")


if __name__ == "__main__":
    main(*sys.argv[1:])
