"""Runs a function in a chroot with its own namespaces and a minimal /dev; uses system calls, no tools of the host.

An unprivileged user can map only one user ID in a user namespace, so chown to another owner fails; hence fakeroot in
base_root.py. See user_namespaces(7), mount_namespaces(7) and pid_namespaces(7).
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import stat
import traceback
from collections.abc import Callable
from pathlib import Path

from tools.core.errors import UserError

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUTS = 0x04000000
_CLONE_NEWIPC = 0x08000000
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWPID = 0x20000000
_CLONE_NEWNET = 0x40000000
_CLONE_ALL = _CLONE_NEWNS | _CLONE_NEWUTS | _CLONE_NEWIPC | _CLONE_NEWPID | _CLONE_NEWNET

_MS_NOSUID = 0x2
_MS_NODEV = 0x4
_MS_NOEXEC = 0x8
_MS_BIND = 0x1000
_MS_REC = 0x4000
_MS_PRIVATE = 0x40000
_MNT_DETACH = 0x2
_PR_SET_PDEATHSIG = 1

_DEVICES = {"full": (1, 7), "null": (1, 3), "random": (1, 8), "tty": (5, 0), "urandom": (1, 9), "zero": (1, 5)}
"""Character devices by major and minor number (devices.txt of the Linux kernel)."""

_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}

_libc = ctypes.CDLL(None, use_errno=True)


def _call(what: str, function: Callable[..., int], *arguments: object) -> None:
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source: str, target: Path, kind: str | None, flags: int, options: str | None = None) -> None:
    encoded = [text if text is None else os.fsencode(text) for text in (kind, options)]
    _call(f"mount {target}", _libc.mount, os.fsencode(source), os.fsencode(target), encoded[0], flags, encoded[1])


def _unshare() -> bool:
    """Enters new namespaces, as far as permitted; returns whether private mounts are possible.

    Raises:
        OSError: an unprivileged user isn't permitted to create a user namespace.
    """
    uid, gid = os.geteuid(), os.getegid()
    try:
        _call("unshare", _libc.unshare, _CLONE_NEWUSER | _CLONE_ALL)
    except OSError:
        if uid != 0:
            raise
        # Root in a chroot can create all namespaces but user namespaces; in a container without CAP_SYS_ADMIN none.
        if _libc.unshare(_CLONE_ALL) != 0:
            return False
    else:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    socket.sethostname("localhost")
    # This fails in a chroot, whose root isn't a mount point.
    return bool(_libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None) == 0)


class Devices:
    """/proc and a minimal /dev in a root: mounted, or created in its file system if mounts are not permitted."""

    def __init__(self, root: Path, *, mounts: bool) -> None:
        self._mounts = mounts
        for folder in ("dev", "proc"):
            (root / folder).mkdir(mode=0o755, exist_ok=True)
        if mounts:
            self._mount(root)
        else:
            for name, (major, minor) in _DEVICES.items():
                os.mknod(root / "dev" / name, stat.S_IFCHR | 0o666, os.makedev(major, minor))
                (root / "dev" / name).chmod(0o666)
        for name, target in _LINKS.items():
            (root / "dev" / name).symlink_to(target)

    @staticmethod
    def _mount(root: Path) -> None:
        _mount("tmpfs", root / "dev", "tmpfs", _MS_NOSUID, "mode=755,size=1m")
        for name in _DEVICES:
            node = root / "dev" / name
            node.touch()
            _mount(f"/dev/{name}", node, None, _MS_BIND)
        try:
            _mount("proc", root / "proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
        except OSError:  # not permitted if parts of the outer /proc are hidden
            _mount("/proc", root / "proc", None, _MS_BIND | _MS_REC)

    def remove(self) -> None:
        """Removes them; called after the chroot, before the root is packed."""
        if self._mounts:
            for folder in (b"/dev", b"/proc"):
                _call("umount", _libc.umount2, folder, _MNT_DETACH)
            return
        for name in (*_DEVICES, *_LINKS):
            Path("/dev", name).unlink()


def _enter(root: Path, memory: int, *, mounts: bool) -> Devices:
    """Creates /proc and /dev, and makes `root` the root directory of this process."""
    os.umask(0o022)
    if mounts and memory:
        _mount("tmpfs", root, "tmpfs", _MS_NOSUID | _MS_NODEV, f"mode=755,size={memory}")
    devices = Devices(root, mounts=mounts)
    os.chroot(root)
    os.chdir("/")
    return devices


def _child(root: Path, memory: int, work: Callable[[Devices], None], report: int) -> None:
    """Runs in the forked process: enters namespaces, then forks the first process of the PID namespace."""
    _call("prctl", _libc.prctl, _PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        mounts = _unshare()
        inner = os.fork()
        if inner:
            os.waitpid(inner, 0)
            return
        _call("prctl", _libc.prctl, _PR_SET_PDEATHSIG, signal.SIGKILL)
        devices = _enter(root, memory, mounts=mounts)
    except OSError as error:
        os.write(report, f"n{error}".encode())
        return
    try:
        work(devices)
    except (OSError, UserError) as error:
        os.write(report, f"u{error}".encode())
    except BaseException:  # reported by the parent
        os.write(report, f"t{traceback.format_exc()}".encode())
    else:
        os.write(report, b"d")


def run_in_root(root: Path, work: Callable[[Devices], None], memory: int = 0) -> None:
    """Runs a function in a child process with the root directory `root`, and waits for it.

    The function runs as root, in new namespaces for users, mounts, processes, host name and network (without
    interfaces). If root isn't permitted to create namespaces, it is only a chroot. /dev and /proc exist. Python modules
    must be imported and files of the host opened before. With namespaces, all its processes end with it.

    Args:
        root: existing directory, on a file system with permissions.
        work: the function; its argument are /dev and /proc, to be removed when they are no longer needed.
        memory: bytes that the root's files may take in a file system in memory; 0 leaves them on disk, as does a
            machine that doesn't permit mounts.

    Raises:
        UserError: the function raised it or an OSError, its process was killed, or this machine permits neither
            namespaces nor chroot.
    """
    reader, report = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            _child(root, memory, work, report)
        finally:
            os._exit(0)
    os.close(report)
    try:
        with open(reader, "rb") as stream:
            kind, message = stream.read(1), stream.read().decode()
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        os.waitpid(child, 0)
    if kind == b"d":
        return
    if kind == b"u":
        raise UserError(message)
    if kind == b"n":
        raise UserError(
            f"cannot create namespaces for the packages ({message}): allow user namespaces (sysctl "
            "kernel.unprivileged_userns_clone=1; on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0), or build "
            "as root or in the project's container, or take the result from a remote cache"
        )
    if not kind:
        raise UserError(
            "the process that installs the packages was killed; if it was for want of memory, which dmesg says, build "
            "fewer targets at once (--jobs), or on a machine with more memory"
        )
    raise RuntimeError(message)
