"""Stand-ins for the programs of a release, for tests of the system; they are not part of the Internet Computer.

They demand of the system what the programs of a release demand: flags, configuration, sockets, owners and modes,
scripts. They use it as those do. Nothing else is there: no consensus, no cryptography and no registry.
"""

NOTICE = "stand-in of the reference payload; not a program of the Internet Computer"
