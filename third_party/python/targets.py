"""The interpreters and machines for which a lock has wheels."""

from __future__ import annotations

from dataclasses import dataclass

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
CPUS = ("x86_64", "aarch64")

# Newest glibc that wheels may require: the oldest of supported distributions (RHEL 8; Debian 11 has 2.31).
GLIBC = (2, 28)

# Platform tags before PEP 600 by their glibc version.
_LEGACY_TAGS = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}
# First glibc that supports the machine.
_OLDEST_GLIBC = {"x86_64": (2, 5), "aarch64": (2, 17)}


@dataclass(frozen=True, slots=True)
class Target:
    """A minor version of CPython on a type of machine, under Linux with glibc.

    Attributes:
        python: minor version, such as "3.11".
        cpu: machine as in platform tags of wheels, such as "x86_64".
    """

    python: str
    cpu: str

    def __str__(self) -> str:
        return f"CPython {self.python} on {self.cpu}"

    def platforms(self) -> list[str]:
        """Returns the platform tags that the machine supports, in order of preference (PEP 600)."""
        tags = []
        major, newest = GLIBC
        for minor in range(newest, _OLDEST_GLIBC[self.cpu][1] - 1, -1):
            tags.append(f"manylinux_{major}_{minor}_{self.cpu}")
            if legacy := _LEGACY_TAGS.get((major, minor)):
                tags.append(f"{legacy}_{self.cpu}")
        return [*tags, f"linux_{self.cpu}"]

    def pip_arguments(self) -> list[str]:
        """Returns pip's options for this target."""
        abi = "cp" + self.python.replace(".", "")
        arguments = ["--implementation=cp", f"--python-version={self.python}", f"--abi={abi}"]
        return arguments + [f"--platform={tag}" for tag in self.platforms()]

    def environment(self) -> dict[str, str]:
        """Returns the values of all environment markers (PEP 508).

        Release and version of the kernel are empty, since a lock must not depend on them.
        """
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": self.cpu,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }


def all_targets() -> list[Target]:
    """Returns all targets, with the oldest Python first, since newer ones mostly support the same versions."""
    return [Target(python, cpu) for python in PYTHONS for cpu in CPUS]
