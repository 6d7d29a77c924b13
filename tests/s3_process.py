"""A server of the S3 protocol on this machine, in a process of its own, which checks who asks."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3

_REGION = "us-east-1"
_EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


@dataclass(frozen=True)
class S3:
    """A server that runs, and the credentials of its one user."""

    url: str
    key: str
    secret: str

    @property
    def environment(self) -> dict[str, str]:
        """What a program is told by the usual variables."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": _REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def client(self) -> Any:
        """Return a client that is not ours."""
        return _client("s3", self.url, self.key, self.secret)

    def keys(self, bucket: str) -> list[str]:
        """Return the names of all objects of a bucket, but for markers of folders."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [each["Key"] for page in pages for each in page.get("Contents", []) if not each["Key"].endswith("/")]

    def get(self, bucket: str, key: str) -> bytes:
        """Return the bytes of an object."""
        data: bytes = self.client().get_object(Bucket=bucket, Key=key)["Body"].read()
        return data


@contextlib.contextmanager
def s3_server() -> Iterator[S3]:
    """Run a server until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        url = next(line.split()[-1] for line in process.stdout if "Running on" in line)
        # Its log must not fill the pipe.
        drain = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
        people = _client("iam", url, "nobody", "nothing")
        people.create_user(UserName="shop")
        key = people.create_access_key(UserName="shop")["AccessKey"]
        people.put_user_policy(UserName="shop", PolicyName="all", PolicyDocument=json.dumps(_EVERYTHING))
        check = urllib.request.Request(
            f"{url}/moto-api/reset-auth", data=b"0", method="POST", headers={"Content-Type": "text/plain"}
        )
        urllib.request.urlopen(check, timeout=60).close()
        yield S3(url, key["AccessKeyId"], key["SecretAccessKey"])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    drain.wait()


def _client(service: str, url: str, key: str, secret: str) -> Any:
    return boto3.client(
        service, endpoint_url=url, region_name=_REGION, aws_access_key_id=key, aws_secret_access_key=secret
    )
