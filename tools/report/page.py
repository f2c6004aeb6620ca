"""The report on an image as one HTML page, which needs no other file, no network and no script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import urlsplit

from tools.core.text import human_size
from tools.report.changes import Change, changes
from tools.report.folders import Folder, folder_tree
from tools.report.html import Html, element, joined, table
from tools.report.usage import FileUsage, Usage

_MOST_FILES = 100
_MOST_IN_FOLDER = 25
_MOST_DEPTH = 30
_LEAST_SHARE = 1000
"""A folder is listed if it has at least one in so many bytes of the image."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""No script runs, and nothing is loaded: https://www.w3.org/TR/CSP3/."""

_VOLUMES_NOTE = """Structures are those of the file system, and the rest of the last block of each file. After the file
system is the hash tree of dm-verity, where there is one. Each file is compressed by itself, by zstd; structures are not
counted there."""

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --bar: #4a7fb5; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
h1, h2 { line-height: 1.2; }
h2 { border-top: 1px solid var(--line); margin-top: 2.5rem; padding-top: 1rem; }
nav a { margin-right: 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid var(--line); padding: .2rem .7rem .2rem 0; text-align: left; vertical-align: top; }
td { overflow-wrap: anywhere; }
.n { font-variant-numeric: tabular-nums; text-align: right; white-space: nowrap; }
meter { vertical-align: middle; width: 8rem; }
details details, details > ul { margin-left: 1.3rem; }
details > ul { list-style: none; margin-bottom: 0; margin-top: 0; padding-left: 1rem; }
summary { cursor: pointer; }
summary .n, li .n { display: inline-block; margin-right: .7rem; width: 5rem; }
"""


def page(usage: Usage, before: Usage | None = None) -> str:
    """Returns the page.

    Args:
        usage: the report.
        before: the report on an earlier build, to compare it with; None without one.
    """
    sections = list(_sections(usage, before))
    links = (element("a", title, href=f"#{key}") for key, title, _ in sections)
    body = [
        element("h1", usage.name),
        element("p", _summary(usage)),
        element("nav", joined(links)),
        *(joined((element("h2", title, id=key), content)) for key, title, content in sections),
    ]
    head = [
        Html('<meta charset="utf-8">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", f"Report on {usage.name}"),
        Html(f"<style>{_STYLE}</style>"),
    ]
    content = element("head", joined(head)) + element("body", joined(body))
    return f'<!DOCTYPE html>\n<html lang="en">{content}</html>\n'


def _sections(usage: Usage, before: Usage | None) -> Iterator[tuple[str, str, Html]]:
    """Yields the anchor, the title and the content of each section."""
    yield "volumes", "Where every byte is", _volumes(usage)
    if before is not None:
        yield "changes", f"Changes since {before.name}", _changes(before, usage)
    yield "packages", "Packages", _packages(usage)
    if any(each.layer for each in usage.files):
        yield "layers", "What targets brought", _layers(usage)
    yield "folders", "Folders", _folders(usage)
    yield "files", "Largest files", _largest_files(usage)
    yield "compression", "What compresses how well", _kinds(usage)
    yield "rights", "Special rights", _rights(usage)
    yield "licenses", "Licenses", _licenses(usage)
    yield "origins", "Where packages are from", _origins(usage)


def _summary(usage: Usage) -> str:
    installed = sum(1 for each in usage.packages if each.name)
    return (
        f"{human_size(usage.size)} of which {human_size(usage.data)} ({usage.data} bytes) are data and the rest holes; "
        f"{human_size(usage.compressed)} compressed. {len(usage.files)} files, {installed} packages."
    )


def _volumes(usage: Usage) -> Html:
    heads = ("Partition", "Holds", "Size", "Data", "Files", "Structures", "After it", "Empty", "Compressed", "")
    rows: list[Sequence[str | int]] = [
        (
            each.name or usage.name,
            each.holds,
            *map(human_size, (each.size, each.data, each.files, each.other, each.after, each.size - each.data)),
            human_size(each.compressed),
            _bar(each.data, usage.data),
        )
        for each in usage.volumes
    ]
    between = usage.size - sum(each.size for each in usage.volumes)
    if between:
        sizes = map(human_size, (between, usage.outside, 0, usage.outside, 0, between - usage.outside, 0))
        rows.append(("outside of partitions", "partition table", *sizes, _bar(usage.outside, usage.data)))
    note = element("p", " ".join(_VOLUMES_NOTE.split()))
    return joined((table(heads, rows, range(2, 9)), note))


def _changes(before: Usage, usage: Usage) -> Html:
    found = changes(before, usage)
    growth = usage.data - before.data
    parts = [element("p", f"Data: {before.data} bytes before, {usage.data} now, {_signed(growth)}.")]
    for title, kind in (("Partitions", found.volumes), ("Packages", found.packages), ("Files", found.files)):
        parts.append(element("h3", f"{title}: {len(kind)} differ"))
        if kind:
            parts.append(table(("Name", "Before", "Now", "Growth", ""), map(_change, kind[:_MOST_FILES]), (1, 2, 3)))
        if len(kind) > _MOST_FILES:
            parts.append(element("p", f"{len(kind) - _MOST_FILES} more are in the JSON reports."))
    return joined(parts)


def _change(change: Change) -> Sequence[str | int]:
    sizes = ("" if size is None else human_size(size) for size in (change.before, change.after))
    return (change.name or "(no package)", *sizes, _signed(change.growth), change.note)


def _signed(growth: int) -> str:
    return f"{'-' if growth < 0 else '+'}{human_size(abs(growth))}"


def _packages(usage: Usage) -> Html:
    heads = ("Package", "Version", "Architecture", "Files", "Data", "Compressed", "")
    rows = (
        (
            each.name or "(no package)",
            each.version,
            each.architecture,
            each.count,
            human_size(each.data),
            _ratio(each.compressed, each.data),
            _bar(each.data, usage.data),
        )
        for each in sorted(usage.packages, key=lambda each: (-each.data, each.name))
    )
    return table(heads, rows, (3, 4, 5))


def _layers(usage: Usage) -> Html:
    """Returns a table of layers, with what of them is in no package."""
    whole: dict[str, Folder] = {}
    others: dict[str, Folder] = {}
    for file in usage.files:
        whole.setdefault(file.layer, Folder(file.layer)).add(file)
        if not file.package:
            others.setdefault(file.layer, Folder(file.layer)).add(file)
    rows = []
    for each in sorted(whole.values(), key=lambda each: (-each.data, each.name)):
        loose = others.get(each.name, Folder(each.name))
        sizes = (human_size(each.data), _ratio(each.compressed, each.data), loose.count, human_size(loose.data))
        rows.append((each.name or "(no root tree)", each.count, *sizes, _bar(each.data, usage.data)))
    heads = ("Target", "Files", "Data", "Compressed", "In no package", "Data of these", "")
    return table(heads, rows, range(1, 6))


def _folders(usage: Usage) -> Html:
    root = folder_tree(usage.files)
    least = root.data // _LEAST_SHARE
    return joined(_folder(each, f"{each.name or ''}/", least, opened=True) for each in root.largest())


def _folder(folder: Folder, name: str, least: int, *, opened: bool = False, depth: int = 0) -> Html:
    below = list(folder.largest())
    shown = [each for each in below[:_MOST_IN_FOLDER] if each.data >= least and depth < _MOST_DEPTH]
    rest = below[len(shown) :]
    inside = [
        _folder(each, f"{each.name}/", least, depth=depth + 1)
        if each.below
        else element("ul", element("li", *_line(each, each.name)))
        for each in shown
    ]
    if rest:
        others = Folder("", sum(each.data for each in rest), sum(each.compressed for each in rest))
        inside.append(element("ul", element("li", *_line(others, f"({len(rest)} more)"))))
    attributes = {"open": ""} if opened else {}
    return element("details", element("summary", *_line(folder, name)), joined(inside), **attributes)


def _line(folder: Folder, name: str) -> tuple[Html, ...]:
    numbers = (human_size(folder.data), _ratio(folder.compressed, folder.data))
    return (*(element("span", each, class_="n") for each in numbers), element("code", name))


def _largest_files(usage: Usage) -> Html:
    largest = sorted(usage.files, key=lambda each: (-each.data, each.path))[:_MOST_FILES]
    heads = ("File", "Package or target", "Data", "Compressed", "")
    rows = (
        (
            element("code", each.path),
            each.package or each.layer,
            human_size(each.data),
            _ratio(each.compressed, each.data),
            _bar(each.data, usage.data),
        )
        for each in largest
    )
    return table(heads, rows, (2, 3))


def _kinds(usage: Usage) -> Html:
    kinds: dict[str, Folder] = {}
    for file in usage.files:
        kinds.setdefault(_kind(file), Folder(_kind(file))).add(file)
    largest = sorted(kinds.values(), key=lambda each: (-each.data, each.name))[:_MOST_IN_FOLDER]
    rows = (
        (each.name, each.count, human_size(each.data), human_size(each.compressed), _ratio(each.compressed, each.data))
        for each in largest
    )
    return table(("Files", "Number", "Data", "Compressed", "Ratio"), rows, (1, 2, 3, 4))


def _kind(file: FileUsage) -> str:
    """Returns what a file's name says about its content."""
    name = file.path.rpartition("/")[2]
    if ".so." in name:
        return "*.so"
    stem, _, suffix = name.rpartition(".")
    if stem and suffix.isalnum() and not suffix.isdigit():
        return f"*.{suffix}"
    return f"programs in {file.path.rpartition('/')[0]}" if "/bin/" in file.path or "/sbin/" in file.path else "others"


def _rights(usage: Usage) -> Html:
    if not usage.rights:
        return element("p", "No file has special rights.")
    heads = ("Path", "Rights", "Mode", "Owner", "Type")
    rows = (
        (element("code", each.path), ", ".join(each.rights), each.mode, f"{each.uid}:{each.gid}", each.type)
        for each in usage.rights
    )
    return table(heads, rows, (2, 3))


def _licenses(usage: Usage) -> Html:
    grouped = _grouped((each.license or "(unknown)", each.name, each.data) for each in usage.packages if each.name)
    return table(("License", "Packages", "Data", ""), grouped, (1, 2))


def _origins(usage: Usage) -> Html:
    named = [each for each in usage.packages if each.name]
    hosts = _grouped((urlsplit(each.url).hostname or "(unknown)", each.name, each.data) for each in named)
    rows = (
        (each.name, element("a", each.url, href=each.url) if each.url.startswith("https://") else each.url, each.sha256)
        for each in named
        if each.url
    )
    return joined((table(("Host", "Packages", "Data", ""), hosts, (1, 2)), table(("Package", "From", "SHA-256"), rows)))


def _grouped(found: Iterable[tuple[str, str, int]]) -> list[tuple[str, int, str, str]]:
    """Returns group, number, data and names of packages, from group, name and data of each one."""
    names: dict[str, list[str]] = {}
    sizes: dict[str, int] = {}
    for group, name, data in found:
        names.setdefault(group, []).append(name)
        sizes[group] = sizes.get(group, 0) + data
    order = sorted(names, key=lambda group: (-len(names[group]), group))
    return [(group, len(names[group]), human_size(sizes[group]), ", ".join(names[group])) for group in order]


def _ratio(compressed: int, data: int) -> str:
    return f"{100 * compressed // data}%" if data else ""


def _bar(value: int, whole: int) -> Html:
    share = f"{100 * value / max(whole, 1):.1f}%"
    return element("meter", share, value=str(value), min="0", max=str(max(whole, 1)), title=share)
