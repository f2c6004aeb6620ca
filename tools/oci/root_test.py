"""Tests of root trees of OCI images; an extraction by Python's tarfile into a dictionary is the oracle."""

import io
import json
import random
import tarfile
from pathlib import Path

import pytest

from tools.core.errors import UserError
from tools.oci import layout as layout_module
from tools.oci.root import read_root
from tools.testing.oci_layouts import INDEX, MANIFEST, add_document, add_image, layer, write_layout
from tools.testing.small_trees import listing
from tools.tree.node import File, walk


def image(folder, *layers):
    return write_layout(folder / "layout", add_image(folder / "layout", layers))


def read(folder, architecture="x86_64", most=1 << 30):
    scratch = folder.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    return read_root(str(folder), architecture, str(scratch), most)


def refusal(folder, **more):
    with pytest.raises(UserError) as caught:
        read(folder, **more)
    return str(caught.value).replace(str(folder.parent), "")


def test_layers_of_all_compressions_lie_above_each_other(tmp_path):
    layers = layer("a/", "a/b = 1", "keep = k"), layer("a/b = 2"), layer("a/c = 3", "l -> a")
    assert listing(read(image(tmp_path, *layers))) == ["a/", "a/b = 2", "a/c = 3", "keep = k", "l -> a"]


def test_whiteouts(tmp_path):
    lower = layer("d/", "d/x = 1", "d/y = 1", "d/sub/", "d/sub/z = 1", "e/", "e/x = 1", "f = 1")
    upper = layer("d/.wh.sub =", "d/.wh.x =", "e/.wh..wh..opq =", "e/new = 2", ".wh.f =", ".wh..wh.plnk =")
    assert listing(read(image(tmp_path, lower, upper))) == ["d/", "d/y = 1", "e/", "e/new = 2"]


def test_whiteouts_do_not_touch_their_own_layer(tmp_path):
    upper = layer("d/ 700", "d/x = 2", "d/.wh.x =", "d/.wh..wh..opq =")
    assert listing(read(image(tmp_path, layer("d/", "d/x = 1", "d/y = 1"), upper))) == ["d/ 700", "d/x = 2"]


def test_types_replace_each_other(tmp_path):
    lower = layer("a/", "a/b = 1", "c = 1", "l -> a")
    assert listing(read(image(tmp_path, lower, layer("a = 2", "c/", "c/d = 2", "l/")))) == [
        "a = 2", "c/", "c/d = 2", "l/",
    ]  # fmt: skip


def test_paths_lead_through_links_of_lower_layers(tmp_path):
    lower = layer("usr/", "usr/lib/", "usr/lib/a = 1", "lib -> usr/lib", "new -> usr/made")
    upper = layer("lib/b = 2", "lib/.wh.a =", "new/c = 3")
    expected = ["lib -> usr/lib", "new -> usr/made", "usr/", "usr/lib/", "usr/lib/b = 2", "usr/made/", "usr/made/c = 3"]
    assert listing(read(image(tmp_path, lower, upper))) == expected


def test_hard_links_stay(tmp_path):
    root = read(image(tmp_path, layer("a = 1", "b => a", "c => a"), layer("b = 2")))
    assert root.entries[b"a"] is root.entries[b"c"]
    assert listing(root) == ["a = 1", "b = 2", "c = 1"]


def test_the_architecture_chooses_among_images(tmp_path):
    folder = tmp_path / "layout"
    images = [add_image(folder, [layer(f"{name} = 1")], name) for name in ("amd64", "arm64")]
    attestation = images[0] | {"platform": {"os": "unknown", "architecture": "unknown"}}
    nested = add_document(folder, {"schemaVersion": 2, "manifests": [*images, attestation]}, INDEX)
    write_layout(folder, nested)
    assert listing(read(folder)) == ["amd64 = 1"]
    assert listing(read(folder, "aarch64")) == ["arm64 = 1"]
    assert "has no image for linux/riscv64, but linux/amd64, linux/arm64; set" in refusal(
        folder, architecture="riscv64"
    )
    write_layout(folder, images[0], images[0])
    assert refusal(folder) == "/layout/index.json: has 2 images for linux/amd64; give a layout with one"


def test_damaged_layers(tmp_path):
    folder = image(tmp_path, layer("a = 1"), layer("b = 1"))
    for path in (folder / "blobs/sha256").iterdir():
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert "has the digest sha256:" in refusal(folder)
        path.write_bytes(content + b" ")
        assert f"has {len(content) + 1} bytes, not {len(content)} as " in refusal(folder)
        path.unlink()
        assert "cannot be read: No such file or directory; /layout/" in refusal(folder)
        path.write_bytes(content)
    assert listing(read(folder)) == ["a = 1", "b = 1"]


def _changed(folder, change):
    """Changes the manifest of a layout with one image; digests stay right."""
    (descriptor,) = json.loads((folder / "index.json").read_text())["manifests"]
    manifest = json.loads((folder / "blobs" / descriptor["digest"].replace(":", "/")).read_text())
    change(manifest)
    write_layout(folder, add_document(folder, manifest, MANIFEST))
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["layers"].pop(), "has 1 layers, and its configuration 2; make the layout anew"),
        (lambda m: m["layers"].reverse(), "is not the layer that the image's configuration names: "),
        (lambda m: m["layers"][0].update(mediaType="text/plain"), "has a layer of type 'text/plain', which is no tar"),
        (lambda m: m["layers"][0].update(digest="md5:00"), "has the digest 'md5:00', which is neither sha256 nor"),
        (lambda m: m["layers"][0].update(digest="sha256:../../x"), "which is neither sha256 nor sha512"),
        (lambda m: m["layers"][0].update(size="1"), "size is missing or not a number; make the layout anew"),
        (lambda m: m.update(config=[]), "config is missing or not an object"),
    ],
)
def test_invalid_manifests(tmp_path, change, message):
    assert message in refusal(_changed(image(tmp_path, layer("a = 1"), layer("b = 1")), change))


def test_other_folders(tmp_path):
    folder = tmp_path / "layout"
    folder.mkdir()
    assert refusal(folder) == "/layout: is no OCI layout, since it has no file oci-layout; give one, or a tar"
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "2.0"}')
    assert "imageLayoutVersion '2.0' is not supported" in refusal(folder)
    write_layout(folder)
    assert refusal(folder) == (
        "/layout/index.json: has no image for linux/amd64, but no image; set architecture, or give another image"
    )


def test_input_is_bounded(tmp_path, monkeypatch):
    layers = [layer("a = " + "a" * 100_000), layer("b = " + "b" * 100_000), layer("c = 1")]
    folder = image(tmp_path, *layers)
    total = sum(map(len, layers))
    assert listing(read(folder, most=total))
    assert "its layers have more bytes than --max_size" in refusal(folder, most=total - 1)
    assert "bytes when decompressed; if it is intact" in refusal(folder, most=len(layers[0]) - 1)
    circle = {"schemaVersion": 2, "manifests": []}
    for _ in range(9):
        circle["manifests"] = [add_document(folder, circle, INDEX)]
    write_layout(folder, *circle["manifests"])
    assert "leads through more than 8 indexes" in refusal(folder)
    monkeypatch.setattr(layout_module, "MOST_DOCUMENT_BYTES", 10)
    assert "more than the 10 of any manifest" in refusal(folder)


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh..."])
def test_whiteouts_without_a_name(tmp_path, name):
    assert refusal(image(tmp_path, layer(f"d/{name} ="))).endswith("is a whiteout that names no file")


NAMES = ["a", "b", "c"]


def random_layer(generator):
    """Returns lines of a layer; each path occurs once, and nothing is below a file."""
    lines = {}
    for _ in range(generator.randrange(1, 9)):
        parts = [generator.choice(NAMES) for _ in range(generator.randrange(1, 4))]
        folders = ["/".join(parts[:count]) for count in range(1, len(parts))]
        path = "/".join(parts)
        if path in lines or any(not lines.get(each, "/").endswith("/") for each in folders):
            continue
        lines.update({each: f"{each}/" for each in folders})
        kind = generator.choice(["=", "=", "/", ".wh.", ".wh..wh..opq"])
        if kind == "=":
            lines[path] = f"{path} = {generator.randrange(1000)}"
        elif kind == "/":
            lines[path] = f"{path}/"
        else:
            hidden = "/".join([*parts[:-1], kind + (parts[-1] if kind == ".wh." else "")])
            lines[hidden] = f"{hidden} ="
    return list(lines.values())


def remove(files, path):
    for each in [each for each in files if each == path or each.startswith(path + "/")]:
        del files[each]


def hide(files, member):
    """Removes from a dictionary of files what a whiteout names; does nothing for other members."""
    folder, _, name = member.rpartition("/")
    if name == ".wh..wh..opq":
        for each in [each for each in files if not folder or each.startswith(folder + "/")]:
            del files[each]
    elif name.startswith(".wh."):
        remove(files, f"{folder}/{name[4:]}".lstrip("/"))


def extracted(layers):
    """Returns the paths and contents of layers of `random_layer`; directories have the content None."""
    files = {}
    for data in layers:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for name in tar.getnames():
                hide(files, name)
            for member in tar.getmembers():
                if "/.wh." in f"/{member.name}" or (member.isdir() and files.get(member.name, b"") is None):
                    continue
                remove(files, member.name)
                files[member.name] = tar.extractfile(member).read() if member.isfile() else None
    return files


@pytest.mark.parametrize("seed", range(150))
def test_random_layers_are_as_tarfile_extracts_them(tmp_path: Path, seed: int):
    generator = random.Random(seed)
    layers = [layer(*random_layer(generator)) for _ in range(4)]
    root = read(image(tmp_path, *layers))
    found = {
        path.decode(): node.content.read(0, node.content.size) if isinstance(node, File) else None
        for path, node in walk(root)
        if path
    }
    assert found == extracted(layers)
