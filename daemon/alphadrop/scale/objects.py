"""Object stores: S3 and its like, Google Cloud Storage, Azure Blob Storage; and the manifest as Parquet.

The only module that knows Arrow's file systems. One library has all three; credentials are found where each cloud's own
tools find them (environment, profile, the machine's role).
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import unquote, urlsplit

from alphadrop.errors import (
    BadOptions,
    CannotRead,
    CannotWrite,
    InputChanged,
    ScaleMissing,
    StoreRefused,
    TargetExists,
    printable,
    writing_failed,
)
from alphadrop.hotfolder.marks import Mark, mark_in
from alphadrop.hotfolder.stability import Content
from alphadrop.scale.manifest import Row
from alphadrop.scale.stores import Found, Source, Store

if TYPE_CHECKING:
    from pyarrow import fs

__all__ = ["Bucket", "open_bucket", "write_parquet"]

_A_LITTLE = 1 << 16
"""Bytes that are fetched at once where only the beginning is wanted."""
_SECONDS = 30.0
"""For which a server may be silent."""
_REFUSALS = (
    "ACCESS_DENIED", "AccessDenied", "INVALID_ACCESS_KEY_ID", "InvalidAccessKeyId", "SIGNATURE_DOES_NOT_MATCH",
    "SignatureDoesNotMatch", "EXPIRED_TOKEN", "ExpiredToken", "NO_SUCH_BUCKET", "NoSuchBucket", "UNRECOGNIZED_CLIENT",
    "INVALID_CLIENT_TOKEN_ID", "AuthenticationFailed", "AuthorizationFailure", "PermissionDenied", "PERMISSION_DENIED",
    "Unauthenticated", "UNAUTHENTICATED", "HTTP status 401", "HTTP status 403", "HTTP Status 401", "HTTP Status 403",
)  # fmt: skip
"""Words by which errors speak of the whole store: they come as text only."""
_ADVICE = {
    "s3": "check the bucket's name, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or the profile, AWS_ENDPOINT_URL",
    "gs": "check the bucket's name, and GOOGLE_APPLICATION_CREDENTIALS",
    "az": "check the container's name, and AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY or your login",
}


def open_bucket(url: str) -> Bucket:
    """Return what a URL names: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `az://CONTAINER/PREFIX`.

    Raises:
        BadOptions: another kind of URL, or no bucket in it.
        ScaleMissing: the extra is not installed.
        StoreRefused: the store says no.
    """
    parts = urlsplit(url)
    if parts.scheme not in _ADVICE:
        raise BadOptions(
            f"{printable(url)}: no store is known by {parts.scheme}://", "use a folder, s3://, gs:// or az://"
        )
    prefix = unquote(parts.path).strip("/")
    if not parts.netloc or not _is_plain(prefix or "x") or parts.query or parts.fragment:
        raise BadOptions(f"{printable(url)}: names no bucket and prefix", f"write {parts.scheme}://BUCKET/PREFIX")
    try:
        from pyarrow import fs
    except ImportError:
        raise ScaleMissing(
            f"{printable(url)}: object stores need an extra that is not installed", "pip install 'alphadrop[scale]'"
        ) from None
    try:
        system = _SYSTEMS[parts.scheme](fs, parts.netloc)
    except OSError as error:
        raise StoreRefused(f"{printable(url)}: {_first_line(error)}", _ADVICE[parts.scheme]) from error
    return Bucket(
        f"{parts.scheme}://{parts.netloc}/{prefix}".rstrip("/"), f"{parts.netloc}/{prefix}".rstrip("/"), system
    )


def _s3(fs: Any, bucket: str) -> fs.FileSystem:
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region and not endpoint:
        region = fs.resolve_s3_region(bucket)
    return cast(
        "fs.FileSystem",
        fs.S3FileSystem(
            region=region,
            endpoint_override=endpoint,
            connect_timeout=_SECONDS,
            request_timeout=_SECONDS,
            allow_delayed_open=True,  # small objects are put in one request
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=4),
        ),
    )


def _gs(fs: Any, _: str) -> fs.FileSystem:
    return cast("fs.FileSystem", fs.GcsFileSystem())


def _az(fs: Any, _: str) -> fs.FileSystem:
    account = os.environ.get("AZURE_STORAGE_ACCOUNT")
    if not account:
        raise BadOptions("az:// says the container, and not the account", "set AZURE_STORAGE_ACCOUNT")
    return cast(
        "fs.FileSystem", fs.AzureFileSystem(account_name=account, account_key=os.environ.get("AZURE_STORAGE_KEY"))
    )


_SYSTEMS: dict[str, Callable[[Any, str], Any]] = {"s3": _s3, "gs": _gs, "az": _az}


class Bucket:
    """A prefix of a bucket; objects appear whole, are never appended to, and nobody is kept out."""

    appends = False

    def __init__(self, text: str, base: str, system: fs.FileSystem) -> None:
        """Take a file system of Arrow's.

        Args:
            text: the URL.
            base: bucket and prefix.
            system: that they are in.
        """
        self.text = text
        self.base = base
        """Bucket and prefix."""
        self._system = system
        self._scheme = text.partition(":")[0]

    def is_there(self) -> bool:
        """See `Store.is_there`; StoreRefused where there is no such bucket."""
        from pyarrow import fs

        bucket = self.base.partition("/")[0]
        with self._refusals(self.base, CannotRead):
            whole, part = self._system.get_file_info([bucket, self.base])
        if whole.type == fs.FileType.NotFound:
            raise StoreRefused(f"{printable(self.text)}: there is no bucket {bucket}", _ADVICE[self._scheme])
        return bool(part.type != fs.FileType.NotFound)

    def walk(self, without: Store | None = None) -> Iterator[Found]:
        """See `Store.walk`; one folder's list is in memory at a time. Names that lead elsewhere are left out."""
        from pyarrow import fs

        left = [self.base]
        while left:
            folder = left.pop()
            if isinstance(without, Bucket) and folder == without.base:
                continue
            with self._refusals(folder, CannotRead):
                infos = sorted(self._system.get_file_info(fs.FileSelector(folder)), key=lambda info: info.path)
            below = []
            for info in infos:
                name = info.path.removeprefix(f"{self.base}/")
                is_below = info.path.startswith(f"{folder}/")  # of `a//b` a folder would be found in itself
                if not is_below or info.base_name.startswith(".") or not _is_plain(name):
                    continue
                if info.type == fs.FileType.Directory:
                    below.append(info.path)
                elif info.type == fs.FileType.File:
                    yield Found(name, Content(info.size, info.mtime_ns or 0))
            left.extend(reversed(below))

    @contextlib.contextmanager
    def read(self, found: Found) -> Iterator[Source]:
        """See `Store.read`; the object is fetched whole."""
        path = self._path(found.name)
        with self._refusals(found.name, CannotRead), self._system.open_input_stream(path) as stream:
            data = stream.read()
        if len(data) != found.content.size:
            raise InputChanged(f"{self._called(found.name)}: changed since it was listed", "run again")
        yield Source(io.BytesIO(data), lambda: None)

    @contextlib.contextmanager
    def peek(self, name: str) -> Iterator[BinaryIO]:
        """See `Store.peek`."""
        with (
            self._refusals(name, CannotRead),
            io.BufferedReader(
                cast("io.RawIOBase", self._system.open_input_file(self._path(name))), _A_LITTLE
            ) as stream,
        ):
            yield cast("BinaryIO", stream)

    def has(self, name: str) -> bool:
        """See `Store.has`."""
        from pyarrow import fs

        with self._refusals(name, CannotRead):
            return bool(self._system.get_file_info(self._path(name)).type == fs.FileType.File)

    def mark(self, name: str) -> Mark | None:
        """See `Store.mark`; that somebody changed an object and kept its mark is not seen."""
        with self.peek(name) as stream:
            return mark_in(stream)

    def put(
        self,
        name: str,
        pieces: Iterable[bytes],
        *,
        replace: bool,
        modified_ns: int | None = None,  # noqa: ARG002 - objects have the time at which they were put
        before: Callable[[], None] = lambda: None,
    ) -> int:
        """See `Store.put`; that nobody else takes the name meanwhile cannot be had here."""
        if not replace and self.has(name):
            raise TargetExists(f"{self._called(name)}: exists already", "choose another target")
        before()
        size = 0
        with self._refusals(name, CannotWrite), self._system.open_output_stream(self._path(name)) as stream:
            for piece in pieces:
                stream.write(piece)
                size += len(piece)
        return size

    def append(self, name: str, data: bytes, *, sync: bool) -> None:
        """See `Store.append`."""
        raise NotImplementedError

    def names(self, folder: str) -> list[str]:
        """See `Store.names`."""
        from pyarrow import fs

        with self._refusals(folder, CannotRead):
            infos = self._system.get_file_info(fs.FileSelector(self._path(folder), allow_not_found=True))
        return sorted(info.base_name for info in infos if info.type == fs.FileType.File)

    def remove(self, name: str) -> None:
        """See `Store.remove`."""
        with self._refusals(name, CannotWrite), contextlib.suppress(FileNotFoundError):
            self._system.delete_file(self._path(name))

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """See `Store.lock`: a bucket keeps nobody out."""
        yield

    def _path(self, name: str) -> str:
        return f"{self.base}/{name}"

    def _called(self, name: str) -> str:
        return printable(f"{self.text}/{name}")

    @contextlib.contextmanager
    def _refusals(self, name: str, kind: type[CannotRead | CannotWrite]) -> Iterator[None]:
        """Turn what Arrow says into errors of ours."""
        try:
            yield
        except OSError as error:
            if isinstance(error, PermissionError) or any(word in str(error) for word in _REFUSALS):
                raise StoreRefused(f"{printable(self.text)}: {_first_line(error)}", _ADVICE[self._scheme]) from error
            told = "there is none" if isinstance(error, FileNotFoundError) else _first_line(error)
            called = printable(name if name.startswith(self.base) else f"{self.text}/{name}")
            raise kind(f"{called}: {told}") from error
        except UnicodeEncodeError as error:
            raise kind(f"{self._called(name)}: object stores take names in UTF-8 only", "rename it") from error


def write_parquet(rows: Iterable[Row], file: Path) -> None:
    """Write rows of a manifest as a Parquet file.

    Raises:
        ScaleMissing: the extra is not installed.
        DiskFull, CannotWrite: the file cannot be written.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise ScaleMissing("Parquet needs an extra that is not installed", "pip install 'alphadrop[scale]'") from None
    text, whole, real = pa.string(), pa.int64(), pa.float64()
    kinds = {
        "input": text, "size": whole, "modified": pa.timestamp("ns", tz="UTC"), "settings": text, "status": text,
        "output": text, "bytes": whole, "code": text, "reason": text, "passing": pa.bool_(),
        "warnings": pa.list_(text), "pixels": whole, "model": text, "seconds": real,
        "started": real, "finished": real, "host": text,
    }  # fmt: skip
    schema, left = pa.schema(list(kinds.items())), iter(rows)
    try:
        with parquet.ParquetWriter(file, schema) as writer:
            while some := list(islice(left, _PARQUET_ROWS)):
                columns = [[_told(getattr(row, name)) for row in some] for name in kinds]
                writer.write_table(
                    pa.table(
                        [pa.array(column, kind) for column, kind in zip(columns, kinds.values(), strict=True)],
                        schema=schema,
                    )
                )
    except OSError as error:
        raise writing_failed(file, error) from error


_PARQUET_ROWS = 10_000


def _told(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    return printable(value) if isinstance(value, str) else value


def _is_plain(name: str) -> bool:
    """Return whether a name has one meaning as a path below something: keys may hold anything."""
    path = PurePosixPath(name)
    return not path.is_absolute() and str(path) == name and ".." not in path.parts and "\0" not in name


def _first_line(error: OSError) -> str:
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return line.partition(" (Request ID")[0].strip().rstrip(".")
