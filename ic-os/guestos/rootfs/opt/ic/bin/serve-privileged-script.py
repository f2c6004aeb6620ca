#!/usr/bin/python3 -IB
"""Runs a script through sudo for the orchestrator: runs guestos.privileged_scripts."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

from guestos.privilege import SUDO
from guestos.privileged_scripts import main

sys.exit(main(SUDO))
