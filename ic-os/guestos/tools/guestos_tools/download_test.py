import hashlib
import multiprocessing
import socket
from urllib.request import urlopen

import pytest

from guestos_tools.download import NotThereError, Policy, fetch, fetch_text, locked
from tools.core.errors import UserError
from tools.testing.faulty_server import ends_after, instead, resets, serving, status, without_ranges, wrong_range

CONTENT = bytes(range(256)) * 5000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
POLICY = Policy(attempts=3, timeout=10, pause=0)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as server:
        server.files["/file"] = CONTENT
        yield server


@pytest.fixture
def get(server, tmp_path):
    """Fetches the file and checks that nothing else is left; after a failure, that there is no file."""

    def get(*paths, kept=()):
        told = []
        urls = [server.url + path for path in paths or ("/file",)]
        try:
            fetch(urls, tmp_path / "file", SHA256, POLICY, told.append)
        except UserError:
            assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
            raise
        assert [path.name for path in tmp_path.iterdir()] == ["file"]
        assert (tmp_path / "file").read_bytes() == CONTENT
        return sum(told)

    return get


def ranges(server):
    return [asked for _, asked in server.requests]


def test_a_file_is_fetched_once(server, get):
    assert get() == len(CONTENT)
    assert get() == 0
    assert server.paths() == ["/file"]


def test_a_file_that_changed_here_is_fetched_anew(server, get, tmp_path):
    get()
    (tmp_path / "file").write_bytes(CONTENT[:-1] + b"x")
    assert get() == len(CONTENT)


def test_a_connection_that_ends_is_taken_up_where_it_ended(server, get):
    server.faults["/file"] = [ends_after(1000)] * 20
    assert get() == len(CONTENT)
    assert ranges(server) == [None, *(f"bytes={1000 * count}-" for count in range(1, 21))]


def test_a_later_call_goes_on(server, get):
    server.faults["/file"] = [ends_after(1000), resets, status(500)]
    with pytest.raises(UserError, match=r"/file: the server answers 500 .* \(attempt 3, the last one\)"):
        get(kept=[".file.part"])
    assert get() == len(CONTENT) - 1000
    assert ranges(server)[-1] == "bytes=1000-"


@pytest.mark.parametrize(
    "fault", [resets, status(408), status(429), status(500), status(502), status(503), status(504)]
)
def test_what_may_pass_is_tried_again(server, get, fault):
    server.faults["/file"] = [fault, fault]
    assert get() == len(CONTENT)
    server.faults["/other"] = [fault] * 3
    with pytest.raises(UserError, match=r"attempt 3, the last one"):
        fetch_text(f"{server.url}/other", POLICY)
    assert server.paths() == ["/file"] * 3 + ["/other"] * 3


@pytest.mark.parametrize("code", [400, 401, 403])
def test_a_refusal_is_not_asked_for_again(server, get, code):
    server.faults["/file"] = [status(code)]
    with pytest.raises(UserError, match=f"/file: the server answers {code} "):
        get()
    assert server.paths() == ["/file"]


def test_a_file_that_is_not_there_is_sought_at_the_next_url(server, get):
    assert get("/a", "/b", "/file") == len(CONTENT)
    assert server.paths() == ["/a", "/b", "/file"]


def test_a_file_that_is_nowhere_is_an_error_of_its_own(get):
    with pytest.raises(NotThereError, match=r"/a: is not there: .*404.*; .*/b: is not there"):
        get("/a", "/b")


def test_a_server_that_fails_does_not_count_as_one_without_the_file(server, get):
    server.faults["/a"] = [status(403)]
    with pytest.raises(UserError) as caught:
        get("/a", "/b")
    assert not isinstance(caught.value, NotThereError)


@pytest.mark.parametrize("other", [CONTENT[:-1], CONTENT[:-1] + b"x", b"", CONTENT + b"x"])
def test_a_file_with_another_hash_is_not_taken(server, get, other):
    server.faults["/file"] = [instead(other)] * 2
    found = hashlib.sha256(other).hexdigest()
    with pytest.raises(
        UserError, match=f"is a file of {len(other)} bytes with SHA-256 {found}, and should have {SHA256}"
    ):
        get()


def test_a_wrong_file_may_be_right_the_next_time(server, get):
    server.faults["/file"] = [instead(CONTENT[:-1])]
    assert get() == 2 * len(CONTENT) - 1


def test_a_rest_that_does_not_fit_is_thrown_away(server, get):
    server.faults["/file"] = [ends_after(1000), instead(b"x" * len(CONTENT))]
    assert get() > len(CONTENT)
    assert ranges(server) == [None, "bytes=1000-", None]


def test_a_rest_that_is_shorter_than_what_is_here_is_fetched_anew(server, get):
    server.faults["/file"] = [ends_after(1000), instead(b"short")]
    get()
    assert ranges(server) == [None, "bytes=1000-", None]


@pytest.mark.parametrize("fault", [without_ranges, wrong_range])
def test_a_server_may_be_bad_at_ranges(server, get, fault):
    server.faults["/file"] = [ends_after(1000), fault]
    get()


def test_a_complete_part_needs_no_server(server, get, tmp_path):
    (tmp_path / ".file.part").write_bytes(CONTENT)
    assert get() == 0
    assert not server.requests


def test_an_empty_file_can_be_fetched(server, tmp_path):
    server.files["/empty"] = b""
    fetch([f"{server.url}/empty"], tmp_path / "empty", hashlib.sha256(b"").hexdigest(), POLICY)
    assert (tmp_path / "empty").read_bytes() == b""


def test_a_server_that_is_not_there_is_named(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/file"
        with pytest.raises(UserError, match=f"^{url}: .*Connection refused"):
            fetch([url], tmp_path / "file", SHA256, POLICY)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example/x", "/etc/passwd"])
def test_only_http_is_spoken(url):
    with pytest.raises(UserError, match="is not a URL that begins with http:// or https://"):
        fetch_text(url, POLICY)


def test_a_folder_that_is_not_there_is_no_matter_of_trying_again(server, tmp_path):
    with pytest.raises(FileNotFoundError):
        fetch([f"{server.url}/file"], tmp_path / "missing" / "file", SHA256, POLICY)
    assert len(server.requests) == 1


def test_texts(server):
    server.files["/text"] = "Straße\n".encode()
    server.faults["/text"] = [ends_after(3), resets]
    assert fetch_text(f"{server.url}/text", POLICY) == "Straße\n"
    with pytest.raises(NotThereError):
        fetch_text(f"{server.url}/missing", POLICY)
    server.files["/text"] = b"\xff"
    with pytest.raises(UserError, match="/text: is not text"):
        fetch_text(f"{server.url}/text", POLICY)
    server.files["/text"] = bytes(2 << 20)
    with pytest.raises(UserError, match="/text: is larger than 1048576 bytes"):
        fetch_text(f"{server.url}/text", POLICY)


def _hold(folder, entered, leave):
    with locked(folder):
        entered.set()
        leave.wait()


def test_one_process_at_a_time_has_a_folder(tmp_path):
    context = multiprocessing.get_context("spawn")
    entered, leave = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path, entered, leave))
    other.start()
    entered.wait()
    waited = []

    def waiting():
        waited.append(True)
        leave.set()

    with locked(tmp_path, waiting):
        assert waited
    other.join()
    assert other.exitcode == 0


def test_tls_may_be_demanded(server, monkeypatch):
    policy = Policy(attempts=1, timeout=10, pause=0, https_only=True)
    with pytest.raises(UserError, match=r"^http://127\.0\.0\.1:\d+/file: is not an https:// URL"):
        fetch_text(f"{server.url}/file", policy)
    assert server.requests == []
    # A server that redirects to a URL without TLS: urllib follows it, and the answer says where it is from.
    redirected = lambda request, **options: urlopen(f"{server.url}/file", **options)  # noqa: E731
    monkeypatch.setattr("urllib.request.urlopen", redirected)
    with pytest.raises(
        UserError, match=r"^https://host/file: is redirected to http://127\.0\.0\.1:\d+/file, which is not"
    ):
        fetch_text("https://host/file", policy)
