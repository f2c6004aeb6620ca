"""Counts the tests of a run: those of a log that closes with `N passed, N failed`, and those of Bazel's reports.

Usage: count_tests.py LOG… EVENTS, where EVENTS is the file that `bazel test --build_event_json_file` wrote. Reports of
results that were cached count as well, reports that earlier runs left in `bazel-testlogs` do not. The last line printed
counts all tests; the exit status is 1 if one failed.
"""

import json
import re
import sys
from pathlib import Path
from urllib.parse import unquote, urlparse
from xml.etree import ElementTree as ET


def of_log(log: Path) -> tuple[int, int, int]:
    """Returns the numbers of passed, failed and skipped tests that a log's last line gives."""
    lines = log.read_text().splitlines()
    counts = re.fullmatch(r"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?", lines[-1]) if lines else None
    if not counts:
        sys.exit(f"{log}: doesn't close with a line that counts the tests: the run was cut short")
    passed, failed, skipped = (int(count or 0) for count in counts.groups())
    return passed, failed, skipped


def of_report(report: Path) -> tuple[int, int, int]:
    """Returns the same of one test.xml of Bazel, which takes a test without a report of its own for one case."""
    passed = failed = skipped = 0
    for case in ET.parse(report).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
            print(f"failed: {report.parent}: {case.get('name')}")
        elif (skip := case.find("skipped")) is not None:
            skipped += 1
            print(f"skipped: {report.parent}: {case.get('name')}: {skip.get('message')}")
        else:
            passed += 1
    return passed, failed, skipped


def reports(events: Path) -> tuple[list[Path], int]:
    """Returns the reports that a file of build events names, and how many of them are cached ones.

    https://bazel.build/remote/bep-glossary#testresult
    """
    found, cached = {}, set()
    for line in events.read_text().splitlines():
        event = json.loads(line)
        key = event["id"].get("testResult")
        if key is None:
            continue
        # The last attempt is the one that counts.
        part = (key["label"], key.get("run"), key.get("shard"))
        result = event["testResult"]
        found[part] = [
            Path(unquote(urlparse(output["uri"]).path))
            for output in result.get("testActionOutput", [])
            if output["name"] == "test.xml"
        ]
        if result.get("cachedLocally") or result.get("executionInfo", {}).get("cachedRemotely"):
            cached.add(part)
    return sorted(path for paths in found.values() for path in paths), len(cached)


def main(*arguments: str) -> int:
    """Prints the counts; returns the exit status."""
    *logs, events = arguments
    paths, cached = reports(Path(events))
    counts = [*(of_log(Path(log)) for log in logs), *(of_report(path) for path in paths)]
    passed, failed, skipped = (sum(column) for column in zip(*counts, strict=True))
    print(f"{len(paths)} reports of Bazel's, {cached} of them cached")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not paths else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
