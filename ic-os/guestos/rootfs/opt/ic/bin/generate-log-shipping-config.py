#!/usr/bin/python3 -IB
"""Writes the configuration by which rsyslog ships the journal: runs guestos.log_shipping."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

from guestos.log_shipping import main

sys.exit(main())
