#!/usr/bin/python3 -IB
"""Configures the network: runs guestos.network."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

from guestos.network import main

sys.exit(main())
