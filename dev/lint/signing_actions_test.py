"""Actions that sign are declared so that the private key stays on the machine, and in no worker's memory."""

import re

from dev.lint.listing import listed_files

SIGNING = {
    "GrubSignature",
    "PcrSignature",
    "SecureBootKeys",
    "SecureBootSignature",
    "UpgradeSignature",
    "VeritySignatureImage",
}
"""Mnemonics of the actions that take a private key."""

RULE = re.compile(r"^defs/private/\w+\.bzl$")
CALL = re.compile(r"^ *(?:\w+ = )?(?:command_action|sign)\((.*?)\n(?: {0,4}\S|$)", re.MULTILINE | re.DOTALL)


def test_the_key_stays_here():
    files = [file.read_text() for path, file in listed_files().items() if RULE.match(path)]
    calls = [call for text in files for call in CALL.findall(text)]
    found = {mnemonic: call for call in calls for mnemonic in SIGNING if f'"{mnemonic}"' in call}
    assert found.keys() == SIGNING
    (signer,) = (text for text in files if "\ndef sign(" in text)
    assert re.search(r"command_action\(ctx, mnemonic, .*SIGNING_REQUIREMENTS\)", signer)
    through_signer = {"GrubSignature", "VeritySignatureImage"}
    assert {name for name, call in found.items() if "SIGNING_REQUIREMENTS" not in call} == through_signer
