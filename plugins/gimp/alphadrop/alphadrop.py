#!/usr/bin/env python3
"""Remove Background for GIMP 3: a mask, a new layer or transparency that leaves of each layer its subject.

The Alphadrop daemon of this user finds the matte; the pixels never leave the machine. This file is the whole plug-in:
it runs in the Python that GIMP brings, with the standard library and gi only.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

import gi

gi.require_version("Babl", "0.1")
gi.require_version("Gegl", "0.4")
gi.require_version("Gimp", "3.0")
from gi.repository import Babl, Gegl, Gimp, GLib, GObject  # noqa: E402

PROCEDURE = "plug-in-alphadrop-remove-background"
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
RECEIVING = 0.1
"""Part of it that is left when the matte begins to come."""
SOCKET_PATIENCE = 30.0
"""Seconds for one send or receive."""
ANSWER_PATIENCE = 330.0
"""Seconds for the matte; the daemon gives up first, and says why."""
LIST_PATIENCE = 2.0
"""Seconds that the dialog waits for the list of models."""
START_PATIENCE = 90.0
"""Seconds for the daemon to start."""
SOFT = re.compile(rb"[\x01-\xfe]+")
"""A run of pixels that are partly subject, in a matte."""
WHOLLY = re.compile(rb"\xff+")
"""A run of pixels that are wholly subject."""
HIDDEN = re.compile(rb"\x00+")
HARD = bytes(0 if value < 128 else 255 for value in range(256))
"""What becomes of a matte where a pixel is either visible or not."""

CHINESE = {
    "Remove Background": "移除背景",
    "Remove _Background...": "移除背景(_B)...",
    "Leave of each selected layer its subject": "只保留所选图层的主体",
    "Asks the Alphadrop daemon on this machine for the subject of each selected layer, and puts it into the layer's "
    "mask, into a new layer, or makes the rest transparent.": "由本机的 Alphadrop 服务找出每个所选图层的主体，"
    "并将其写入图层蒙版、放入新图层，或将其余部分变为透明。",
    "Resul_t": "结果(_T)",
    "What becomes of the layer": "如何处理图层",
    "Layer mask": "图层蒙版",
    "Hide the background; the pixels stay as they are": "隐藏背景，像素保持不变",
    "New layer": "新图层",
    "Put the subject on a layer of its own and hide the layer it came from": "将主体放到单独的图层，并隐藏原图层",
    "Erase to transparency": "擦除为透明",
    "Make the background of the layer itself transparent": "将图层自身的背景变为透明",
    "_Model": "模型(_M)",
    "The model that finds the subject; nothing for the one that Alphadrop is set to": "用于寻找主体的模型；"
    "留空则使用 Alphadrop 设置的模型",
    "Default": "默认",
    "Default ({model})": "默认（{model}）",
    "{model} (not installed)": "{model}（未安装）",
    "{model} (not for commercial use)": "{model}（不可用于商业用途）",
    "_Edges": "边缘(_E)",
    "How the result meets the subject's edge": "如何处理主体的边缘",
    "Refined": "精细",
    "Follow the edges of the picture, for hair, fur and leaves": "贴合图像的边缘，适合头发、毛皮和树叶",
    "Plain": "平滑",
    "Take the outline as it was found, smooth and soft": "使用原始轮廓，平滑柔和",
    "Search the selectio_n only": "仅在选区内寻找(_N)",
    "Look for the subject inside the selection, and hide all that is outside": "只在选区内寻找主体，"
    "选区外的部分全部隐藏",
    "“{name}” is not a layer.": "“{name}”不是图层。",
    "Select one or more layers.": "请选择一个或多个图层。",
    "A floating selection cannot be cut out.": "浮动选区无法移除背景。",
    "Anchor it, or make it a layer, first.": "请先将其固定，或转换为图层。",
    "No layer is selected.": "没有选择图层。",
    "“{name}” is a layer group, whose pixels cannot be erased.": "“{name}”是图层组，其像素无法擦除。",
    "Choose a layer mask or a new layer.": "请选择“图层蒙版”或“新图层”。",
    "The pixels of “{name}” are locked.": "“{name}”的像素已锁定。",
    "The alpha channel of “{name}” is locked.": "“{name}”的 Alpha 通道已锁定。",
    "The visibility of “{name}” is locked.": "“{name}”的可见性已锁定。",
    "Unlock it, or choose a layer mask.": "请解除锁定，或选择“图层蒙版”。",
    "The selection does not touch “{name}”.": "选区与“{name}”不相交。",
    "Change the selection, or have the whole layer searched.": "请更改选区，或在整个图层中寻找。",
    "This image is indexed: a pixel of it is either visible or not. Soft edges become hard where transparency is "
    "written; Image > Mode > RGB keeps them soft.": "此图像为索引色：像素只能完全可见或完全不可见。写入透明度时，"
    "柔和的边缘会变硬；改用“图像 > 模式 > RGB”可保留柔和的边缘。",
    "Nothing stands out in the layer “{name}”: no subject was found, and the layer was left as it is.": "图层“{name}”中"
    "没有突出的内容：未找到主体，图层保持不变。",
    "Sending “{name}”": "正在发送“{name}”",
    "Looking for the subject of “{name}”": "正在寻找“{name}”的主体",
    "Receiving the cut-out of “{name}”": "正在接收“{name}”的抠图",
    "GIMP gave {got} bytes for {rows} rows of “{name}”.": "GIMP 为“{name}”的 {rows} 行返回了 {got} 字节。",
    "GIMP would not change “{name}” ({step}).": "GIMP 未能更改“{name}”（{step}）。",
    "Undo what was done of it.": "请撤销已完成的部分。",
    "“{name}” changed its size meanwhile.": "“{name}”的大小在此期间发生了变化。",
    "Try again.": "请重试。",
    "Alphadrop is not running.": "Alphadrop 未运行。",
    "Start it in a terminal with: alphadrop run": "请在终端中启动：alphadrop run",
    "It is the program that finds the subject. Start it now? It goes on running when GIMP ends.": "Alphadrop "
    "是负责寻找主体的程序。现在启动吗？GIMP 退出后它会继续运行。",
    "_Cancel": "取消(_C)",
    "_Start Alphadrop": "启动 Alphadrop(_S)",
    "Starting Alphadrop": "正在启动 Alphadrop",
    "Alphadrop did not start.": "Alphadrop 未能启动。",
    "See why in a terminal with: alphadrop run": "请在终端中查看原因：alphadrop run",
    "Alphadrop does not answer.": "Alphadrop 没有响应。",
    "See how it is with: alphadrop status": "请查看其状态：alphadrop status",
    "The connection to Alphadrop failed: {error}": "与 Alphadrop 的连接失败：{error}",
    "{file} cannot be read: {error}": "无法读取 {file}：{error}",
    "Restart the daemon: alphadrop stop, then alphadrop run": "请重新启动服务：先 alphadrop stop，再 alphadrop run",
    "The daemon speaks version {theirs} of the API, this plug-in version {ours}.": "服务使用的 API 版本为 {theirs}，"
    "本插件使用的版本为 {ours}。",
    "Run alphadrop gimp install, and restart the daemon and GIMP.": "请运行 alphadrop gimp install，"
    "然后重新启动服务和 GIMP。",
    "Alphadrop's answer makes no sense: {what}.": "Alphadrop 的回答无法理解：{what}。",
}
"""Every text that a user may see, and what it is in Simplified Chinese."""


def _in_chinese() -> bool:
    """Return whether the user prefers Chinese to English, going by what GIMP and the system say."""
    for name in GLib.get_language_names():
        if name.startswith("zh"):
            return True
        if name.startswith("en") or name.split(".")[0] in ("C", "POSIX"):
            return False
    return False


TRANSLATED = _in_chinese()


def _(text: str) -> str:
    """Return a text in the user's language."""
    return CHINESE[text] if TRANSLATED else text


class Failed(Exception):
    """Something the user should read: what happened, and on a line of its own what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}\n{hint}" if hint else message)


class NotRunning(Failed):
    """There is no daemon; it may help to start one."""

    def __init__(self) -> None:
        super().__init__(_("Alphadrop is not running."), _("Start it in a terminal with: alphadrop run"))


@dataclass(frozen=True)
class Wish:
    """What the user wants; the arguments of the procedure."""

    result: Literal["mask", "new-layer", "erase"]
    model: str
    """Empty for the daemon's own."""
    edges: Literal["refined", "plain"]
    selection: bool
    """Search inside the selection only, where there is one."""


@dataclass(frozen=True)
class Found:
    """What was found in a layer; nothing of it is in the image yet."""

    mask: Gimp.LayerMask
    """The matte, times the selection and times the mask that the layer has."""
    matte: bytes
    """One byte a pixel of the layer; 0 too where something else hides the pixel, if there are colours."""
    colours: bytes
    """R'G'B'A of the pixels that are partly subject, one after the other; empty where no colours are to change."""
    is_all: bool
    """The mask is the matte and nothing else."""


class Alphadrop(Gimp.PlugIn):
    """The plug-in as GIMP sees it."""

    def do_set_i18n(self, _name: str) -> bool:
        """Return that the texts are translated here and not by GIMP."""
        return False

    def do_query_procedures(self) -> list[str]:
        """Return the names of what the plug-in can do."""
        return [PROCEDURE]

    def do_create_procedure(self, name: str) -> Gimp.Procedure:
        """Describe the procedure: its place in the menu, and the arguments its dialog is made from."""
        procedure = Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, _run, None)
        procedure.set_image_types("*")
        procedure.set_sensitivity_mask(Gimp.ProcedureSensitivityMask.DRAWABLE | Gimp.ProcedureSensitivityMask.DRAWABLES)
        procedure.set_menu_label(_("Remove _Background..."))
        procedure.add_menu_path("<Image>/Layer/Transparency/[Modify]")
        procedure.set_documentation(
            _("Leave of each selected layer its subject"),
            _(
                "Asks the Alphadrop daemon on this machine for the subject of each selected layer, and puts it into "
                "the layer's mask, into a new layer, or makes the rest transparent."
            ),
            name,
        )
        procedure.set_attribution("The Alphadrop developers", "The Alphadrop developers", "2026")
        results = Gimp.Choice.new()
        results.add("mask", 0, _("Layer mask"), _("Hide the background; the pixels stay as they are"))
        results.add(
            "new-layer",
            1,
            _("New layer"),
            _("Put the subject on a layer of its own and hide the layer it came from"),
        )
        results.add("erase", 2, _("Erase to transparency"), _("Make the background of the layer itself transparent"))
        edges = Gimp.Choice.new()
        edges.add("refined", 0, _("Refined"), _("Follow the edges of the picture, for hair, fur and leaves"))
        edges.add("plain", 1, _("Plain"), _("Take the outline as it was found, smooth and soft"))
        flags = GObject.ParamFlags.READWRITE
        procedure.add_choice_argument("result", _("Resul_t"), _("What becomes of the layer"), results, "mask", flags)
        procedure.add_string_argument(
            "model",
            _("_Model"),
            _("The model that finds the subject; nothing for the one that Alphadrop is set to"),
            "",
            flags,
        )
        procedure.add_choice_argument(
            "edges", _("_Edges"), _("How the result meets the subject's edge"), edges, "refined", flags
        )
        procedure.add_boolean_argument(
            "selection",
            _("Search the selectio_n only"),
            _("Look for the subject inside the selection, and hide all that is outside"),
            False,
            flags,
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
    interactive = run_mode == Gimp.RunMode.INTERACTIVE
    if interactive and not _asked(procedure, config, image):
        return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, None)
    wish = Wish(**{name: config.get_property(name) for name in ("result", "model", "edges", "selection")})
    try:
        layers = _layers(drawables, wish)
        try:
            _remove_background(image, layers, wish)
        except NotRunning:
            if not (interactive and _can_start()):
                raise
            if not _start_is_wanted():
                return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, None)
            _start()
            _remove_background(image, layers, wish)
    except Failed as failure:
        error = GLib.Error.new_literal(Gimp.PlugIn.error_quark(), str(failure), 0)
        return procedure.new_return_values(Gimp.PDBStatusType.EXECUTION_ERROR, error)
    finally:
        if run_mode != Gimp.RunMode.NONINTERACTIVE:  # else whoever called says when
            Gimp.displays_flush()  # last: GIMP draws the image anew, and answers slowly meanwhile
    return procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, None)


def _asked(procedure: Gimp.Procedure, config: Gimp.ProcedureConfig, image: Gimp.Image) -> bool:
    """Show the dialog; return whether the user went on."""
    gi.require_version("GimpUi", "3.0")
    gi.require_version("Gtk", "3.0")
    from gi.repository import GimpUi, Gtk  # needs a display, which a run without a dialog may not have

    GimpUi.init(PROCEDURE)
    dialog = GimpUi.ProcedureDialog.new(procedure, config, _("Remove Background"))
    try:
        dialog.set_sensitive("selection", not Gimp.Selection.is_empty(image), None, None, False)
        offered = {
            "result": _choices(procedure, "result"),
            "model": _models_to_offer(config.get_property("model")),
            "edges": _choices(procedure, "edges"),
        }
        labels = Gtk.SizeGroup.new(Gtk.SizeGroupMode.HORIZONTAL)
        for name, rows in offered.items():
            values = Gtk.ListStore.new([str, str])
            for row in rows:
                values.append(row)
            combo = GimpUi.StringComboBox(model=values, id_column=0, label_column=1, hexpand=True, visible=True)
            argument = procedure.find_argument(name)
            line = GimpUi.LabelStringWidget.new(argument.nick, combo)
            line.set_tooltip_text(argument.blurb)
            both = GObject.BindingFlags.BIDIRECTIONAL | GObject.BindingFlags.SYNC_CREATE
            config.bind_property(name, line, "value", both)
            labels.add_widget(line.get_label())
            line.show()
            dialog.get_content_area().pack_start(line, False, False, 0)
        dialog.fill(["selection"])
        return bool(dialog.run())
    finally:
        dialog.destroy()


def _choices(procedure: Gimp.Procedure, argument: str) -> list[tuple[str, str]]:
    """Return the values and labels of an argument: what GIMP itself makes of it differs between 3.0 and 3.2."""
    choice = Gimp.param_spec_choice_get_choice(procedure.find_argument(argument))
    return [(nick, choice.get_label(nick)) for nick in choice.list_nicks()]


def _models_to_offer(chosen: str) -> list[tuple[str, str]]:
    """Return the names and labels of the models that can be chosen, that of the last time among them."""
    try:
        models = [model for model in _told("/v1/models", LIST_PATIENCE)["models"] if model["installed"]]
        default = next((model["name"] for model in models if model["default"]), None)
        offered = [("", _("Default ({model})").format(model=default) if default else _("Default"))]
        for model in models:
            label = "{model}" if model["commercial"] else _("{model} (not for commercial use)")
            offered.append((model["name"], label.format(model=model["name"])))
    except (Failed, KeyError, TypeError):
        offered, models = [("", _("Default"))], []
    if chosen not in dict(offered):
        label = _("{model} (not installed)") if models else "{model}"
        offered.append((chosen, label.format(model=chosen)))
    return offered


def _layers(drawables: list[Gimp.Drawable], wish: Wish) -> list[Gimp.Layer]:
    """Return the layers meant by a selection, which can all be changed; a selected mask means its layer."""
    layers: list[Gimp.Layer] = []
    for drawable in drawables:
        layer = Gimp.Layer.from_mask(drawable) if isinstance(drawable, Gimp.LayerMask) else drawable
        if not isinstance(layer, Gimp.Layer):
            raise Failed(
                _("“{name}” is not a layer.").format(name=drawable.get_name()), _("Select one or more layers.")
            )
        if layer.is_floating_sel():
            raise Failed(_("A floating selection cannot be cut out."), _("Anchor it, or make it a layer, first."))
        if layer not in layers:
            layers.append(layer)
    if not layers:
        raise Failed(_("No layer is selected."), _("Select one or more layers."))
    for layer in layers:
        _check(layer, wish)
    return layers


def _check(layer: Gimp.Layer, wish: Wish) -> None:
    """Refuse, before anything is done, what GIMP would not let a layer become."""
    name = layer.get_name()
    if wish.result == "erase":
        if layer.is_group():
            raise Failed(
                _("“{name}” is a layer group, whose pixels cannot be erased.").format(name=name),
                _("Choose a layer mask or a new layer."),
            )
        if layer.get_lock_content():
            raise Failed(
                _("The pixels of “{name}” are locked.").format(name=name), _("Unlock it, or choose a layer mask.")
            )
        if layer.get_lock_alpha():
            raise Failed(
                _("The alpha channel of “{name}” is locked.").format(name=name), _("Unlock it, or choose a layer mask.")
            )
    if wish.result == "new-layer" and layer.get_lock_visibility():
        raise Failed(
            _("The visibility of “{name}” is locked.").format(name=name), _("Unlock it, or choose a layer mask.")
        )


def _remove_background(image: Gimp.Image, layers: list[Gimp.Layer], wish: Wish) -> None:
    """Give each layer its result; until every matte has come, nothing is changed."""
    Gimp.progress_init(_("Remove Background"))
    indexed = image.get_base_type() == Gimp.ImageBaseType.INDEXED
    results: list[tuple[Gimp.Layer, Found]] = []
    nothing_found = []
    for done, layer in enumerate(layers):
        found = _find(image, layer, wish, done, len(layers))
        if found is None:
            nothing_found.append(layer.get_name())
        else:
            results.append((layer, found))
    if results:
        image.undo_group_start()
        try:
            for layer, found in results:
                _change(image, layer, found, wish)
        finally:
            image.undo_group_end()
    Gimp.progress_end()
    if indexed and results:
        Gimp.message(
            _(
                "This image is indexed: a pixel of it is either visible or not. Soft edges become hard where "
                "transparency is written; Image > Mode > RGB keeps them soft."
            )
        )
    for name in nothing_found:
        Gimp.message(
            _(
                "Nothing stands out in the layer “{name}”: no subject was found, and the layer was left as it is."
            ).format(name=name)
        )


def _find(image: Gimp.Image, layer: Gimp.Layer, wish: Wish, done: int, count: int) -> Found | None:
    """Have the daemon look at a layer; None where there is no subject."""
    area, selection = _whole(layer), None
    if wish.selection and not Gimp.Selection.is_empty(image):
        selection = image.get_selection()
        area = _searched(layer, selection)
    name = layer.get_name()
    format, channels = _layout(layer)
    coloured = wish.result != "mask" and not layer.is_indexed()
    wanted = {
        "width": area.width,
        "height": area.height,
        "channels": channels,
        "edges": wish.edges,
        "output": "rgba" if coloured else "alpha",
        **({"model": wish.model} if wish.model else {}),
    }
    Gimp.progress_set_text(_("Sending “{name}”").format(name=name))
    with _connected() as connection:
        connection.putrequest("POST", f"/v1/matte?{urlencode(wanted)}")
        connection.putheader("Content-Type", "application/octet-stream")
        connection.putheader("Content-Length", str(area.width * area.height * channels))
        # A daemon that refuses may answer and hang up before all is sent; its answer is then there to be read.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.endheaders()
            buffer, sent = layer.get_buffer(), None
            with ThreadPoolExecutor(max_workers=1) as sender:
                for strip in _strips(area):
                    pixels = _read(buffer, strip, format, channels, name)
                    if sent is not None:
                        sent.result()
                    sent = sender.submit(connection.send, pixels)
                    Gimp.progress_update((done + SENDING * (strip.y - area.y) / area.height) / count)
                if sent is not None:
                    sent.result()
        Gimp.progress_set_text(_("Looking for the subject of “{name}”").format(name=name))
        _wait_for_answer(connection.sock)
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise _refusal(response.status, response.read())
        if response.getheader("Alphadrop-Outcome") == "no_subject":
            return None
        Gimp.progress_set_text(_("Receiving the cut-out of “{name}”").format(name=name))
        matte = bytearray(layer.get_width() * layer.get_height())
        colours = bytearray()
        for strip in _strips(area):
            alpha = _received(response, strip.width * strip.height * (4 if coloured else 1))
            if coloured:
                pixels, alpha = alpha, alpha[3::4]
                alpha = _without_hidden(alpha, layer, selection, strip)
                for run in SOFT.finditer(alpha):
                    colours += pixels[4 * run.start() : 4 * run.end()]
            _place(matte, layer.get_width(), strip, alpha)
            Gimp.progress_update((done + 1 - RECEIVING * (1 - (strip.y - area.y) / area.height)) / count)
        if response.read(1):
            raise _nonsense("too many bytes")
    is_all = selection is None and layer.get_mask() is None
    return Found(_mask(layer, bytes(matte), selection), bytes(matte), bytes(colours), is_all)


def _whole(drawable: Gimp.Drawable) -> Gegl.Rectangle:
    """Return all of a drawable, in its own coordinates."""
    return Gegl.Rectangle.new(0, 0, drawable.get_width(), drawable.get_height())


def _searched(layer: Gimp.Layer, selection: Gimp.Selection) -> Gegl.Rectangle:
    """Return the bounds of a selection within a layer, in the layer's coordinates."""
    _success, _some, left, top, right, bottom = Gimp.Selection.bounds(selection.get_image())
    _success, x, y = layer.get_offsets()
    left, top = max(left - x, 0), max(top - y, 0)
    right, bottom = min(right - x, layer.get_width()), min(bottom - y, layer.get_height())
    if left >= right or top >= bottom:
        raise Failed(
            _("The selection does not touch “{name}”.").format(name=layer.get_name()),
            _("Change the selection, or have the whole layer searched."),
        )
    return Gegl.Rectangle.new(left, top, right - left, bottom - top)


def _layout(layer: Gimp.Layer) -> tuple[str, int]:
    """Return the Babl format to read a layer in, and its channels.

    It is 8-bit sRGB whatever the image's precision and profile, and else as near to the layer as can be: Babl takes a
    third of a second to find its way from RGB to RGBA. A format that does not exist would end the process.
    """
    grey, transparent = layer.is_gray(), layer.has_alpha()
    format = ("Y'" if grey else "R'G'B'") + ("A u8" if transparent else " u8")
    return format, (1 if grey else 3) + (1 if transparent else 0)


def _strips(area: Gegl.Rectangle) -> Iterator[Gegl.Rectangle]:
    """Yield an area from top to bottom."""
    for top in range(area.y, area.y + area.height, STRIP):
        yield Gegl.Rectangle.new(area.x, top, area.width, min(STRIP, area.y + area.height - top))


def _read(buffer: Gegl.Buffer, area: Gegl.Rectangle, format: str, size: int, name: str) -> bytes:
    """Return pixels of so many bytes each."""
    pixels: bytes = buffer.get(area, 1.0, format, Gegl.AbyssPolicy.NONE)
    if len(pixels) != area.width * area.height * size:
        raise Failed(
            _("GIMP gave {got} bytes for {rows} rows of “{name}”.").format(got=len(pixels), rows=area.height, name=name)
        )
    return pixels


def _received(response: http.client.HTTPResponse, length: int) -> bytes:
    piece = response.read(length)
    if len(piece) != length:
        raise _nonsense("too few bytes")
    return piece


def _without_hidden(alpha: bytes, layer: Gimp.Layer, selection: Gimp.Selection | None, area: Gegl.Rectangle) -> bytes:
    """Return the matte of an area with 0 where the pixels cannot be seen for another reason."""
    name = layer.get_name()
    shown = []
    if layer.has_alpha():
        format, channels = _layout(layer)
        shown.append(_read(layer.get_buffer(), area, format, channels, name)[channels - 1 :: channels])
    if layer.get_mask() is not None:
        shown.append(_read(layer.get_mask().get_buffer(), area, MASK, 1, name))
    if selection is not None:
        shown.append(_read(selection.get_buffer(), _in_image(layer, area), MASK, 1, name))
    seen = bytearray(alpha)
    for part in shown:
        for run in HIDDEN.finditer(part):
            seen[run.start() : run.end()] = bytes(run.end() - run.start())
    return bytes(seen)


def _in_image(layer: Gimp.Layer, area: Gegl.Rectangle) -> Gegl.Rectangle:
    """Return the image's coordinates of an area of a layer."""
    _success, x, y = layer.get_offsets()
    return Gegl.Rectangle.new(area.x + x, area.y + y, area.width, area.height)


def _place(matte: bytearray, width: int, area: Gegl.Rectangle, alpha: bytes) -> None:
    """Write the matte of an area into that of a layer, which is so wide."""
    if area.width == width:
        matte[area.y * width : (area.y + area.height) * width] = alpha
        return
    for row in range(area.height):
        start = (area.y + row) * width + area.x
        matte[start : start + area.width] = alpha[row * area.width : (row + 1) * area.width]


def _mask(layer: Gimp.Layer, matte: bytes, selection: Gimp.Selection | None) -> Gimp.LayerMask:
    """Return a mask for a layer, not put on yet: the matte, times the selection and the mask that the layer has."""
    mask = layer.create_mask(Gimp.AddMaskType.WHITE)
    if mask is None:
        raise _unwilling(layer, "create_mask")
    if mask.get_width() * mask.get_height() != len(matte):
        raise Failed(_("“{name}” changed its size meanwhile.").format(name=layer.get_name()), _("Try again."))
    buffer, width = mask.get_buffer(), mask.get_width()
    for strip in _strips(_whole(mask)):
        buffer.set(strip, MASK, matte[strip.y * width : (strip.y + strip.height) * width])
    buffer.flush()
    if selection is not None:
        _multiply(buffer, _cut_to(layer, selection))
    if layer.get_mask() is not None:
        _multiply(buffer, layer.get_mask().get_buffer())
    return mask


def _cut_to(layer: Gimp.Layer, selection: Gimp.Selection) -> Gegl.Buffer:
    """Return the part of a selection that lies on a layer, in the layer's coordinates."""
    whole = _whole(layer)
    part = Gegl.Buffer.new("Y float", 0, 0, whole.width, whole.height)
    for strip in _strips(whole):
        there = _in_image(layer, strip)
        part.set(strip, "Y float", _read(selection.get_buffer(), there, "Y float", 4, layer.get_name()))
    return part


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


def _change(image: Gimp.Image, layer: Gimp.Layer, found: Found, wish: Wish) -> None:
    """Give a layer its result; GIMP's calls say no by returning False."""
    if wish.result == "mask":
        _put_on(layer, found.mask)
    elif wish.result == "erase":
        _erase(layer, found)
    else:
        made = layer.copy()
        if not image.insert_layer(made, layer.get_parent(), image.get_item_position(layer)):
            raise _unwilling(layer, "insert_layer")
        if isinstance(made, Gimp.GroupLayer):
            if made.get_mask() is not None and not made.remove_mask(Gimp.MaskApplyMode.DISCARD):
                raise _unwilling(layer, "remove_mask")
            made = made.merge()
        made.set_lock_content(False)
        made.set_lock_alpha(False)
        _erase(made, found)
        if not layer.set_visible(False):
            raise _unwilling(layer, "set_visible")


def _put_on(layer: Gimp.Layer, mask: Gimp.LayerMask) -> None:
    """Give a layer its new mask in place of the one it has."""
    if layer.get_mask() is not None and not layer.remove_mask(Gimp.MaskApplyMode.DISCARD):
        raise _unwilling(layer, "remove_mask")
    if not layer.add_mask(mask):
        raise _unwilling(layer, "add_mask")
    layer.set_edit_mask(False)


def _erase(layer: Gimp.Layer, found: Found) -> None:
    """Make transparent what is not subject, and give the soft edge the subject's own colours.

    Applying the mask makes GIMP keep the whole layer for undo, and gives the layer its alpha. GIMP does it in 32-bit
    floats, which hold every bit of most layers; where they do not, the layer's own bits are put back.
    """
    if hasattr(layer, "rasterize") and not layer.is_rasterized() and not layer.rasterize():
        raise _unwilling(layer, "rasterize")
    Gegl.init(None)
    area, name, own = _whole(layer), layer.get_name(), None
    own_format, own_size = _own_format(layer), layer.get_bpp()
    if "u32" in own_format or "double" in own_format:
        own = Gegl.Buffer.new(own_format, 0, 0, area.width, area.height)
        layer.get_buffer().copy(area, Gegl.AbyssPolicy.NONE, own, area)
    if not layer.has_alpha() and not layer.add_alpha():
        raise _unwilling(layer, "add_alpha")
    if layer.is_indexed():
        _harden(found.mask)
    _put_on(layer, found.mask)
    if not layer.remove_mask(Gimp.MaskApplyMode.APPLY):
        raise _unwilling(layer, "remove_mask")
    if layer.is_indexed():
        return
    buffer, format, size = layer.get_buffer(), _own_format(layer), layer.get_bpp()
    colours, alpha = io.BytesIO(found.colours), size - size // (2 if layer.is_gray() else 4)
    for strip in _strips(area):
        matte = found.matte[strip.y * area.width : (strip.y + strip.height) * area.width]
        soft = [(run.start() * size, run.end() * size) for run in SOFT.finditer(matte)]
        if not soft and own is None:
            continue
        applied = _read(buffer, strip, format, size, name)
        pixels = bytearray(applied)
        if own is not None:
            before = _read(own, strip, own_format, own_size, name)
            for byte in range(alpha):
                pixels[byte::size] = before[byte::own_size]
            for run in WHOLLY.finditer(matte if found.is_all and own_size == size else b""):
                pixels[run.start() * size : run.end() * size] = before[run.start() * size : run.end() * size]
        edge_applied = b"".join(applied[start:end] for start, end in soft)
        edge = bytearray(_converted(colours.read(4 * len(edge_applied) // size), format, size, name))
        for byte in range(alpha, size):
            edge[byte::size] = edge_applied[byte::size]
        at = 0
        for start, end in soft:
            pixels[start:end] = edge[at : at + end - start]
            at += end - start
        buffer.set(strip, format, bytes(pixels))
    buffer.flush()
    layer.update(0, 0, area.width, area.height)


def _harden(mask: Gimp.LayerMask) -> None:
    """Make a mask black and white: an indexed layer would be given an alpha that no file of the kind can hold."""
    buffer = mask.get_buffer()
    for strip in _strips(_whole(mask)):
        buffer.set(strip, MASK, _read(buffer, strip, MASK, 1, mask.get_name()).translate(HARD))
    buffer.flush()


def _converted(colours: bytes, format: str, size: int, name: str) -> bytes:
    """Return R'G'B'A pixels in another format, of so many bytes each."""
    row = Gegl.Rectangle.new(0, 0, len(colours) // 4, 1)
    if row.width == 0:
        return b""
    converter = Gegl.Buffer.new(format, 0, 0, row.width, 1)
    converter.set(row, "R'G'B'A u8", colours)
    return _read(converter, row, format, size, name)


def _own_format(layer: Gimp.Layer) -> str:
    """Return the format in which a layer is stored, colour space and all: so it is read and written bit by bit."""
    format: str = Babl.get_name(layer.get_format())
    return format


def _unwilling(layer: Gimp.Layer, step: str) -> Failed:
    return Failed(
        _("GIMP would not change “{name}” ({step}).").format(name=layer.get_name(), step=step),
        _("Undo what was done of it."),
    )


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, patience: float) -> None:
        super().__init__("localhost", timeout=patience)
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self._path))


class _PortConnection(http.client.HTTPConnection):
    """HTTP over a port of this machine, with the word that only this user can read."""

    def __init__(self, port: int, token: str, patience: float) -> None:
        super().__init__("127.0.0.1", port, timeout=patience)
        self._token = token

    def putrequest(self, method: str, url: str, *_: Any, **__: Any) -> None:
        """Begin a request."""
        super().putrequest(method, url)
        self.putheader("Authorization", f"Bearer {self._token}")


@contextlib.contextmanager
def _connected(patience: float = SOCKET_PATIENCE) -> Iterator[http.client.HTTPConnection]:
    """Yield a connection to the daemon; whatever goes wrong on it becomes a sentence."""
    connection = _way(patience)
    try:
        try:
            connection.connect()
        except (FileNotFoundError, ConnectionRefusedError):
            raise NotRunning from None
        yield connection
    except TimeoutError:
        raise Failed(_("Alphadrop does not answer."), _("See how it is with: alphadrop status")) from None
    except (OSError, http.client.HTTPException) as error:
        raise Failed(
            _("The connection to Alphadrop failed: {error}").format(error=error or type(error).__name__),
            _("See how it is with: alphadrop status"),
        ) from None
    finally:
        connection.close()


def _way(patience: float) -> http.client.HTTPConnection:
    """Return the connection that is to be opened: to the socket, or to the port where there is no socket to be had."""
    folder = _run_folder()
    endpoint = _endpoint(folder / "endpoint.json")
    if hasattr(socket, "AF_UNIX") and endpoint.get("socket") is not None:
        return _UnixConnection(folder / "api.sock", patience)
    port, token = endpoint.get("port"), endpoint.get("token")
    # A daemon that crashed leaves the file behind, and its port may be anybody's by now.
    if not isinstance(port, int) or not isinstance(token, str) or not _is_locked(folder / "daemon.lock"):
        raise NotRunning
    return _PortConnection(port, token, patience)


def _run_folder() -> Path:
    """Return the folder of the daemon's socket, literally: a sandbox shows other XDG variables than the daemon saw."""
    override = os.environ.get("ALPHADROP_RUN_DIR")
    if override:
        return Path(override).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "alphadrop" / "run"
    return Path.home() / ".local" / "share" / "alphadrop" / "run"


def _endpoint(file: Path) -> dict[str, Any]:
    """Return what the daemon wrote down of itself, if it speaks as we do."""
    try:
        endpoint: dict[str, Any] = json.loads(file.read_bytes())
        version = endpoint.get("api")
    except FileNotFoundError:
        raise NotRunning from None
    except (OSError, ValueError, AttributeError) as error:
        raise Failed(
            _("{file} cannot be read: {error}").format(file=file, error=error),
            _("Restart the daemon: alphadrop stop, then alphadrop run"),
        ) from None
    if version != API_VERSION:
        raise Failed(
            _("The daemon speaks version {theirs} of the API, this plug-in version {ours}.").format(
                theirs=version, ours=API_VERSION
            ),
            _("Run alphadrop gimp install, and restart the daemon and GIMP."),
        )
    return endpoint


def _is_locked(file: Path) -> bool:
    """Return whether a daemon holds its lock."""
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except OSError:
        return False
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _told(path: str, patience: float) -> dict[str, Any]:
    """Return what the daemon answers to a question."""
    with _connected(patience) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        answer = response.read()
    if response.status != http.client.OK:
        raise _refusal(response.status, answer)
    try:
        told: dict[str, Any] = json.loads(answer)
    except ValueError:
        raise _nonsense("no JSON") from None
    return told


def _wait_for_answer(answering: socket.socket) -> None:
    """Wait until the first byte of the answer is there, with a sign of life in the status bar."""
    deadline = time.monotonic() + ANSWER_PATIENCE
    while not select.select([answering], [], [], 0.1)[0]:
        if time.monotonic() > deadline:
            raise TimeoutError
        Gimp.progress_pulse()


def _can_start() -> bool:
    """Return whether the daemon can be started from here: it is known where it is, and no sandbox is around GIMP."""
    sandboxed = os.path.exists("/.flatpak-info") or "FLATPAK_ID" in os.environ or "SNAP" in os.environ
    return bool(PROGRAM) and not sandboxed and shutil.which(PROGRAM[0]) is not None


def _start_is_wanted() -> bool:
    """Ask whether to start the daemon."""
    from gi.repository import Gtk

    question = Gtk.MessageDialog(
        title="Alphadrop",
        message_type=Gtk.MessageType.QUESTION,
        text=_("Alphadrop is not running."),
        secondary_text=_("It is the program that finds the subject. Start it now? It goes on running when GIMP ends."),
    )
    question.add_button(_("_Cancel"), Gtk.ResponseType.CANCEL)
    question.add_button(_("_Start Alphadrop"), Gtk.ResponseType.OK)
    question.set_default_response(Gtk.ResponseType.OK)
    try:
        return bool(question.run() == Gtk.ResponseType.OK)
    finally:
        question.destroy()


def _start() -> None:
    """Start the daemon, to run on by itself, and wait until it is ready."""
    # What GIMP sets for its own Python and libraries would lead another Python astray.
    foreign = ("PYTHON", "LD_LIBRARY_PATH", "DYLD_", "GI_TYPELIB_PATH")
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    try:
        process = subprocess.Popen(
            [*PROGRAM, "run"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=Path.home(),
            env={name: value for name, value in os.environ.items() if not name.startswith(foreign)},
            **apart,
        )
    except OSError as error:
        raise Failed(
            f"{_('Alphadrop did not start.')} {error}", _("See why in a terminal with: alphadrop run")
        ) from None
    Gimp.progress_init(_("Starting Alphadrop"))
    deadline = time.monotonic() + START_PATIENCE
    while not _is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise Failed(_("Alphadrop did not start."), _("See why in a terminal with: alphadrop run"))
        Gimp.progress_pulse()
        time.sleep(0.1)


def _is_ready() -> bool:
    """Return whether the daemon answers, be it that it lacks something: it then says so itself."""
    try:
        return bool(_told("/v1/status", LIST_PATIENCE).get("state") != "starting")
    except Failed:
        return False


def _refusal(status: int, answer: bytes) -> Failed:
    """Return what the daemon said was wrong."""
    try:
        told = json.loads(answer)["error"]
        return Failed(str(told["message"]), str(told.get("hint", "")))
    except (ValueError, KeyError, TypeError, AttributeError):
        return _nonsense(f"status {status}")


def _nonsense(what: str) -> Failed:
    return Failed(
        _("Alphadrop's answer makes no sense: {what}.").format(what=what),
        _("Restart the daemon: alphadrop stop, then alphadrop run"),
    )


Gimp.main(Alphadrop.__gtype__, sys.argv)
