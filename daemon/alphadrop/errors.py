"""Every way Alphadrop can fail, as one tree.

* AlphadropError
  + PhotoError              this photograph cannot be cut; trying again will not help
    - EmptyPhoto            the file has no bytes
    - UnsupportedFormat     not a picture, or of a format that is not opened
    - DamagedPhoto          cut off or corrupt
    - CrashesDecoder        ended the process that opened it, three times
    - PhotoTooLarge         more pixels than the limit, said by its header
    - NoSubject             nothing to cut out (the library's answer; elsewhere an outcome)
  + FileError               the file system said no; most of these pass
    - CannotRead            no permission, gone, input/output error
    - CannotWrite           no permission, read-only, folder gone
    - DiskFull              no space or no quota left
    - TargetExists          something is there that may not be replaced
    - InputChanged          the file changed while it was being read
  + ModelError
    - UnknownModel          no row of this name in the registry
    - ModelMissing          a row, but no file on this machine
    - ModelDamaged          the file's checksum is wrong, or it is not a usable network
    - LicenceRefused        non-commercial, and not accepted
    - DownloadFailed        no network, or the server broke off
    - ProviderUnavailable   the execution provider asked for is not to be had
    - QuantizeFailed        the calibration found nothing to work with
    - ExplainFailed         what is inside the network cannot be shown
      * ExtraMissing        the package that this needs is not installed
  + ConfigError             all problems of a configuration at once
  + BadOptions              options that contradict each other or make no sense
  + DaemonError
    - AlreadyRunning        another daemon holds the lock
    - NotRunning            no daemon answers
    - DaemonAnswered        the daemon answered with an error of its own
    - SocketUnavailable     no place for the daemon's socket
    - NotYours              the daemon belongs to another user
    - TooBusy               as much is asked of the daemon as it takes at once
    - NoPage                there is no web page to be had
    - CodeRefused           the code for the web page is used up, too old or no code at all
    - NoSuchKey             no browser has a key of this name
  + GimpError               something about GIMP
    - NoGimp                no GIMP 3 is found
    - GimpNotStarted        it has no folder of plug-ins yet, and has to make that itself
    - PlugInUnusable        the plug-in that came with Alphadrop is not what it should be
  + DesktopError            something about the desktop that this runs in
    - TrayRuns              the icon is in the panel already
    - NoTray                there is no way to put it there
    - CannotOpen            no program was found that opens a file, folder or page
  + NotWhole                this installation is not what it should be
  + LedgerError             the record of files cannot be used
    - LedgerDamaged         it is not a database, or no longer a whole one
    - LedgerTooNew          a newer Alphadrop wrote it
  + BatchError              something about a batch
    - BatchRunning          another batch works on the same target
    - BatchStopped          what was met concerns every photograph that is left
    - ScaleMissing          object stores and Ray need an extra that is not installed
    - StoreRefused          an object store said no: credentials, or there is no such bucket
    - ClusterUnavailable    Ray cannot be started or reached
  + NoSuchJob               the record has no file of this number
  + NoSuchPhoto             an upload of this number is not kept, or no longer
  + NoSuchExplanation       pictures of this number are not kept, or no longer
  + JobRefused              what was asked of a file cannot be done with it
  + Cancelled               nobody waits for the result any more

Each has a stable `code`, a `message` that names the thing concerned, and a `hint` that says what to do.
"""

from __future__ import annotations

import codecs
import errno
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

__all__ = [
    "AlphadropError",
    "AlreadyRunning",
    "BadOptions",
    "BatchError",
    "BatchRunning",
    "BatchStopped",
    "Cancelled",
    "CannotOpen",
    "CannotRead",
    "CannotWrite",
    "ClusterUnavailable",
    "CodeRefused",
    "ConfigError",
    "ConfigProblem",
    "CrashesDecoder",
    "DaemonAnswered",
    "DaemonError",
    "DamagedPhoto",
    "DesktopError",
    "DiskFull",
    "DownloadFailed",
    "EmptyPhoto",
    "ExplainFailed",
    "ExtraMissing",
    "FileError",
    "GimpError",
    "GimpNotStarted",
    "InputChanged",
    "JobRefused",
    "LedgerDamaged",
    "LedgerError",
    "LedgerTooNew",
    "LicenceRefused",
    "ModelDamaged",
    "ModelError",
    "ModelMissing",
    "NoGimp",
    "NoPage",
    "NoSubject",
    "NoSuchExplanation",
    "NoSuchJob",
    "NoSuchKey",
    "NoSuchPhoto",
    "NoTray",
    "NotRunning",
    "NotWhole",
    "NotYours",
    "PhotoError",
    "PhotoTooLarge",
    "PlugInUnusable",
    "ProviderUnavailable",
    "QuantizeFailed",
    "ScaleMissing",
    "SocketUnavailable",
    "StoreRefused",
    "TargetExists",
    "TooBusy",
    "TrayRuns",
    "UnknownModel",
    "UnsupportedFormat",
    "printable",
    "reading_failed",
    "removing_failed",
    "writing_failed",
]


_escape = codecs.getencoder("unicode_escape")
"""Found beforehand: where a log says that no file can be opened any more, none could be to find it."""


def printable(text: str | bytes | Path) -> str:
    """Return a file name as one line that any log, terminal or JSON can hold (no surrogates, no control characters)."""
    if not isinstance(text, bytes):
        text = b"".join(_raw(character) for character in str(text))
    decoded = text.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else _escape(c)[0].decode("ascii") for c in decoded)


def _raw(character: str) -> bytes:
    """Return a character's bytes, those of an undecodable byte being that byte, as the file system has it."""
    return character.encode("utf-8", "surrogateescape" if "\udc80" <= character <= "\udcff" else "backslashreplace")


class AlphadropError(Exception):
    """The root: one message for a person, one hint, one stable code for programs."""

    code: ClassVar[str] = "error"
    transient: ClassVar[bool] = False
    """True where waiting may help: the same file is tried again later."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class PhotoError(AlphadropError):
    """The photograph cannot be cut, today or tomorrow."""

    code = "photo"


class EmptyPhoto(PhotoError):
    """The file has no bytes."""

    code = "empty"


class UnsupportedFormat(PhotoError):
    """Not a picture, or a picture of a format that is not opened."""

    code = "unsupported_format"


class DamagedPhoto(PhotoError):
    """The picture is cut off or corrupt."""

    code = "damaged"


class CrashesDecoder(PhotoError):
    """Opening the picture ended the process that did it, each time."""

    code = "crashes_decoder"


class PhotoTooLarge(PhotoError):
    """The header claims more pixels than the limit."""

    code = "too_large"


class NoSubject(PhotoError):
    """The network found nothing that stands out. Raised only where there is no other way to say it."""

    code = "no_subject"


class FileError(AlphadropError):
    """The file system refused."""

    code = "file"
    transient = True


class CannotRead(FileError):
    """The input cannot be opened or read."""

    code = "cannot_read"


class CannotWrite(FileError):
    """The output cannot be written."""

    code = "cannot_write"


class DiskFull(FileError):
    """No space or quota left for the output."""

    code = "disk_full"


class TargetExists(FileError):
    """Something that may not be replaced has the output's name."""

    code = "target_exists"
    transient = False


class InputChanged(FileError):
    """The input was written to or replaced while it was being read."""

    code = "input_changed"


class ModelError(AlphadropError):
    """Something about a model."""

    code = "model"


class UnknownModel(ModelError):
    """The registry has no row of this name."""

    code = "unknown_model"


class ModelMissing(ModelError):
    """The registry knows the model; its file is not on this machine."""

    code = "model_missing"
    transient = True


class ModelDamaged(ModelError):
    """The model's file has a wrong checksum or cannot be run."""

    code = "model_damaged"
    transient = True


class LicenceRefused(ModelError):
    """The weights are for non-commercial use and this was not accepted."""

    code = "licence"


class DownloadFailed(ModelError):
    """The download could not be made or finished."""

    code = "download"
    transient = True


class ProviderUnavailable(ModelError):
    """The execution provider asked for is not to be had here."""

    code = "provider"


class QuantizeFailed(ModelError):
    """The model could not be quantized."""

    code = "quantize"


class ExplainFailed(ModelError):
    """What is inside the model's network cannot be shown."""

    code = "explain"


class ExtraMissing(ExplainFailed):
    """The package that looking into networks needs is not installed."""

    code = "extra_missing"


class BadOptions(AlphadropError):
    """Options that contradict each other or make no sense."""

    code = "bad_options"


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing wrong in a configuration, with its place."""

    file: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{printable(self.file)}:{self.line}: {self.message}"


class ConfigError(AlphadropError):
    """Everything wrong in a configuration, found in one reading."""

    code = "config"

    def __init__(self, problems: tuple[ConfigProblem, ...]) -> None:
        noun = "problem" if len(problems) == 1 else "problems"
        lines = "".join(f"\n  {problem}" for problem in problems)
        super().__init__(f"{len(problems)} {noun} in the configuration:{lines}")
        self.problems = problems


class DaemonError(AlphadropError):
    """Something about the resident process."""

    code = "daemon"


class AlreadyRunning(DaemonError):
    """Another daemon of this user holds the lock."""

    code = "already_running"


class NotRunning(DaemonError):
    """No daemon answers."""

    code = "not_running"


class DaemonAnswered(DaemonError):
    """The daemon answered with an error; its code, message and hint are passed on."""

    code = "daemon_answered"

    def __init__(self, status: int, remote_code: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.status = status
        self.remote_code = remote_code


class SocketUnavailable(DaemonError):
    """The daemon's socket cannot be made where it should be."""

    code = "socket"


class NotYours(DaemonError):
    """The daemon belongs to another user."""

    code = "not_yours"


class TooBusy(DaemonError):
    """As much is asked of the daemon as it takes at once."""

    code = "too_busy"
    transient = True


class NoPage(DaemonError):
    """There is no web page to be had: it is turned off, or there is no port for it."""

    code = "no_page"


class CodeRefused(DaemonError):
    """The code that a browser shows for its key is used up, too old, or none."""

    code = "code_refused"


class NoSuchKey(DaemonError):
    """No browser has a key of this name."""

    code = "no_such_key"


class GimpError(AlphadropError):
    """Something about GIMP."""

    code = "gimp"


class NoGimp(GimpError):
    """No GIMP 3 is found."""

    code = "no_gimp"


class GimpNotStarted(GimpError):
    """GIMP has no folder of plug-ins yet, and has to make that itself."""

    code = "gimp_not_started"


class PlugInUnusable(GimpError):
    """The plug-in that came with Alphadrop is not what it should be."""

    code = "plug_in"


class DesktopError(AlphadropError):
    """Something about the desktop that this runs in."""

    code = "desktop"


class TrayRuns(DesktopError):
    """Another process of this user has the icon in the panel."""

    code = "tray_runs"


class NoTray(DesktopError):
    """There is no way to put an icon into a panel here."""

    code = "no_tray"


class CannotOpen(DesktopError):
    """No program was found that opens a file, a folder or a page."""

    code = "cannot_open"


class NotWhole(AlphadropError):
    """A file that came with Alphadrop is not what it should be, or its program cannot be found."""

    code = "not_whole"


class LedgerError(AlphadropError):
    """The record of files cannot be used now."""

    code = "ledger"
    transient = True


class LedgerDamaged(LedgerError):
    """The record of files is not a database, or no longer a whole one."""

    code = "ledger_damaged"


class LedgerTooNew(LedgerError):
    """The record of files was written by a newer Alphadrop."""

    code = "ledger_too_new"
    transient = False


class BatchError(AlphadropError):
    """Something about a batch as a whole."""

    code = "batch"


class BatchRunning(BatchError):
    """Another batch works on the same target."""

    code = "batch_running"


class BatchStopped(BatchError):
    """What was met concerns every photograph that is left, and so they were left."""

    code = "batch_stopped"


class ScaleMissing(BatchError):
    """Object stores and Ray need packages that are not installed."""

    code = "scale_missing"


class StoreRefused(BatchError):
    """An object store said no: wrong credentials, no rights, or no such bucket."""

    code = "store_refused"
    transient = True


class ClusterUnavailable(BatchError):
    """Ray cannot be started or reached."""

    code = "cluster"


class NoSuchJob(AlphadropError):
    """The record has no file of this number."""

    code = "no_such_job"


class NoSuchPhoto(AlphadropError):
    """An upload of this number is not kept, or no longer."""

    code = "no_such_photo"


class NoSuchExplanation(AlphadropError):
    """The pictures of this number are not kept, or no longer; or none of them has this name."""

    code = "no_such_explanation"


class JobRefused(AlphadropError):
    """What was asked of a file of the record cannot be done with it."""

    code = "job_refused"


class Cancelled(AlphadropError):
    """Nobody waits for the result any more."""

    code = "cancelled"
    transient = True


def reading_failed(path: Path | bytes | str, error: OSError) -> CannotRead:
    """Turn an OSError met while reading into an error that says what to do."""
    advice = {
        errno.EACCES: "give yourself read permission",
        errno.EPERM: "give yourself read permission",
        errno.ENOENT: "check the name",
        errno.EISDIR: "name a file, not a folder",
        errno.ELOOP: "symbolic links are not followed here; name the file itself",
        errno.EMFILE: "raise the limit of open files (ulimit -n)",
        errno.EIO: "check the disk or the network share",
    }
    return CannotRead(f"{printable(path)}: cannot be read: {_reason(error)}", advice.get(error.errno or 0, ""))


def writing_failed(path: Path | bytes | str, error: OSError) -> FileError:
    """Turn an OSError met while writing into an error that says what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"{printable(path)}: no space left to write it", "free some space or choose another folder")
    if error.errno == errno.EEXIST:
        return TargetExists(f"{printable(path)}: exists already", "choose another name")
    advice = {
        errno.EACCES: "give yourself write permission",
        errno.EPERM: "give yourself write permission",
        errno.EROFS: "the file system is read-only; choose another folder",
        errno.ENOENT: "make the folder first",
        errno.ENOTDIR: "a file is where a folder should be",
        errno.ENAMETOOLONG: "choose a shorter name",
    }
    return CannotWrite(f"{printable(path)}: cannot be written: {_reason(error)}", advice.get(error.errno or 0, ""))


def removing_failed(path: Path | bytes | str, error: OSError) -> CannotWrite:
    """Turn an OSError met while removing into an error that says what to do."""
    return CannotWrite(f"{printable(path)}: cannot be removed: {_reason(error)}", "give yourself write permission")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
