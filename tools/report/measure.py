"""Measures an image: what its volumes, packages and files take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import zstandard

from tools.core.text import escaped
from tools.gpt.reader import read_table
from tools.image.digest import sha256
from tools.image.extents import Image
from tools.inspect.listing import holds
from tools.inspect.volumes import is_disk, kind_of, read_file_system
from tools.report.layers import Layers
from tools.report.rights import special_rights
from tools.report.usage import FileUsage, PackageUsage, SpecialRights, Usage, VolumeUsage
from tools.sbom.installed import read_packages
from tools.sbom.owners import file_owners
from tools.tree.compare import printable, type_name
from tools.tree.node import Directory, File, Node, walk

_LEVEL = 3
"""Compression level, the default of zstd(1)."""


@dataclass(slots=True)
class _Found:
    """What was found so far, and what is known of it.

    Attributes:
        installed: packages of all volumes by name, without their files.
        layers: of the files, as `measure` takes them.
    """

    volumes: list[VolumeUsage] = field(default_factory=list)
    files: list[FileUsage] = field(default_factory=list)
    rights: list[SpecialRights] = field(default_factory=list)
    installed: dict[str, PackageUsage] = field(default_factory=dict)
    outside: int = 0
    layers: Layers = field(default_factory=dict)


def measure(
    images: Mapping[str, Image],
    name: str,
    origin: str,
    known: Iterable[PackageUsage] = (),
    layers: Layers | None = None,
) -> Usage:
    """Returns the report on an image.

    Args:
        images: the members of an archive by name, or one image.
        name: of the image, for the report.
        origin: what to call it in messages.
        known: what bills of materials say of the packages; it is taken rather than what the image says.
        layers: the layers that files are from, if that is known.

    Raises:
        UserError: a volume is damaged.
    """
    found = _Found(layers=layers or {})
    for member, image in images.items():
        where = f"{origin}: {member}" if len(images) > 1 else origin
        if is_disk(image):
            _measure_disk(image, where, found)
        else:
            volume = VolumeUsage(name=member if len(images) > 1 else "", holds="", size=image.size, data=0, other=0)
            _measure_volume(image, volume, where, found)
    found.installed |= {each.name: each for each in known if each.name in found.installed}
    return Usage(
        name=name,
        size=sum(image.size for image in images.values()),
        data=sum(image.data_size for image in images.values()),
        outside=found.outside,
        compressed=sum(each.compressed for each in found.volumes),
        volumes=tuple(found.volumes),
        packages=tuple(_with_files(found)),
        files=tuple(found.files),
        rights=tuple(found.rights),
    )


def _measure_disk(disk: Image, origin: str, found: _Found) -> None:
    found.outside += disk.data_size
    for entry in sorted(read_table(disk, origin).entries, key=lambda entry: entry.offset):
        content = disk.slice(entry.offset, entry.size)
        found.outside -= content.data_size
        name = escaped(entry.name)
        volume = VolumeUsage(name=name, number=entry.number, holds="", size=entry.size, data=0, other=0)
        _measure_volume(content, volume, f"{origin}: partition {name}", found)


def _measure_volume(content: Image, volume: VolumeUsage, origin: str, found: _Found) -> None:
    data = content.data_size
    if kind_of(content) is None:
        kind, compressed = holds(content), compressed_size(content)
        found.volumes.append(replace(volume, holds=kind, data=data, other=data, compressed=compressed))
        return
    file_system = read_file_system(content, origin)
    prefix = f"{volume.name}:/" if volume.name else "/"
    files = list(_files(file_system.root, prefix, found.layers.get(volume.name, {})))
    found.files += files
    found.rights += _rights(file_system.root, prefix)
    for package in read_packages(file_system.root, {}):
        found.installed[package.name] = PackageUsage(
            name=package.name,
            version=package.version,
            architecture=package.architecture,
            source=package.source,
            license=package.license,
        )
    end = min(file_system.size, content.size)
    after = content.slice(end, content.size - end)
    in_files = sum(each.data for each in files) if file_system.stored is None else file_system.stored
    found.volumes.append(
        replace(
            volume,
            holds=file_system.kind,
            data=data,
            files=in_files,
            after=after.data_size,
            other=data - in_files - after.data_size,
            compressed=sum(each.compressed for each in files) + compressed_size(after),
        )
    )


def _files(root: Directory, prefix: str, layers: Mapping[str, str]) -> Iterator[FileUsage]:
    """Yields the regular files of a tree; one with several names is yielded under the first of them."""
    owners = file_owners(root)
    links = Counter(node for _, node in walk(root))
    done: set[Node] = set()
    for path, node in walk(root):
        if not isinstance(node, File) or node in done:
            continue
        done.add(node)
        yield FileUsage(
            path=prefix + _shown(path),
            size=node.content.size,
            data=node.content.data_size,
            compressed=compressed_size(node.content),
            sha256=sha256(node.content).hex(),
            links=links[node],
            package=owners.get(path, ""),
            layer=layers.get(printable(path), ""),
        )


def _rights(root: Directory, prefix: str) -> Iterator[SpecialRights]:
    for path, node in walk(root):
        if rights := tuple(special_rights(node)):
            yield SpecialRights(
                path=prefix + _shown(path),
                type=type_name(node),
                mode=f"{node.permissions:04o}",
                uid=node.uid,
                gid=node.gid,
                rights=rights,
            )


def _shown(path: bytes) -> str:
    return printable(path).lstrip("/")


def _with_files(found: _Found) -> Iterator[PackageUsage]:
    """Yields the packages with the sums of their files, and one without a name for all other files."""
    count, data, compressed = Counter[str](), Counter[str](), Counter[str]()
    for each in found.files:
        owner = each.package if each.package in found.installed else ""
        count[owner] += 1
        data[owner] += each.data
        compressed[owner] += each.compressed
    packages = found.installed | ({"": PackageUsage(name="")} if count[""] else {})
    for name, package in sorted(packages.items()):
        yield replace(package, count=count[name], data=data[name], compressed=compressed[name])


def compressed_size(image: Image) -> int:
    """Returns the size of an image's data, compressed as one frame; holes take nothing."""
    if not image.data_size:
        return 0
    compressor = zstandard.ZstdCompressor(level=_LEVEL).compressobj(size=image.data_size)
    size = sum(len(compressor.compress(data)) for _, data in image.chunks())
    return size + len(compressor.flush())
