"""The command line of BuildGrid."""

from buildgrid.server.app import cli  # type: ignore[import-not-found]

if __name__ == "__main__":
    cli()
