"""Makes small package archives, signed with temporary keys."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from tools.testing.debian_packages import build_deb
from tools.testing.oracles import ask

DATE = "Sat, 01 Feb 2025 10:00:00 UTC"


class DebianArchive:
    """An archive: a directory with dists and pool. It signs with keys that it makes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = Path(tempfile.mkdtemp(prefix="gpg", dir="/tmp"))  # a short path, for gpg's socket
        self.pool = folder / "pool"
        self.pool.mkdir(parents=True)

    def gpg(self, *arguments: str) -> str:
        return ask("gpg", "--batch", "--quiet", "--yes", *arguments, GNUPGHOME=str(self.home))

    def make_key(self, name: str) -> str:
        self.gpg("--passphrase", "", "--quick-generate-key", name, "ed25519", "sign", "never")
        return self.gpg("--armor", "--export", name)

    def close(self) -> None:
        """Stops the agent that gpg started."""
        ask("gpgconf", "--kill", "all", GNUPGHOME=str(self.home))
        shutil.rmtree(self.home)

    def add(self, name: str, fields: dict[str, str]) -> None:
        build_deb(self.pool, name, compression="none", fields=fields)
        shutil.rmtree(self.pool / f"{name}.root")

    def publish(
        self, suite: str, *, key: str = "tests", extra: str = "", digest: str = "SHA256", detached: bool = False
    ) -> None:
        """Writes and signs the lists of all packages in the pool.

        Args:
            suite: the directory in dists.
            key: name of the key that signs.
            extra: further lines of the Release file.
            digest: field of the packages' digests, SHA256, SHA512 or MD5sum.
            detached: whether the signature is Release.gpg; there is no InRelease then.
        """
        stanzas = []
        for deb in sorted(self.pool.glob("*.deb")):
            control = ask("dpkg-deb", "--field", deb)
            content = deb.read_bytes()
            value = hashlib.new(digest.lower().removesuffix("sum"), content).hexdigest()
            stanzas.append(f"{control}Filename: pool/{deb.name}\nSize: {len(content)}\n{digest}: {value}\n")
        packages = "\n".join(stanzas).encode()
        folder = self.folder / "dists" / suite
        (folder / "main/binary-amd64").mkdir(parents=True, exist_ok=True)
        (folder / "main/binary-amd64/Packages").write_bytes(packages)
        listed = f"{hashlib.sha256(packages).hexdigest()} {len(packages)} main/binary-amd64/Packages"
        release = f"Suite: {suite}\nCodename: {suite}\nArchitectures: amd64\nComponents: main\nDate: {DATE}\n{extra}"
        (folder / "Release").write_text(f"{release}SHA256:\n {listed}\n")
        form = ("--armor", "--detach-sign") if detached else ("--clearsign",)
        signed = folder / ("Release.gpg" if detached else "InRelease")
        self.gpg("--local-user", key, *form, "--output", str(signed), str(folder / "Release"))
