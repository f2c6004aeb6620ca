"""What a machine takes from a bootstrap medium, by its variant and its keys.

A machine of dev takes everything. One of any other variant lets no medium make it behave wrongly, trust another
network, or let root in; and a medium that is refused counts as its first boot. An image with bootstrap keys, public
keys in the form of update keys, takes an archive only if one of them has signed it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from guestos import dates, update_keys
from guestos.environment import Environment
from guestos.system import read_variant
from guestos.update_keys import Trust

FOLDER = "bootstrap-keys"
"""Directory of the image with the keys that sign media."""

ACCOUNT_KEYS = "accounts_ssh_authorized_keys"
"""A directory with a file of public SSH keys for each account that may log in; the file has the account's name."""

_FOR_TESTS = frozenset({(ACCOUNT_KEYS, "root"), ("malicious_behavior.conf",), ("nns_public_key_override.pem",)})
"""Members that only machines for development take."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What is taken from a medium; by default everything.

    Attributes:
        left_out: paths of members that are not taken.
        reason: why they are not, for messages.
        closes_after_problems: whether a medium that is refused closes the first boot.
        trust: what signatures are verified with; None if media need no signature.
    """

    left_out: frozenset[tuple[str, ...]] = frozenset()
    reason: str = ""
    closes_after_problems: bool = False
    trust: Trust | None = None

    def leaves_out(self, path: tuple[str, ...]) -> bool:
        """Returns whether a member of the archive is not taken."""
        return path in self.left_out


EVERYTHING = Policy()


def read_policy(environment: Environment) -> Policy:
    """Returns the policy of the running system.

    Raises:
        GuestError: the variant or a key cannot be read.
    """
    variant = read_variant(environment)
    keys = update_keys.read_keys(os.path.join(environment.share, FOLDER))
    trust = Trust(keys, dates.today(environment)) if keys.trusted else None
    if variant == "dev":
        return Policy(trust=trust)
    return Policy(_FOR_TESTS, f"{variant} does not take it from a medium", closes_after_problems=True, trust=trust)
