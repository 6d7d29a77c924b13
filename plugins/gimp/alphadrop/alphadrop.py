#!/usr/bin/env python3
"""Remove Background for GIMP 3: the selected layers get a mask that shows their subject.

The Alphadrop daemon of this user finds the matte; the pixels reach it through its Unix socket and leave the machine
never. This file is the whole plug-in: it runs in the Python that GIMP brings, with the standard library and gi only.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import gi

gi.require_version("Gegl", "0.4")
gi.require_version("Gimp", "3.0")
from gi.repository import Gegl, Gimp, GLib, GObject  # noqa: E402

PROCEDURE = "plug-in-alphadrop-remove-background"
TITLE = "Remove Background"
API_VERSION = 1
PROGRAM: list[str] = []
"""The command of the Alphadrop that this was installed by; set by: alphadrop gimp install."""
VERSION: str = ""
"""The version of the Alphadrop that this was installed by; set by: alphadrop gimp install."""
STRIP = 128
"""Rows read or written at once: faster than the whole picture, and it is never in memory twice."""
MASK = "Y u8"
"""Masks are linear; the curve of Y' would bend the middle of every soft edge."""
SENDING = 0.3
"""Part of the progress that is done when the pixels are sent."""
SOCKET_PATIENCE = 30.0
"""Seconds for one send or receive."""
ANSWER_PATIENCE = 330.0
"""Seconds for the matte; the daemon gives up first, and says why."""


class Failed(Exception):
    """Something the user should read: what happened, and on a line of its own what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}\n{hint}" if hint else message)


class Alphadrop(Gimp.PlugIn):
    """The plug-in as GIMP sees it."""

    def do_set_i18n(self, _name: str) -> bool:
        """Return that there are no translations yet."""
        return False

    def do_query_procedures(self) -> list[str]:
        """Return the names of what the plug-in can do."""
        return [PROCEDURE]

    def do_create_procedure(self, name: str) -> Gimp.Procedure:
        """Describe the procedure: its place in the menu, and the arguments its dialog is made from."""
        procedure = Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, _run, None)
        procedure.set_image_types("*")
        procedure.set_sensitivity_mask(Gimp.ProcedureSensitivityMask.DRAWABLE | Gimp.ProcedureSensitivityMask.DRAWABLES)
        procedure.set_menu_label("Remove _Background...")
        procedure.add_menu_path("<Image>/Layer/Transparency/[Modify]")
        procedure.set_documentation(
            "Hide everything but the subject with a layer mask",
            "Asks the Alphadrop daemon on this machine for the subject of each selected layer and puts it into the "
            "layer's mask. A mask that is there already is multiplied with it. The pixels are not changed.",
            name,
        )
        procedure.set_attribution("The Alphadrop developers", "The Alphadrop developers", "2026")
        edges = Gimp.Choice.new()
        edges.add("refined", 0, "Refined", "Follow the edges of the picture, for hair, fur and leaves")
        edges.add("plain", 1, "Plain", "Take the outline as it was found, smooth and soft")
        procedure.add_choice_argument(
            "edges", "_Edges", "How the mask meets the subject's edge", edges, "refined", GObject.ParamFlags.READWRITE
        )
        return procedure


def _run(
    procedure: Gimp.Procedure,
    run_mode: Gimp.RunMode,
    image: Gimp.Image,
    drawables: list[Gimp.Drawable],
    config: Gimp.ProcedureConfig,
    _data: object,
) -> Gimp.ValueArray:
    if run_mode == Gimp.RunMode.INTERACTIVE and not _asked(procedure, config):
        return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, None)
    try:
        _remove_background(image, _layers(drawables), config.get_property("edges"))
    except Failed as failure:
        error = GLib.Error.new_literal(Gimp.PlugIn.error_quark(), str(failure), 0)
        return procedure.new_return_values(Gimp.PDBStatusType.EXECUTION_ERROR, error)
    return procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, None)


def _asked(procedure: Gimp.Procedure, config: Gimp.ProcedureConfig) -> bool:
    """Show the dialog; return whether the user went on."""
    gi.require_version("GimpUi", "3.0")
    from gi.repository import GimpUi  # needs a display, which a run without a dialog may not have

    GimpUi.init(PROCEDURE)
    dialog = GimpUi.ProcedureDialog.new(procedure, config, TITLE)
    try:
        dialog.fill(None)
        return bool(dialog.run())
    finally:
        dialog.destroy()


def _layers(drawables: list[Gimp.Drawable]) -> list[Gimp.Layer]:
    """Return the layers meant by a selection; a selected mask means its layer."""
    layers: list[Gimp.Layer] = []
    for drawable in drawables:
        layer = Gimp.Layer.from_mask(drawable) if isinstance(drawable, Gimp.LayerMask) else drawable
        if not isinstance(layer, Gimp.Layer):
            raise Failed(f"“{drawable.get_name()}” is not a layer.", "Select one or more layers.")
        if layer.is_floating_sel():
            raise Failed("A floating selection cannot have a mask.", "Anchor it, or make it a layer, first.")
        if layer not in layers:
            layers.append(layer)
    if not layers:
        raise Failed("No layer is selected.", "Select one or more layers.")
    return layers


def _remove_background(image: Gimp.Image, layers: list[Gimp.Layer], edges: str) -> None:
    """Give each layer its mask; until every matte has come, nothing is changed."""
    Gimp.progress_init(TITLE)
    masks: list[tuple[Gimp.Layer, Gimp.LayerMask]] = []
    nothing_found = []
    for done, layer in enumerate(layers):
        alpha = _matte(layer, edges, done, len(layers))
        if alpha is None:
            nothing_found.append(layer.get_name())
        else:
            masks.append((layer, _mask(layer, alpha)))
    if masks:
        image.undo_group_start()
        try:
            for layer, mask in masks:
                _put_on(layer, mask)
        finally:
            image.undo_group_end()
            Gimp.displays_flush()
    Gimp.progress_end()
    for name in nothing_found:
        Gimp.message(
            f"Nothing stands out in the layer “{name}”: no subject was found, and the layer was left as it is."
        )


def _matte(layer: Gimp.Layer, edges: str, done: int, count: int) -> bytes | None:
    """Return the matte of a layer's pixels, one byte a pixel; None where there is no subject."""
    width, height = layer.get_width(), layer.get_height()
    format, channels = _layout(layer)
    Gimp.progress_set_text(f"{TITLE}: sending “{layer.get_name()}”")
    with _connected() as connection:
        connection.putrequest("POST", f"/v1/matte?width={width}&height={height}&channels={channels}&edges={edges}")
        connection.putheader("Content-Type", "application/octet-stream")
        connection.putheader("Content-Length", str(width * height * channels))
        # A daemon that refuses may answer and hang up before all is sent; its answer is then there to be read.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.endheaders()
            for top, strip in _strips(layer, format, channels):
                connection.send(strip)
                Gimp.progress_update((done + SENDING * top / height) / count)
        Gimp.progress_set_text(f"{TITLE}: looking for the subject of “{layer.get_name()}”")
        _wait_for_answer(connection.sock)
        response = connection.getresponse()
        answer = response.read()
    if response.status != http.client.OK:
        raise _refusal(response.status, answer)
    Gimp.progress_update((done + 1) / count)
    if response.getheader("Alphadrop-Outcome") == "no_subject":
        return None
    if len(answer) != width * height:
        raise _nonsense(f"{len(answer)} bytes for {width} × {height} pixels")
    return answer


def _layout(layer: Gimp.Layer) -> tuple[str, int]:
    """Return the Babl format to read a layer in, and its channels.

    It is 8-bit sRGB whatever the image's precision and profile, and else as near to the layer as can be: Babl takes a
    third of a second to find its way from RGB to RGBA. A format that does not exist would end the process.
    """
    grey, transparent = layer.is_gray(), layer.has_alpha()
    format = ("Y'" if grey else "R'G'B'") + ("A u8" if transparent else " u8")
    return format, (1 if grey else 3) + (1 if transparent else 0)


def _strips(drawable: Gimp.Drawable, format: str, channels: int) -> Iterator[tuple[int, bytes]]:
    """Yield a drawable's own pixels from top to bottom: the row where a strip ends, and its bytes."""
    buffer = drawable.get_buffer()
    width, height = drawable.get_width(), drawable.get_height()
    for area in _areas(width, height):
        strip = buffer.get(area, 1.0, format, Gegl.AbyssPolicy.NONE)
        if len(strip) != width * area.height * channels:
            raise Failed(f"GIMP gave {len(strip)} bytes for {area.height} rows of “{drawable.get_name()}”.")
        yield area.y + area.height, strip


def _areas(width: int, height: int) -> Iterator[Gegl.Rectangle]:
    for top in range(0, height, STRIP):
        yield Gegl.Rectangle.new(0, top, width, min(STRIP, height - top))


def _mask(layer: Gimp.Layer, alpha: bytes) -> Gimp.LayerMask:
    """Return a mask for a layer, not put on yet: the matte, times the mask that the layer has."""
    mask = layer.create_mask(Gimp.AddMaskType.WHITE)
    if mask is None:
        raise Failed(f"GIMP makes no mask for “{layer.get_name()}”.")
    buffer = mask.get_buffer()
    width, height = layer.get_width(), layer.get_height()
    if (mask.get_width(), mask.get_height()) != (width, height) or len(alpha) != width * height:
        raise Failed(f"“{layer.get_name()}” changed its size meanwhile.", "Try again.")
    for area in _areas(width, height):
        buffer.set(area, MASK, alpha[area.y * width : (area.y + area.height) * width])
    buffer.flush()
    old = layer.get_mask()
    if old is not None:
        _multiply(buffer, old.get_buffer())
    return mask


def _multiply(target: Gegl.Buffer, other: Gegl.Buffer) -> None:
    """Multiply a buffer with another, in linear light and with all the bits that they have."""
    Gegl.init(None)  # buffers work without, operations do not
    area = target.get_extent()
    product = Gegl.Buffer.new("Y float", area.x, area.y, area.width, area.height)
    graph = Gegl.Node()
    first, second, times, write = (
        graph.create_child(f"gegl:{name}") for name in ("buffer-source", "buffer-source", "multiply", "write-buffer")
    )
    first.set_property("buffer", target)
    second.set_property("buffer", other)
    write.set_property("buffer", product)
    first.connect_to("output", times, "input")
    second.connect_to("output", times, "aux")
    times.connect_to("output", write, "input")
    write.process()
    product.copy(area, Gegl.AbyssPolicy.NONE, target, area)
    target.flush()


def _put_on(layer: Gimp.Layer, mask: Gimp.LayerMask) -> None:
    """Give a layer its new mask in place of the one it has; GIMP's calls say no by returning False."""
    if layer.get_mask() is not None and not layer.remove_mask(Gimp.MaskApplyMode.DISCARD):
        raise Failed(f"GIMP would not replace the mask of “{layer.get_name()}”.")
    if not layer.add_mask(mask):
        raise Failed(f"GIMP would not add a mask to “{layer.get_name()}”.")
    layer.set_edit_mask(False)


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=SOCKET_PATIENCE)
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SOCKET_PATIENCE)
        self.sock.connect(os.fspath(self._path))


@contextlib.contextmanager
def _connected() -> Iterator[_Connection]:
    """Yield a connection to the daemon; whatever goes wrong on it becomes a sentence."""
    folder = _run_folder()
    _check_version(folder / "endpoint.json")
    if not hasattr(socket, "AF_UNIX"):
        raise Failed("GIMP's Python has no Unix sockets on this system, and Alphadrop listens on one.")
    connection = _Connection(folder / "api.sock")
    try:
        try:
            connection.connect()
        except (FileNotFoundError, ConnectionRefusedError):
            raise _not_running() from None
        yield connection
    except TimeoutError:
        raise Failed("Alphadrop does not answer.", "See how it is with: alphadrop status") from None
    except (OSError, http.client.HTTPException) as error:
        raise Failed(
            f"The connection to Alphadrop failed: {error or type(error).__name__}",
            "See how it is with: alphadrop status",
        ) from None
    finally:
        connection.close()


def _run_folder() -> Path:
    """Return the folder of the daemon's socket, literally: a sandbox shows other XDG variables than the daemon saw."""
    override = os.environ.get("ALPHADROP_RUN_DIR")
    return Path(override).expanduser() if override else Path.home() / ".local" / "share" / "alphadrop" / "run"


def _check_version(endpoint: Path) -> None:
    try:
        version = json.loads(endpoint.read_bytes()).get("api")
    except FileNotFoundError:
        raise _not_running() from None
    except (OSError, ValueError, AttributeError) as error:
        raise Failed(
            f"{endpoint} cannot be read: {error}", "Restart the daemon: alphadrop stop, then alphadrop run"
        ) from None
    if version != API_VERSION:
        raise Failed(
            f"The daemon speaks version {version} of the API, this plug-in version {API_VERSION}.",
            "Install the plug-in that came with your Alphadrop, and restart the daemon.",
        )


def _wait_for_answer(answering: socket.socket) -> None:
    """Wait until the first byte of the answer is there, with a sign of life in the status bar."""
    deadline = time.monotonic() + ANSWER_PATIENCE
    while not select.select([answering], [], [], 0.1)[0]:
        if time.monotonic() > deadline:
            raise TimeoutError
        Gimp.progress_pulse()


def _not_running() -> Failed:
    return Failed("Alphadrop is not running.", "Start it in a terminal with: alphadrop run")


def _refusal(status: int, answer: bytes) -> Failed:
    """Return what the daemon said was wrong."""
    try:
        told = json.loads(answer)["error"]
        return Failed(str(told["message"]), str(told.get("hint", "")))
    except (ValueError, KeyError, TypeError, AttributeError):
        return _nonsense(f"status {status}")


def _nonsense(what: str) -> Failed:
    return Failed(f"Alphadrop's answer makes no sense: {what}.", "Restart it: alphadrop stop, then alphadrop run")


Gimp.main(Alphadrop.__gtype__, sys.argv)
