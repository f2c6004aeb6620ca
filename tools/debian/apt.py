"""Resolves the package sets of a manifest with apt, which verifies the archives' signatures.

apt runs with its own configuration, sources, keys, package lists and an empty dpkg status, all according to the
manifest. It depends only on the host's apt and on the proxy variables of the environment. See apt-get(8), apt.conf(5),
sources.list(5) and apt-patterns(7).
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from tools.core.errors import UserError
from tools.debian.archive_urls import archive_urls, format_time
from tools.debian.evidence import release_name
from tools.debian.lock import Lock, LockedArchive, LockedPackage
from tools.debian.manifest import Archive, Manifest, PackageSet
from tools.debian.release import Release, parse_release

_SETTINGS = """\
Dir "{root}";
Dir::State::status "{root}/status";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Install-Recommends "false";
APT::Install-Suggests "false";
APT::Sandbox::User "root";
// otherwise apt treats itself as essential
pkgCacheGen::ForceEssential ",";
// otherwise phased updates of Ubuntu depend on the machine
APT::Get::Always-Include-Phased-Updates "true";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::Check-Valid-Until "{check_valid_until}";
// the hash in the lock; by default apt prints the strongest one
Acquire::ForceHash "SHA256";
"""

_PASSED_ON = ("http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to access the archives; not part of the lock.

    Attributes:
        keyrings: directory that the keyrings of the manifest are relative to.
        mirrors: by the name of an archive, the mirror to use instead of its first one.
        check_valid_until: whether package lists that are expired by their Release file (Valid-Until) are an error.
    """

    keyrings: Path
    mirrors: Mapping[str, str] = field(default_factory=dict)
    check_valid_until: bool = True


def resolve(manifest: Manifest, access: Access, scratch: Path) -> Lock:
    """Resolves all sets for all architectures.

    Args:
        manifest: the manifest.
        access: how to access the archives.
        scratch: empty directory; its path must not have spaces or quotes.

    Raises:
        UserError: apt isn't installed or fails: missing package, conflict, invalid signature, no network.
    """
    sets: dict[str, dict[str, list[LockedPackage]]] = {name: {} for name in manifest.sets}
    releases: dict[str, dict[str, Release]] = {}
    files: dict[str, bytes] = {}
    for architecture in manifest.architectures:
        apt = _Apt(manifest, access, scratch / architecture, architecture)
        for name, wanted in manifest.sets.items():
            sets[name][architecture] = apt.resolve(f"sets.{name}", wanted)
        releases, files = apt.releases()
    archives = {name: _lock_archive(archive, releases[name]) for name, archive in manifest.archives.items()}
    return Lock(manifest, archives, sets, files)


def _lock_archive(archive: Archive, releases: Mapping[str, Release]) -> LockedArchive:
    dates = {suite: release.date for suite, release in releases.items()}
    return LockedArchive(
        urls=archive_urls(archive, dates.values()),
        released={suite: format_time(date) for suite, date in dates.items()},
    )


class _Apt:
    """Runs apt for one architecture, in its own directory."""

    def __init__(self, manifest: Manifest, access: Access, root: Path, architecture: str) -> None:
        self._mirrors = {name: access.mirrors.get(name, a.mirrors[0]) for name, a in manifest.archives.items()}
        self._root = root
        for name in ("apt.conf.d", "preferences.d", "sources.list.d"):
            (root / "etc/apt" / name).mkdir(parents=True)
        for name in ("var/lib/apt/lists/partial", "var/cache/apt/archives/partial"):
            (root / name).mkdir(parents=True)
        (root / "status").touch()
        settings = {"architecture": architecture, "check_valid_until": str(access.check_valid_until).lower()}
        (root / "apt.conf").write_text(_SETTINGS.format(root=root, **settings))
        for name, archive in manifest.archives.items():
            self._add_source(name, archive, access.keyrings)
        self._run("apt-get", "update", "--error-on=any")

    def _add_source(self, name: str, archive: Archive, keyrings: Path) -> None:
        keyring = self._root / f"{name}.asc"
        try:
            shutil.copyfile(keyrings / archive.keyring, keyring)
        except OSError as error:
            raise UserError(f"archives.{name}.keyring: {keyrings / archive.keyring}: {error.strerror}") from error
        (self._root / f"etc/apt/sources.list.d/{name}.sources").write_text(
            f"Types: deb\nURIs: {self._mirrors[name]}\nSuites: {' '.join(archive.suites)}\n"
            f"Components: {' '.join(archive.components)}\nSigned-By: {keyring}\n"
        )

    def _run(self, *command: str, what: str = "apt") -> str:
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment |= {"APT_CONFIG": str(self._root / "apt.conf"), "LC_ALL": "C.UTF-8"}
        environment["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
        try:
            result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise UserError(
                f"{command[0]} isn't installed; on Debian and Ubuntu it's in the package apt, elsewhere lock in the "
                "project's container"
            ) from error
        if result.returncode != 0:
            said = [line[3:] for line in result.stderr.splitlines() if line.startswith("E: ")]
            raise UserError(f"{what}: {command[0]} {command[1]} failed: {'; '.join(said) or result.stderr.strip()}")
        return result.stdout

    def resolve(self, what: str, wanted: PackageSet) -> list[LockedPackage]:
        """Resolves one set for an empty system.

        Raises:
            UserError: apt fails.
        """
        provided = f"Provides: {', '.join(wanted.provided)}\n" if wanted.provided else ""
        (self._root / "status").write_text(
            "Package: provided\nStatus: install ok installed\nMaintainer: nobody\nArchitecture: all\nVersion: 1\n"
            f"{provided}Description: what the manifest says is provided\n"
        )
        command = ["install"] if wanted.dependencies else ["download"]
        names = [*(["?essential"] if wanted.essential else []), *wanted.packages]
        try:
            output = self._run("apt-get", *command, "--print-uris", "--yes", "--", *names, what=what)
        except UserError as error:
            raise UserError(f"{error}{self._suggestions(wanted.packages, str(error))}") from error
        return [self._parse(line, what) for line in output.splitlines() if line.startswith("'")]

    def _suggestions(self, wanted: Sequence[str], message: str) -> str:
        """Returns the end of apt's message: names of packages that are similar to those it doesn't find."""
        missing = [name for name in wanted if re.search(rf"Unable to locate package {re.escape(name)}(;|$)", message)]
        known = self._run("apt-cache", "pkgnames").split() if missing else []
        similar = [other for name in missing for other in difflib.get_close_matches(name, known)]
        return f"; did you mean {', '.join(similar)}?" if similar else ""

    def _parse(self, line: str, what: str) -> LockedPackage:
        """Parses a line of --print-uris: quoted URL, file name, size, and algorithm:hash, if the archive has one."""
        url, file, size, hashed = [*shlex.split(line), ""][:4]
        url = _with_authority(url)
        algorithm, _, digest = hashed.partition(":")
        if algorithm != "SHA256":
            raise UserError(
                f"{what}: the archive has no SHA-256 of {file}; use a mirror whose package lists have SHA256"
            )
        name, version, architecture = unquote(file).removesuffix(".deb").split("_")
        matching = [(key, mirror) for key, mirror in self._mirrors.items() if url.startswith(mirror + "/")]
        archive, mirror = max(matching, key=lambda pair: len(pair[1]))
        return LockedPackage(
            name=name,
            version=version,
            architecture=architecture,
            archive=archive,
            path=unquote(url.removeprefix(mirror + "/")),
            sha256=digest,
            size=int(size),
        )

    def releases(self) -> tuple[dict[str, dict[str, Release]], dict[str, bytes]]:
        """Returns the Release files by archive and suite, which apt has verified, and the files as they were signed.

        Raises:
            UserError: apt fails, or a file has no valid date.
        """
        releases: dict[str, dict[str, Release]] = {name: {} for name in self._mirrors}
        files: dict[str, bytes] = {}
        columns = "$(REPO_URI)|$(RELEASE)|$(METAKEY)|$(FILENAME)"
        listed = self._run("apt-get", "indextargets", "--format", columns, "Created-By: Packages")
        for line in listed.splitlines():
            mirror, suite, key, file = line.split("|")
            prefix = file.removesuffix(key.replace("/", "_"))
            for name, asked in self._mirrors.items():
                if asked == _with_authority(mirror).rstrip("/") and suite not in releases[name]:
                    signed = _signed_files(prefix)
                    files |= {f"{release_name(name, suite)}.{suffix}": data for suffix, data in signed.items()}
                    text = next(iter(signed.values())).decode("utf-8", "replace")
                    releases[name][suite] = parse_release(text, f"the Release file of {suite}")
        return releases, files


def _with_authority(url: str) -> str:
    """Returns a URL with file:/path, as apt prints it, replaced by file:///path."""
    return f"file:///{url[6:]}" if url.startswith("file:/") and not url.startswith("file://") else url


def _signed_files(prefix: str) -> dict[str, bytes]:
    """Returns the Release file of the lists with this prefix and its signature, if that is apart, by suffix."""
    if Path(f"{prefix}InRelease").exists():
        return {"InRelease": Path(f"{prefix}InRelease").read_bytes()}
    return {suffix: Path(prefix + suffix).read_bytes() for suffix in ("Release", "Release.gpg")}
