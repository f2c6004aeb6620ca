#!/usr/bin/python3 -IB
"""Checks and copies the header of an encrypted volume: runs guestos.luks_header."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

from guestos.luks_header import main

sys.exit(main(sys.argv[1:]))
