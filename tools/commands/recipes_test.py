"""Tests that a disk made by recipes is the one made by tars, and how little else a changed file makes actions write."""

import functools
import json
import random
from pathlib import Path

import pytest

from tools.commands import compress, disk_image, ext4_image, verity_image
from tools.core.cli import call
from tools.image.rawfile import write_raw
from tools.pieces import kept_digests
from tools.rootfs import image_output
from tools.testing.sample_disk import root_tree
from tools.tree.tar_writer import tar_image

UUID = "8f0c2d4e-5a61-4b7c-9d8e-0f1a2b3c4d5e"
SIZE = 64 << 20
CODECS = ("zst", "gz")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with a base of 30 MiB, an own file and a layout; paths are relative to it."""
    monkeypatch.chdir(tmp_path)
    noise = random.Random(0)
    tree = root_tree("etc/config = 1", *(f"usr/{n} = {noise.randbytes(1 << 19).hex()}" for n in range(30)))
    write_raw(tar_image(tree), "base.tar")
    (tmp_path / "own").write_text("first\n")
    (tmp_path / "partitions.csv").write_text(f"root,2048,{SIZE // 512 + 4096},L,,\n")
    return tmp_path


def run(command, **spec):
    Path("spec.json").write_text(json.dumps(spec))
    assert call(command.main, command.Arguments, "", ["command", "--spec=spec.json"]) == 0


def file_system(name, layers, **spec):
    run(ext4_image, layers=layers, uuid=UUID, size=SIZE, digests=f"{name}.json", **spec)


def hash_tree(name, **spec):
    run(verity_image, uuid=UUID, salt="00", root_hash_file=f"{name}.hash", hash_digests=f"{name}.hashes.json", **spec)


def disk(name, parts):
    partitions = [{"name": "root", "parts": parts}]
    outputs = {f"output_{codec}": f"{name}.tar.{codec}" for codec in CODECS}
    layout = {"layout": "partitions.csv", "disk_guid": UUID}
    run(disk_image, partitions=partitions, output_tar=f"{name}.tar", **layout, **outputs)
    return [Path(f"{name}.tar{suffix}").read_bytes() for suffix in ("", *(f".{codec}" for codec in CODECS))]


def layers():
    return [{"archive": "base.tar"}, {"label": "//:own", "entries": [{"path": "etc/own", "source": "own"}]}]


def disk_by_tars():
    file_system("tar", layers(), output="root.tar")
    hash_tree("tar", input="root.tar", output="hashes.tar")
    parts = [{"image": "root.tar"}, {"image": "hashes.tar", "offset": SIZE}]
    for part in parts:
        for codec in CODECS:
            part[codec] = f"{part['image']}.{codec}"
            run(compress, data=True, input=part["image"], output=part[codec])
    return disk("by_tars", parts)


def base():
    """Makes the base and its compressed data; it doesn't depend on the own file."""
    file_system("base", layers()[:1], partial=True, recipe=True, source=["base.tar"], output="base.recipe")
    for codec in CODECS:
        run(compress, data=True, input="base.recipe", source=["base.tar"], output=f"base.{codec}", digests="base.json")


def disk_by_recipes():
    """Makes the disk over the base; returns its contents, and the size of what else was written."""
    sources = ["base.tar", "own"]
    before = set(Path().iterdir())
    file_system("recipe", layers(), recipe=True, source=sources, output="root.recipe")
    image = {"input": "root.recipe", "source": sources, "digests": "recipe.json"}
    hash_tree("recipe", **image, recipe=True, output="hashes.recipe")
    root = {"image": "root.recipe", "sources": sources}
    hashes = {"image": "hashes.recipe", "offset": SIZE}
    for codec in CODECS:
        below = {"image": "base.recipe", "sources": ["base.tar"], "digests": "base.json", "data": f"base.{codec}"}
        run(compress, data=True, **image, base=below, output=f"root.{codec}.recipe")
        run(compress, data=True, input="hashes.recipe", digests="recipe.hashes.json", output=f"hashes.{codec}")
        root |= {codec: f"root.{codec}.recipe", f"{codec}_sources": [f"base.{codec}"]}
        hashes[codec] = f"hashes.{codec}"
    made = [path for path in Path().iterdir() if path not in before]
    size = sum(path.stat().st_size for path in made)
    contents = disk("by_recipes", [root, hashes])
    for path in made:
        path.unlink()
    return contents, size


def test_same_disk_and_little_else(folder):
    base()
    for content in ("first\n", "a changed file\n" * 100):
        (folder / "own").write_text(content)
        contents, written = disk_by_recipes()
        assert contents == disk_by_tars()
        assert len(contents[0]) > 30 << 20
        assert written < 8 << 20  # of a window of 8 MiB and one of 4 MiB that have the tables, half of the size each


@pytest.mark.parametrize("recipe", [True, False])
def test_a_worker_hashes_what_a_change_is_in(monkeypatch, recipe):
    """Bazel's request has the digest of the base, and not that of the own file, which is a source file."""
    hashed = []
    whole = kept_digests.digest_of
    monkeypatch.setattr(kept_digests, "digest_of", lambda image, number: hashed.append(number) or whole(image, number))
    monkeypatch.setattr(image_output, "is_worker", lambda: True)
    monkeypatch.setattr(image_output, "input_digest", {"base.tar": "digest"}.get)
    monkeypatch.setattr(image_output, "_store", functools.cache(kept_digests.DigestStore))
    recipes = {"recipe": True, "source": ["base.tar", "own"]} if recipe else {}
    file_system("first", layers(), output="first.img", **recipes)
    assert len(hashed) > 30
    hashed.clear()
    Path("own").write_text("second, and longer\n")
    file_system("second", layers(), output="second.img", **recipes)
    assert 1 <= len(hashed) <= 4
    monkeypatch.setattr(image_output, "is_worker", lambda: False)
    file_system("alone", layers(), output="second.img", **recipes)
    assert Path("second.json").read_bytes() == Path("alone.json").read_bytes()
    assert Path("second.json").read_bytes() != Path("first.json").read_bytes()
