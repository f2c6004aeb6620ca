"""Builds small update images with the tools that build the real ones."""

from __future__ import annotations

import functools
import hashlib
import random
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tools.commands.boot_args import environment_block
from tools.image.compressed_file import write_compressed
from tools.image.compression import Gzip, Zstd
from tools.image.extents import Data, Extent, Image
from tools.image.rawfile import write_raw
from tools.pe.uki import Parts, unified_kernel_image
from tools.tar.sparse_archive import Archive, Member, archive_of
from tools.testing.oracles import oracle
from tools.testing.pe_files import kernel as sample_kernel
from tools.testing.pe_files import pe_file
from tools.testing.sample_disk import ext4
from tools.tree.node import Directory, File, Symlink
from tools.upgrade import signing
from tools.upgrade.manifest import DISTRIBUTION, OWN_KEYS, Manifest, describe_image, encode

MIB = 1 << 20
LAYOUT = b"4 A_boot ddf618fe-7244-b446-a175-3296e6b9d02e\n"
"""The list of partitions that the initramfs of the machines in tests writes."""
REASONS = ("damaged", "fallback", "first_boot", "stable")
"""The names of links in a boot partition in own-key mode."""
_HASH_OFFSET = 3 << 30
"""The offset of the hash tree in a root partition, in bytes."""


@functools.cache
def make_key(folder: Path, name: str) -> Path:
    """Creates a key pair, NAME.key.pem and NAME.pem; returns the path of the private key."""
    private, public = folder / f"{name}.key.pem", folder / f"{name}.pem"
    openssl = oracle("openssl")
    subprocess.run([openssl, "genpkey", "-algorithm", "ed25519", "-out", private], check=True, capture_output=True)
    subprocess.run([openssl, "pkey", "-in", private, "-pubout", "-out", public], check=True, capture_output=True)
    return private


def root_image(seed: str, size: int = 7 * MIB) -> Image:
    """Returns an image with data, with small and large holes, and with a last piece that is shorter."""
    noise = random.Random(seed)
    places = [0, MIB - 4096, MIB + 8192, 3 * MIB, 5 * MIB + 512 * 1024, size - 4096]
    return Image(size, [Extent(place, 4096, Data(noise.randbytes(4096))) for place in places])


@dataclass(frozen=True)
class Kernel:
    """A kernel and its initramfs."""

    program: Image
    initramfs: Image


def boot_image(version: str, root_hash: str, kernel: Kernel | None = None) -> Image:
    """Returns the file system of a boot partition; without `kernel`, with random bytes for one."""
    noise = random.Random(version)
    kernel = kernel or Kernel(Image.from_bytes(noise.randbytes(MIB + 5000)), Image.from_bytes(b""))
    return _boot_partition(
        version,
        {
            b"extra_boot_args": Image.from_bytes(environment_block(_arguments(root_hash))),
            b"vmlinuz": kernel.program,
            b"initrd.img": kernel.initramfs,
        },
    )


@dataclass(frozen=True)
class SignedKernel:
    """A kernel and its initramfs, as parts of a signed image.

    Attributes:
        program: the kernel.
        initramfs: its initial RAM file system.
        stub: systemd's stub.
        sign: returns the image with a signature for the firmware, and its signature for the boot loader.
    """

    program: Image
    initramfs: Image
    stub: Image
    sign: Callable[[Image], tuple[Image, bytes]]


def sample_signed_kernel(version: str) -> SignedKernel:
    """Returns a kernel that cannot start, and whose signature nothing verifies."""
    return SignedKernel(
        program=Image.from_bytes(sample_kernel()),
        initramfs=Image.from_bytes(random.Random(version).randbytes(MIB + 5000)),
        stub=Image.from_bytes(pe_file()),
        sign=lambda image: (image, b"signature"),
    )


def signed_boot_image(
    version: str, root_hash: str, rollback_index: int, reasons: Sequence[str], kernel: SignedKernel | None = None
) -> Image:
    """Returns the file system of a boot partition in own-key mode."""
    kernel = kernel or sample_signed_kernel(version)
    image, signature = kernel.sign(
        unified_kernel_image(
            Parts(
                stub=kernel.stub,
                kernel=kernel.program,
                initrd=kernel.initramfs,
                os_release=Image.from_bytes(b"ID=guestos\n"),
                words=[*_arguments(root_hash), f"dfinity.rollback_index={rollback_index}"],
            )
        )
    )
    return _boot_partition(version, {b"uki.efi": image, b"uki.efi.sig": Image.from_bytes(signature)}, reasons)


def _arguments(root_hash: str) -> list[str]:
    return [f"dfinity.hash_offset={_HASH_OFFSET}", f"dfinity.root_hash={root_hash}"]


def _boot_partition(version: str, files: dict[bytes, Image], reasons: Sequence[str] = ()) -> Image:
    files = {b"version.txt": Image.from_bytes(f"{version}\n".encode()), **files}
    root = Directory()
    for name, content in files.items():
        root.entries[name] = File(content=content)
    for reason in reasons:
        root.entries[reason.encode()] = Symlink(target=b".")
    return ext4(root, size=(sum(content.size for content in files.values()) // MIB + 3) * MIB)


@dataclass(frozen=True)
class Update:
    """A description of an update image, which `write` builds; `but` returns a variation."""

    keys: Path
    version: str = "1.2.4"
    rollback_index: int = 0
    product: str = "guestos"
    variant: str = "dev"
    architecture: str = "x86_64"
    layout: str | None = hashlib.sha256(LAYOUT).hexdigest()
    signers: Sequence[str] = ("test",)
    root: Image | None = None
    kernel: Kernel | None = None
    signed_kernel: SignedKernel | None = None
    root_hash: str = ""
    boot_root_hash: str = ""
    boot_version: str = ""
    boot_rollback_index: int | None = None
    boot_reasons: Sequence[str] = REASONS
    own_keys: bool = False
    trust: str = ""
    change_manifest: Callable[[bytes], bytes] = field(default=lambda data: data)
    change_members: Callable[[list[Member]], list[Member]] = field(default=lambda members: members)

    def but(self, **changes: object) -> Update:
        """Returns a copy with other values."""
        return replace(self, **changes)

    @functools.cached_property
    def images(self) -> tuple[Image, Image]:
        """The images of boot and root partition."""
        version, root_hash = self.boot_version or self.version, self.boot_root_hash or self.hash
        if self.own_keys:
            index = self.rollback_index if self.boot_rollback_index is None else self.boot_rollback_index
            boot = signed_boot_image(version, root_hash, index, self.boot_reasons, self.signed_kernel)
        else:
            boot = boot_image(version, root_hash, self.kernel)
        return boot, self.root or root_image(self.version)

    @property
    def hash(self) -> str:
        """The root hash in the manifest."""
        return self.root_hash or hashlib.sha256(self.version.encode()).hexdigest()

    @functools.cached_property
    def manifest(self) -> bytes:
        """The bytes of the manifest, before `change_manifest`."""
        boot, root = self.images
        return encode(
            Manifest(
                product=self.product,
                variant=self.variant,
                architecture=self.architecture,
                layout=self.layout,
                version=self.version,
                rollback_index=self.rollback_index,
                trust=self.trust or (OWN_KEYS if self.own_keys else DISTRIBUTION),
                images=(describe_image("boot.img", boot), describe_image("root.img", root, self.hash)),
            )
        )

    def signatures(self, manifest: bytes) -> bytes:
        """Returns the content of the file of signatures for a manifest."""
        path = self.keys / "manifest.json"
        path.write_bytes(manifest)
        return signing.encode([signing.sign(str(path), str(make_key(self.keys, name))) for name in self.signers])

    def archive(self) -> Archive:
        """Returns the update image."""
        manifest = self.change_manifest(self.manifest)
        boot, root = self.images
        members = [Member.of("manifest.json", Image.from_bytes(manifest))]
        if self.signers:
            members.append(Member.of("manifest.json.sig", Image.from_bytes(self.signatures(manifest))))
        members += [Member.of("boot.img", boot), Member.of("root.img", root)]
        members.append(Member.of("VERSION.TXT", Image.from_bytes(f"{self.version}\n".encode())))
        return archive_of(self.change_members(members))

    def write(self, path: Path, kind: str = "tar") -> Path:
        """Writes the update image, as `tar`, `gz` or `zst`, and returns its path."""
        image = self.archive().image
        if kind == "tar":
            write_raw(image, path)
        else:
            write_compressed(image, path, Gzip() if kind == "gz" else Zstd())
        return path

    def unpack(self, folder: Path) -> Path:
        """Writes the members of the update image as files and returns their directory."""
        folder.mkdir()
        boot, root = self.images
        write_raw(boot, folder / "boot.img")
        write_raw(root, folder / "root.img")
        manifest = self.change_manifest(self.manifest)
        (folder / "manifest.json").write_bytes(manifest)
        (folder / "manifest.json.sig").write_bytes(self.signatures(manifest))
        return folder
