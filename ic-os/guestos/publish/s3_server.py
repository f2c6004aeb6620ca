"""A stand-in for S3 on loopback, for tests: moto's server, with one bucket that everybody may read.

Prints its URL, and ends at SIGTERM.
"""

from __future__ import annotations

import argparse
import signal

import boto3
from moto.server import ThreadedMotoServer

_POLICY = """
{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::%s/*"}]}
"""
"""Everybody may download, nobody may upload without keys."""


def main() -> None:
    """Runs the server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bucket", required=True, help="name of the bucket to make")
    bucket = parser.parse_args().bucket
    # Blocked before a thread starts, which inherits that.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
    client.create_bucket(Bucket=bucket)
    client.put_bucket_policy(Bucket=bucket, Policy=_POLICY % bucket)
    print(url, flush=True)
    signal.sigwait({signal.SIGTERM})
    server.stop()


if __name__ == "__main__":
    main()
