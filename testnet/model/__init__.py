"""A model of a roll-out over a fleet that is too large to boot: how long it takes, what it loads, what stops it."""
