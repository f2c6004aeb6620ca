"""Servers on loopback that files are uploaded to: WebDAV by nginx, and a stand-in for S3."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.testing.oracles import oracle

S3_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
"""Environment variables by which clients upload to the stand-in for S3; AWS_ENDPOINT_URL is its address."""

_SECONDS = 60
"""How long a server may take to start."""

_NGINX = """\
daemon off;
{user}
pid "{folder}/nginx.pid";
error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path "{folder}/body";
    proxy_temp_path "{folder}/proxy";
    fastcgi_temp_path "{folder}/fastcgi";
    uwsgi_temp_path "{folder}/uwsgi";
    scgi_temp_path "{folder}/scgi";
    server {{
        listen 127.0.0.1:{port};
        location / {{
            root "{folder}/stored";
            dav_methods PUT DELETE MKCOL;
            client_max_body_size 0;
        }}
    }}
}}
"""


@contextlib.contextmanager
def webdav(folder: Path) -> Iterator[str]:
    """Runs nginx with WebDAV while the block runs; yields its URL.

    Args:
        folder: for its files, exists; what is uploaded is in `stored` there.
    """
    (folder / "stored").mkdir(exist_ok=True)
    port = _free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, port=port, user=user))
    command = [oracle("nginx"), "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with _running(command) as process:
        end = time.monotonic() + _SECONDS
        while not _connects(port):
            assert process.poll() is None
            assert time.monotonic() < end
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def s3(bucket: str) -> Iterator[str]:
    """Runs the stand-in for S3, whose program S3_SERVER names, while the block runs; yields its URL.

    Args:
        bucket: that it has.
    """
    with _running([os.environ["S3_SERVER"], f"--bucket={bucket}"]) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url
        yield url


@contextlib.contextmanager
def _running(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _connects(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
