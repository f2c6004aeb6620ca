"""What Chromium makes of a report: `bazel test //tools/commands:image_report_browser_test`, where it is installed."""

import subprocess

from tools.image.rawfile import write_raw
from tools.report.measure import measure
from tools.report.page import page
from tools.tar.image_file import open_images
from tools.testing import sample_disk
from tools.testing.html_page import Page
from tools.testing.oracles import oracle


def browse(folder, address, *options):
    command = [oracle("chromium-headless-shell"), "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile"]
    return subprocess.run([*command, *options, address], capture_output=True, text=True, check=True, timeout=120).stdout


def test_a_browser_shows_it(tmp_path):
    """The browser has all tables and all text, and draws more than an empty page."""
    root = sample_disk.root_tree("usr/bin/hello = " + "x" * 9000)
    write_raw(
        sample_disk.disk(sample_disk.fat(sample_disk.root_tree("A = loader")), sample_disk.ext4(root)),
        tmp_path / "disk.img",
    )
    written = page(measure(open_images(tmp_path / "disk.img"), "disk.img", "disk.img"))
    (tmp_path / "a.html").write_text(written)
    address = f"file://{tmp_path}/a.html"
    expected, shown = Page(written), Page(browse(tmp_path, address, "--dump-dom"))
    assert shown.tags == expected.tags
    assert shown.text.split() == expected.text.split()
    pictures = [tmp_path / "page.png", tmp_path / "blank.png"]
    for picture, place in zip(pictures, (address, "about:blank"), strict=True):
        browse(tmp_path, place, f"--screenshot={picture}", "--window-size=800,600")
    assert pictures[0].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert pictures[0].stat().st_size > 4 * pictures[1].stat().st_size
