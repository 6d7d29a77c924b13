"""Object stores, over a real server of the S3 protocol that checks who asks."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from alphadrop.errors import CannotRead, InputChanged, StoreRefused, TargetExists
from alphadrop.hotfolder.stability import Content
from alphadrop.scale.objects import Bucket, open_bucket
from alphadrop.scale.stores import Found, refuse_cycles
from daemon_process import Home, wait_for
from ray_process import SETTINGS, ray_folder
from s3_process import S3, s3_server


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


@pytest.fixture
def bucket(s3: S3, request: pytest.FixtureRequest) -> str:
    """A bucket of the test's own."""
    name = request.node.originalname.replace("_", "-")[:60].strip("-")
    s3.client().create_bucket(Bucket=name)
    return str(name)


@pytest.fixture
def shop(s3: S3, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return open_bucket(f"s3://{bucket}/shop")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def batch(home: Home, s3: S3, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "alphadrop", "batch", *words]
    known = home.environment | s3.environment | environment
    return subprocess.run(command, env=known, capture_output=True, text=True, timeout=400, check=False)


def lay(s3: S3, bucket: str, photographs: dict[str, Path], *keys: str) -> None:
    """Put a small photograph under each key."""
    with Image.open(photographs["cat"]) as picture:
        small = io.BytesIO()
        picture.resize((120, 80)).save(small, "JPEG")
    for key in keys:
        s3.client().put_object(Bucket=bucket, Key=key, Body=small.getvalue())


def manifest(s3: S3, bucket: str, prefix: str) -> list[dict[str, Any]]:
    parts = [key for key in s3.keys(bucket) if key.startswith(f"{prefix}/.alphadrop/manifest/")]
    return [json.loads(line) for part in parts for line in s3.get(bucket, part).splitlines()]


def cut_outs(s3: S3, bucket: str, prefix: str) -> list[str]:
    return [
        key.removeprefix(f"{prefix}/")
        for key in s3.keys(bucket)
        if key.startswith(f"{prefix}/") and key.endswith(".png")
    ]


def times(s3: S3, bucket: str, names: Iterable[str]) -> dict[str, object]:
    """Return when each cut-out was put."""
    return {name: s3.client().head_object(Bucket=bucket, Key=f"cut/{name}")["LastModified"] for name in names}


def test_objects_are_listed_put_and_read(s3: S3, bucket: str, shop: Bucket) -> None:
    assert not shop.is_there()
    with pytest.raises(CannotRead, match="there is none"):
        list(shop.walk())
    assert shop.put("a/b c.png", [b"12", b"3"], replace=False) == 3
    shop.put(".alphadrop/x", [b""], replace=False)
    for odd in ("shop//e.png", "shop/../f.png", "shopping/g.png"):
        s3.client().put_object(Bucket=bucket, Key=odd, Body=b"1")
    assert shop.is_there()
    (found,) = shop.walk()
    assert (found.name, found.content.size) == ("a/b c.png", 3)
    assert found.content.mtime_ns > 1_600_000_000_000_000_000
    with shop.read(found) as source:
        assert source.stream.read() == b"123"
    with pytest.raises(InputChanged), shop.read(Found(found.name, Content(4, 0))):
        pass
    with pytest.raises(TargetExists):
        shop.put("a/b c.png", [b"4"], replace=False)
    shop.put("a/b c.png", [b"4"], replace=True)
    assert s3.get(bucket, "shop/a/b c.png") == b"4"
    assert (shop.names(".alphadrop"), shop.names("nothing")) == (["x"], [])
    shop.remove("a/b c.png")
    assert not shop.has("a/b c.png")
    refuse_cycles(open_bucket(f"s3://{bucket}"), shop)


def test_a_bucket_that_is_not_there_is_told(shop: Bucket) -> None:
    with pytest.raises(StoreRefused, match="no bucket nowhere"):
        open_bucket("s3://nowhere/x").is_there()


def test_buckets_to_buckets_and_nothing_twice(s3: S3, bucket: str, home: Home, photographs: dict[str, Path]) -> None:
    lay(s3, bucket, photographs, "raw/a.jpg", "raw/sub/b.jpg")
    s3.client().put_object(Bucket=bucket, Key="raw/bad.jpg", Body=b"no picture")
    ran = batch(home, s3, f"s3://{bucket}/raw", f"s3://{bucket}/cut")
    assert ran.returncode == 1
    assert f"s3://{bucket}/raw/bad.jpg: not a picture" in ran.stderr
    assert cut_outs(s3, bucket, "cut") == ["a.png", "sub/b.png"]
    with Image.open(io.BytesIO(s3.get(bucket, "cut/sub/b.png"))) as picture:
        assert (picture.mode, picture.size) == ("RGBA", (120, 80))
    assert [row["status"] for row in manifest(s3, bucket, "cut")] == ["done", "failed", "done"]
    before = s3.client().list_objects_v2(Bucket=bucket)["Contents"]
    assert "nothing was to do" in batch(home, s3, f"s3://{bucket}/raw", f"s3://{bucket}/cut").stdout
    assert s3.client().list_objects_v2(Bucket=bucket)["Contents"] == before


@pytest.mark.parametrize("wrong", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_credentials_are_a_clear_error(s3: S3, home: Home, wrong: str) -> None:
    ran = batch(home, s3, "s3://any/raw", "s3://any/cut", **{wrong: "nonsense"})
    assert ran.returncode == 1
    assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


@pytest.mark.long
def test_a_killed_driver_goes_on_in_a_bucket(s3: S3, bucket: str, home: Home, photographs: dict[str, Path]) -> None:
    lay(s3, bucket, photographs, *(f"raw/{number:02}.jpg" for number in range(30)))
    words = [sys.executable, "-m", "alphadrop", "batch", f"s3://{bucket}/raw", f"s3://{bucket}/cut"]
    started = subprocess.Popen(words, env=home.environment | s3.environment, stdout=subprocess.DEVNULL)
    wait_for(lambda: len(cut_outs(s3, bucket, "cut")) >= 5, "five cut-outs")
    started.send_signal(signal.SIGKILL)
    started.wait()
    done = times(s3, bucket, cut_outs(s3, bucket, "cut"))
    assert len(done) < 30
    assert batch(home, s3, *words[4:]).returncode == 0
    assert len(cut_outs(s3, bucket, "cut")) == 30
    assert times(s3, bucket, done) == done
    assert [row["status"] for row in manifest(s3, bucket, "cut")] == ["done"] * 30


@pytest.mark.long
def test_ray_reads_from_and_writes_to_buckets(s3: S3, bucket: str, home: Home, photographs: dict[str, Path]) -> None:
    lay(s3, bucket, photographs, *(f"raw/{number}.jpg" for number in range(6)))
    with ray_folder() as folder:
        ran = batch(
            home, s3, f"s3://{bucket}/raw", f"s3://{bucket}/cut", "--ray", "auto", RAY_TMPDIR=str(folder), **SETTINGS
        )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert len(cut_outs(s3, bucket, "cut")) == 6
    assert [row["status"] for row in manifest(s3, bucket, "cut")] == ["done"] * 6
