"""What Bazel reserves for actions that need more than one processor or little memory."""

def threaded_resources(_os, _inputs):
    """Returns the resources of an action whose command compresses or hashes in threads.

    Such a command has a thread for each processor, but at most 4 (`MOST_THREADS` of tools/core/parallel.py), and needs
    96 MiB for the pieces that they work on. On a machine with fewer processors it runs alone.
    """
    return {"cpu": 4, "memory": 256}

def installation_resources(_os, _inputs):
    """Returns the resources of an action that installs packages into a root in memory.

    The files of 230 packages take 440 MiB, as the packages say, and the packages that are decompressed ahead of dpkg as
    much at most. A command that finds too little available memory works on disk. While dpkg unpacks, two threads
    decompress.
    """
    return {"cpu": 2, "memory": 1024}
