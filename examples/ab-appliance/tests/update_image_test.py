"""Verifies the signature and the hashes of pieces of an upgrade image, with openssl and GNU tar."""

import hashlib
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

IMAGE, KEY = (str(Path(path).resolve()) for path in sys.argv[1:3])
PRODUCT = sys.argv[3]


def run(*command: str) -> bytes:
    return subprocess.run(command, check=True, capture_output=True).stdout


def member(name: str) -> bytes:
    return run("tar", "--extract", "--to-stdout", "--file", IMAGE, name)


class UpgradeImageTest(unittest.TestCase):
    def test_members(self) -> None:
        names = run("tar", "--list", "--file", IMAGE).decode().split()
        self.assertEqual(names[:2], ["manifest.json", "manifest.json.sig"])
        self.assertEqual(sorted(names[2:]), ["VERSION.TXT", "boot.img", "root.img"])

    def test_signature(self) -> None:
        algorithm, _, value = member("manifest.json.sig").decode().split()
        self.assertEqual(algorithm, "ed25519")
        with tempfile.TemporaryDirectory() as folder:
            manifest, signature = Path(folder, "manifest"), Path(folder, "signature")
            manifest.write_bytes(member("manifest.json"))
            signature.write_bytes(bytes.fromhex(value))
            command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", KEY]
            command += ["-in", str(manifest), "-sigfile", str(signature)]
            self.assertIn(b"Success", run(*command))
            manifest.write_bytes(member("manifest.json").replace(b'"version": "next"', b'"version": "last"'))
            self.assertNotEqual(subprocess.run(command, capture_output=True, check=False).returncode, 0)

    def test_pieces(self) -> None:
        manifest = json.loads(member("manifest.json"))
        self.assertEqual((manifest["product"], manifest["version"]), (PRODUCT, "next"))
        self.assertEqual([entry["name"] for entry in manifest["images"]], ["boot.img", "root.img"])
        for entry in manifest["images"]:
            with self.subTest(entry["name"]):
                content, size = member(entry["name"]), entry["piece_size"]
                self.assertEqual(len(content), entry["size"])
                pieces = [content[start : start + size] for start in range(0, len(content), size)]
                self.assertEqual([hashlib.sha256(piece).hexdigest() for piece in pieces], entry["pieces"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
