#!/usr/bin/python3 -IB
"""Imports the bootstrap configuration: runs guestos.bootstrap."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

from guestos.bootstrap import main

sys.exit(main())
