"""Installs an update image into the slot that does not run.

The order of the steps guarantees that after a power cut at any time the machine boots the slot that runs now, and that
a slot with an incomplete system is never booted:

. check the machine's state, the image's signature, product and version, and the sizes;
. record in the config store that the slot is being written;
. wipe the head of the slot's var partition, so that the new system cannot open the old /var, and the head of its boot
  partition, so that even a fallback boot cannot start the slot;
. write boot and root; each piece is verified before it is written; the first piece of boot is written last;
. fsync both partitions, and read them back;
. check that boot and root belong to each other;
. record that the slot is ready.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

from guestos import boot_partition, boot_state, booted, journal, rollback, slots, versions
from guestos.boot_state import other
from guestos.environment import Environment
from guestos.errors import GuestError, ImageError, StateError
from guestos.manifest import PIECE_SIZE, Image, Manifest
from guestos.partition import CHUNK, ZEROS, Partition
from guestos.slots import Slot
from guestos.system import read_system
from guestos.update_image import UpdateImage, piece_digest

VAR_HEAD = 16 << 20
"""How much of var is wiped, in bytes: both LUKS2 headers and the key slots (cryptsetup(8), "LUKS2 header")."""


@dataclass(frozen=True, slots=True)
class Target:
    """The slot that is written, and its open partitions."""

    slot: str
    boot: Partition
    root: Partition
    var: Partition


def check_state(environment: Environment) -> str:
    """Returns the slot to install to, which is the one that does not run.

    Raises:
        StateError: the running system is not confirmed, or the next boot is of the other slot.
    """
    current = booted.read(environment.booted).slot
    state = boot_state.read(environment.grubenv)
    if not state.is_confirmed(current):
        raise StateError(
            f"the boot state is {state.describe()}, and slot {current} runs: "
            "an upgrade needs a confirmed system that boots next as well; see manageboot.sh status"
        )
    return other(current)


def install(environment: Environment, update: UpdateImage, slot: str, *, allow_downgrade: bool = False) -> None:
    """Installs an update image. The caller holds the lock of `transitions.locked`.

    Args:
        environment: the machine.
        update: the update image; its signature has been verified.
        slot: the slot to write, from `check_state`.
        allow_downgrade: whether a version below the version floor is accepted.

    Raises:
        ImageError: the image is for another machine, or is damaged.
        BusyError: a partition is in use.
        GuestError: a step failed; if anything was written, the slot is recorded as failed or as installing.
    """
    manifest = update.manifest
    check_purpose(environment, manifest, allow_downgrade=allow_downgrade)
    with _open_target(environment, slot) as target:
        for image, partition in ((manifest.boot, target.boot), (manifest.root, target.root)):
            if image.size > partition.size:
                raise ImageError(f"{image.name} has {image.size} bytes, but {partition.path} only {partition.size}")
        _refuse_running(environment, target)
        known = Slot(
            state=slots.INSTALLING,
            version=manifest.version,
            manifest=manifest.digest,
            root_hash=manifest.root.root_hash or "",
        )
        slots.write(environment, slot, known)
        try:
            slots.write_manifest(environment, slot, manifest.content)
            _write(update, target, booted.read(environment.booted).trust)
        except GuestError as error:
            _record_failure(environment, target, known, error)
            raise
        slots.write(environment, slot, replace(known, state=slots.READY))
    journal.note(f"installed version {manifest.version} in slot {slot}, signed by {os.path.basename(update.key.path)}")


def check_purpose(environment: Environment, manifest: Manifest, *, allow_downgrade: bool) -> None:
    """Checks that an update is for this machine, by all of its identity, and not too old.

    Raises:
        ImageError: it is for another product, variant, architecture, disk layout or mode of trust, or its rollback
            index or version is too low.
    """
    system = read_system(environment)
    for name in ("product", "variant", "architecture", "layout"):
        wanted, given = getattr(system, name), getattr(manifest, name)
        if wanted != given:
            raise ImageError(f"the update is for the {name} {given}, but this system has {wanted}")
    _check_trust(manifest, booted.read(environment.booted).trust)
    index = rollback.floor(environment)
    if manifest.rollback_index < index:
        raise ImageError(
            f"the update has the rollback index {manifest.rollback_index}, and this machine takes none below {index}: "
            "a newer system was confirmed; to go back, build and sign the older system with a higher index"
        )
    floor = versions.floor(environment)
    if floor is not None and versions.key(manifest.version) < versions.key(floor):
        if not allow_downgrade:
            raise ImageError(
                f"the update has version {manifest.version}, which is below this system's version floor {floor}; "
                "--allow-downgrade installs it all the same"
            )
        journal.warn(f"version {manifest.version} is below {floor}, and is installed because of --allow-downgrade")


def _check_trust(manifest: Manifest, trust: str) -> None:
    if manifest.trust != trust:
        raise ImageError(
            f"the update is for the mode of trust {manifest.trust}, but this machine has {trust}, and its boot "
            f"loader would not start the update; install the update image of {trust}"
        )


@contextlib.contextmanager
def _open_target(environment: Environment, slot: str) -> Iterator[Target]:
    with contextlib.ExitStack() as cleanup:
        opened = [
            cleanup.enter_context(Partition(environment.partition(slot, name))) for name in ("boot", "root", "var")
        ]
        yield Target(slot, *opened)


def _refuse_running(environment: Environment, target: Target) -> None:
    """Refuses partitions that are those of the running slot under another path."""
    for partition in (target.boot, target.root, target.var):
        for name in ("boot", "root", "var"):
            running = environment.partition(other(target.slot), name)
            if os.path.exists(running) and os.path.samefile(running, partition.path):
                raise StateError(f"{partition.path}: is {running}, which belongs to the slot that runs")


def _write(update: UpdateImage, target: Target, trust: str) -> None:
    _wipe(target.var, VAR_HEAD)
    _wipe(target.boot, PIECE_SIZE)
    boot, root = update.manifest.boot, update.manifest.root
    head = _write_image(update, boot, target.boot, keep_head=True)
    _write_image(update, root, target.root)
    update.finish()
    for image, partition in ((root, target.root), (boot, target.boot)):
        partition.sync()
        _check_image(image, partition, 1 if image is boot else 0, len(image.pieces))
    target.boot.write(0, head)
    target.boot.sync()
    _check_image(boot, target.boot, 0, 1)
    boot_partition.check(target.boot.path, update.manifest, trust)


def _wipe(partition: Partition, length: int) -> None:
    """Zeroes the first `length` bytes of a partition, and verifies that they read as zeros."""
    length = min(length, partition.size)
    partition.zero(0, length)
    partition.sync()
    for chunk in partition.read_back(0, length):
        if chunk != ZEROS[: len(chunk)]:
            raise GuestError(f"{partition.path}: cannot be wiped: the disk still holds what was there before")


def _write_image(update: UpdateImage, image: Image, partition: Partition, *, keep_head: bool = False) -> bytes:
    """Writes the data of an image and zeroes its holes.

    Args:
        update: the update image.
        image: the image in it that is written.
        partition: where to write it.
        keep_head: whether the first piece is left out, so that the caller can write it later.

    Returns:
        The first piece.
    """
    head = b""
    hole = 0
    for piece in update.pieces(image):
        if piece.offset == 0:
            head = piece.data or bytes(piece.length)
            if keep_head:
                hole = piece.length
                continue
        if piece.data is None:
            continue
        if hole < piece.offset:
            partition.zero(hole, piece.offset - hole)
        partition.write(piece.offset, piece.data)
        hole = piece.offset + piece.length
    if hole < image.size:
        partition.zero(hole, image.size - hole)
    return head


def find_change(environment: Environment, slot: str, manifest: Manifest) -> str | None:
    """Reads all that an installation wrote back from the disk; returns what has changed since, None for nothing.

    Args:
        environment: the machine.
        slot: the slot that was installed.
        manifest: of the update image that it was installed from.

    Raises:
        BusyError: a partition is in use.
        GuestError: a partition cannot be read.
    """
    with _open_target(environment, slot) as target:
        for image, partition in ((manifest.boot, target.boot), (manifest.root, target.root)):
            if image.size > partition.size:
                return f"{partition.path}: is smaller than {image.name}"
            found = first_difference(image, partition, 0, len(image.pieces))
            if found is not None:
                return f"{partition.path}: was changed since the installation, in the MiB from byte {found} on"
        for number, chunk in enumerate(target.var.read_back(0, min(VAR_HEAD, target.var.size))):
            if chunk != ZEROS[: len(chunk)]:
                return (
                    f"{target.var.path}: was written since the installation, in the MiB from byte {number * CHUNK} on"
                )
    return None


def _check_image(image: Image, partition: Partition, begin: int, end: int) -> None:
    """Reads pieces `begin` to `end` back from the disk and compares them with the hashes of an image."""
    found = first_difference(image, partition, begin, end)
    if found is not None:
        raise GuestError(f"{partition.path}: reads back differently from what was written, at byte {found}")


def first_difference(image: Image, partition: Partition, begin: int, end: int) -> int | None:
    """Reads pieces `begin` to `end` back from the disk; returns the offset of the first one with another hash.

    Args:
        image: whose hashes the pieces should have.
        partition: that the image was written to.
        begin: number of the first piece.
        end: number of the piece behind the last one.

    Returns:
        the offset in bytes; None if there is none.

    Raises:
        GuestError: the partition cannot be read.
    """
    chunks = partition.read_back(begin * PIECE_SIZE, min(end * PIECE_SIZE, image.size))
    for index, chunk in enumerate(chunks, begin):
        # Most of an image is zeros, and a comparison is faster than a hash.
        data = None if chunk == ZEROS[: len(chunk)] else chunk
        if piece_digest(data, len(chunk)) != image.pieces[index]:
            return index * PIECE_SIZE
    return None


def _record_failure(environment: Environment, target: Target, known: Slot, error: GuestError) -> None:
    # If this fails too, the slot is still recorded as `installing`, which is never booted.
    with contextlib.suppress(GuestError):
        _wipe(target.boot, PIECE_SIZE)
    with contextlib.suppress(GuestError):
        slots.write(environment, target.slot, replace(known, state=slots.FAILED, problem=str(error)))
