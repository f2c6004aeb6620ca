"""Starts nginx as an HTTP cache, which stores blobs as files.

See https://bazel.build/remote/caching#nginx and https://nginx.org/en/docs/http/ngx_http_dav_module.html.
"""

from __future__ import annotations

import os
from pathlib import Path

from dev.remote.children import Children
from dev.remote.credentials import Credentials
from dev.remote.ports import HOST, listens
from dev.remote.programs import find_program

ACCESS_LOG = "access.log"
"""Name of the access log, with a line for each request: method, path, status, request and response body size."""

_CONFIGURATION = """\
daemon off;
{user}
worker_processes auto;
pid "{folder}/nginx.pid";
error_log stderr info;  # with refused requests
events {{ worker_connections 1024; }}
http {{
    log_format bytes '$request_method $uri $status $request_length $body_bytes_sent';
    access_log "{log}" bytes;
    log_not_found off;
    sendfile on;
    # On the same file system as the stored files, so that these are created by a rename, atomically.
    client_body_temp_path "{folder}/tmp/body";
    proxy_temp_path "{folder}/tmp/proxy";
    fastcgi_temp_path "{folder}/tmp/fastcgi";
    uwsgi_temp_path "{folder}/tmp/uwsgi";
    scgi_temp_path "{folder}/tmp/scgi";
    server {{
        listen {host}:{port};
        auth_basic "cache";
        auth_basic_user_file "{passwords}";
        location / {{ return 404; }}
        location ~ "^/(ac|cas)/[0-9a-f]{{64}}$" {{
            root "{folder}/stored";
            dav_methods PUT;
            dav_access user:rw;
            create_full_put_path on;
            client_max_body_size 0;
        }}
    }}
}}
"""


def start_http_cache(children: Children, folder: Path, port: int, credentials: Credentials) -> list[str]:
    """Starts nginx, and returns Bazel's flags for it.

    It compares a salted hash of the credentials, so that the time that this takes tells nothing of them.

    Args:
        children: where the process is added.
        folder: directory for the blobs, which are kept.
        port: port of the loopback interface.
        credentials: what clients have to give.
    """
    program = find_program("nginx", "nginx")
    (folder / "tmp").mkdir(exist_ok=True)
    (folder / "stored").mkdir(exist_ok=True)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            folder=folder,
            host=HOST,
            passwords=credentials.password_file(),
            log=children.logs / ACCESS_LOG,
            port=port,
            # By default its workers run as nobody, who cannot write to the directory.
            user="user root;" if os.geteuid() == 0 else "",
        )
    )
    child = children.start("nginx", [program, "-e", "stderr", "-p", folder, "-c", configuration])
    child.wait_until(lambda: listens(port))
    return [f"--remote_cache=http://{HOST}:{port}", f"--remote_header=authorization={credentials.basic}"]
