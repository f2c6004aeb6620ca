#!/usr/bin/python3 -IBS
"""Runs a session of SSH; sshd starts it instead of a shell or a command: runs guestos.ssh_session."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

from guestos.ssh_session import main

sys.exit(main())
