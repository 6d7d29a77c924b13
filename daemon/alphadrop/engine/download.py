"""How a model gets here: resumable, verified, and in place only when it is whole and right."""

from __future__ import annotations

import contextlib
import errno
import http.client
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from alphadrop import atomic, paths
from alphadrop.engine.checksums import check, pin, pinned_sha256, verify
from alphadrop.engine.models import ModelSpec, locate
from alphadrop.errors import (
    BadOptions,
    DiskFull,
    DownloadFailed,
    LicenceRefused,
    ModelDamaged,
    ModelMissing,
    printable,
    writing_failed,
)

if TYPE_CHECKING:
    from urllib.request import OpenerDirector

__all__ = ["pull"]

_TIMEOUT = 30.0
"""Seconds a server may stay silent."""
_BLOCK = 1 << 18
_LARGEST = 4 << 30
"""Bytes accepted of a model whose size is not known."""


def pull(
    spec: ModelSpec,
    *,
    folder: Path | None = None,
    accept_licence: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
    url: str | None = None,
) -> Path:
    """Bring a model to this machine and return where it is; do nothing where a good one is there.

    The file grows under the name `FILE.download`, and gets its own name only when its checksum is right. What a
    broken-off download leaves is gone on with the next time, provided the server still has the same file. A model
    without an address, such as the one that comes with Alphadrop, is only found and verified.

    Args:
        spec: the model.
        folder: where it goes; by default the user's folder of models. Made if it is not there.
        accept_licence: the user's word that a non-commercial licence is agreeable.
        progress: told how many bytes are here, and of how many, if the server says.
        url: fetched instead of the registry's address; the checksum stays the registry's.

    Raises:
        LicenceRefused: non-commercial, and not accepted.
        BadOptions: the address is neither http nor https.
        DownloadFailed: no network, no such file, the server broke off, or another process is at the same model.
        ModelDamaged: what came is not the file meant; it is thrown away.
        ModelMissing: there is neither an address nor a file.
        DiskFull, CannotWrite: the folder does not take it.
    """
    home = paths.model_folder() if folder is None else folder
    address = url or spec.url
    if address is None:
        path = locate(spec, (home, paths.embedded_models()))
        verify(spec, path)
        return path
    if spec.commercial is False and not accept_licence:
        raise LicenceRefused(
            f"the model {spec.name} may not be used commercially: {spec.licence}",
            f"if you accept that: alphadrop models pull {spec.name} --accept-licence",
        )
    if address.partition(":")[0].lower() not in ("http", "https"):
        raise BadOptions(f"{printable(address)}: models are fetched over https or http only")
    target = home / spec.file
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise writing_failed(target.parent, error) from error
    with contextlib.suppress(ModelMissing, ModelDamaged):
        verify(spec, target)
        pin(spec, target)
        return target
    partial = _Partial(target)
    with partial.held() as stream:
        _fetch(spec, address, partial, stream, progress)
        try:
            check(spec, partial.path, pinned_sha256(spec, target))
        except ModelDamaged as error:
            partial.forget()
            raise ModelDamaged(
                f"{printable(address)}: {error.message.removeprefix(f'{printable(partial.path)}: ')}",
                "it was thrown away; run it again, and if it persists the file on the server has changed",
            ) from error
        partial.finish(stream)
    pin(spec, target)
    return target


class _Partial:
    """A download on its way: the bytes so far, and beside them whose they are."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f"{target.name}.download")
        self._note = target.with_name(f"{target.name}.download.json")

    @contextlib.contextmanager
    def held(self) -> Iterator[io.FileIO]:
        """Open it for appending, closed to any other process."""
        try:
            stream = self.path.open("ab", buffering=0)
        except OSError as error:
            raise writing_failed(self.path, error) from error
        with stream:
            if not self._lock(stream):
                raise DownloadFailed(
                    f"{printable(self.target)}: is being fetched by another process", "wait until it is done"
                )
            yield stream

    def source(self) -> tuple[str, str, int | None]:
        """Return the address the bytes came from, what the server calls that version, and its size."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            return str(note["url"]), str(note["version"]), note["total"]
        except (OSError, ValueError, KeyError, TypeError):
            return "", "", None

    def begin(self, stream: io.FileIO, address: str, version: str, total: int | None) -> None:
        """Empty it and note whose bytes are to come."""
        try:
            if os.fstat(stream.fileno()).st_size:
                stream.truncate(0)
        except OSError as error:
            raise writing_failed(self.path, error) from error
        atomic.write_text(self._note, json.dumps({"url": address, "version": version, "total": total}))

    def append(self, stream: io.FileIO, block: bytes) -> None:
        """Add bytes. Where the disk is full, all that was fetched goes: others need the space too."""
        rest = memoryview(block)
        try:
            while rest:
                rest = rest[stream.write(rest) :]
        except OSError as error:
            failure = writing_failed(self.path, error)
            if isinstance(failure, DiskFull):
                self.forget()
            raise failure from error

    def finish(self, stream: io.FileIO) -> None:
        """Give the file its own name, durably."""
        try:
            os.fsync(stream.fileno())
            os.replace(self.path, self.target)
            self._note.unlink(missing_ok=True)
            atomic.sync_folder(self.target.parent)
        except OSError as error:
            raise writing_failed(self.target, error) from error

    def forget_if_empty(self) -> bool:
        """Throw it away if there is nothing in it to go on from; return whether that was so."""
        try:
            empty = self.path.stat().st_size == 0 or not self.source()[1]
        except FileNotFoundError:
            return True
        if empty:
            self.forget()
        return empty

    def forget(self) -> None:
        """Throw it away."""
        for file in (self.path, self._note):
            with contextlib.suppress(OSError):
                file.unlink()

    def _lock(self, stream: io.FileIO) -> bool:
        try:
            import fcntl
        except ImportError:  # Windows refuses to rename an open file, which protects as well
            return True
        try:
            fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # shares without locks
            return True
        try:
            return os.path.samestat(os.fstat(stream.fileno()), os.stat(self.path))
        except FileNotFoundError:  # finished by the other while this one was opening it
            return False


def _fetch(
    spec: ModelSpec,
    address: str,
    partial: _Partial,
    stream: io.FileIO,
    progress: Callable[[int, int | None], None] | None,
) -> None:
    """Complete the partial file; what is in it afterwards is as long as the server said, and not yet verified."""
    have = os.fstat(stream.fileno()).st_size
    source, version, total = partial.source()
    if source != address or not version:
        have = 0
    if have and have == total:
        return
    with _network(spec, address, partial):
        response = _ask(address, have, version)
        if response is None:
            have, response = 0, _ask(address, 0, "")
        if response is None:
            raise DownloadFailed(f"{printable(address)}: the server answers 416 to a whole file")
        with response:
            if response.status != http.HTTPStatus.PARTIAL_CONTENT:
                have = 0
            left = response.headers.get("Content-Length")
            total = have + int(left) if left is not None and left.isdecimal() else None
            _refuse_too_large(spec, address, partial, total)
            _refuse_without_space(partial, None if total is None else total - have)
            if not have:
                partial.begin(stream, address, _version(response), total)
            while block := response.read(_BLOCK):
                _refuse_too_large(spec, address, partial, have + len(block))
                partial.append(stream, block)
                have += len(block)
                if progress is not None:
                    progress(have, total)
        expected = spec.size if total is None else total
        if expected is not None and have < expected:
            raise ConnectionResetError(errno.ECONNRESET, f"broke off after {have} of {expected} bytes")


def _ask(address: str, offset: int, version: str) -> http.client.HTTPResponse | None:
    """Ask for a file from an offset on; None where the server says that there is nothing from there on."""
    from urllib.error import HTTPError
    from urllib.request import Request

    headers = {"User-Agent": "alphadrop"}
    if offset:
        headers |= {"Range": f"bytes={offset}-", "If-Range": version}
    try:
        response: http.client.HTTPResponse = _opener().open(Request(address, headers=headers), timeout=_TIMEOUT)  # noqa: S310 - http(s) only
    except HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return None
        raise
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        begins = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
        if begins != str(offset):
            response.close()
            return None
    return response


def _opener() -> OpenerDirector:
    """Return an opener that knows http and https, also after a redirect, and nothing else."""
    from urllib import request

    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(),
        request.HTTPHandler(),
        request.HTTPSHandler(),
        request.HTTPRedirectHandler(),
        request.HTTPErrorProcessor(),
        request.HTTPDefaultErrorHandler(),
        request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _version(response: http.client.HTTPResponse) -> str:
    """Return what the server calls this version of the file, if that is good enough for going on with it (RFC 9110)."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


@contextlib.contextmanager
def _network(spec: ModelSpec, address: str, partial: _Partial) -> Iterator[None]:
    from urllib.error import HTTPError, URLError

    hint = f"check the network, or fetch {address} by other means and put it at {printable(partial.target)}"
    try:
        yield
    except HTTPError as error:
        partial.forget_if_empty()
        raise DownloadFailed(
            f"{printable(address)}: cannot be fetched: the server answers {error.code} {error.reason}", hint
        ) from error
    except (OSError, http.client.HTTPException) as error:
        if not partial.forget_if_empty():
            hint = f"run it again and it goes on from there: alphadrop models pull {spec.name}"
        cause = error.reason if isinstance(error, URLError) else error
        reason = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
        raise DownloadFailed(f"{printable(address)}: cannot be fetched: {reason}", hint) from error


def _refuse_too_large(spec: ModelSpec, address: str, partial: _Partial, size: int | None) -> None:
    limit = _LARGEST if spec.size is None else spec.size
    if size is not None and size > limit:
        partial.forget()
        raise ModelDamaged(
            f"{printable(address)}: expected at most {limit} bytes, got {size} or more",
            "nothing was kept; the file on the server is not the one meant",
        )


def _refuse_without_space(partial: _Partial, needed: int | None) -> None:
    free = shutil.disk_usage(partial.path.parent).free
    if needed is not None and needed > free:
        partial.forget_if_empty()
        raise DiskFull(
            f"{printable(partial.target)}: needs {needed} bytes more, and {free} are free",
            "free some space or choose another folder",
        )
