"""What the tests of the plug-in run inside GIMP, as a batch; /mnt is the folder that a test shares with it.

It reads /mnt/job.json, which names one of the jobs below and its arguments, and writes what it saw into
/mnt/answer.json, with pixels in files beside it. An exception ends GIMP with another status than 0.
"""
# mypy: ignore-errors

import hashlib
import json
import random
import shlex
import subprocess
import time
from pathlib import Path

import gi

gi.require_version("Babl", "0.1")
gi.require_version("Gegl", "0.4")
gi.require_version("Gimp", "3.0")
from gi.repository import Babl, Gegl, Gimp, Gio  # noqa: E402

SHARED = Path("/mnt")
PROCEDURE = "plug-in-alphadrop-remove-background"
MENU = ("alt+l", "a", "b")
"""Layer > Transparency > Remove Background..."""


def loaded(name):
    image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, picture(name))
    return image, image.get_layers()[0]


def picture(name):
    return Gio.File.new_for_path(str(SHARED / f"{name}.png"))


def whole(drawable):
    return Gegl.Rectangle.new(0, 0, drawable.get_width(), drawable.get_height())


def read(drawable, format):
    return drawable.get_buffer().get(whole(drawable), 1.0, format, Gegl.AbyssPolicy.NONE)


def write(drawable, format, pixels):
    drawable.get_buffer().set(whole(drawable), format, pixels)
    drawable.get_buffer().flush()


def own_format(drawable):
    return Babl.get_name(drawable.get_format())


def add_ramp(layer):
    """Give a layer a mask that rises from left to right."""
    mask = layer.create_mask(Gimp.AddMaskType.WHITE)
    width, height = layer.get_width(), layer.get_height()
    write(mask, "Y u8", bytes(255 * x // (width - 1) for x in range(width)) * height)
    assert layer.add_mask(mask)
    return mask


def described(item):
    """Return all of a layer that the plug-in could change, and of those in it."""
    mask = item.get_mask()
    return {
        "name": item.get_name(),
        "offsets": list(item.get_offsets())[1:],
        "size": [item.get_width(), item.get_height()],
        "visible": item.get_visible(),
        "alpha": item.has_alpha(),
        "format": own_format(item),
        "pixels": hashlib.sha256(read(item, own_format(item))).hexdigest(),
        "mask": mask and hashlib.sha256(read(mask, own_format(mask))).hexdigest(),
        "layers": [described(child) for child in item.get_children()] if item.is_group() else [],
    }


def state(image):
    """Return all of an image that the plug-in could change."""
    selection = image.get_selection()
    return {
        "layers": [described(layer) for layer in image.get_layers()],
        "selection": hashlib.sha256(read(selection, "Y u8")).hexdigest(),
        "size": [image.get_width(), image.get_height()],
    }


def outline(image):
    """Return what changes with every result and is safe to ask for while something is being changed; pixels are not."""
    layers = [
        item for layer in image.get_layers() for item in (layer, *(layer.get_children() if layer.is_group() else []))
    ]
    masks = [layer.get_mask() for layer in layers]
    return [
        (layer.get_id(), layer.has_alpha(), mask and mask.get_id()) for layer, mask in zip(layers, masks, strict=True)
    ]


def plug_in_at_work():
    return (
        subprocess.run(["pgrep", "-f", "alphadrop/alphadrop.py"], check=False, stdout=subprocess.DEVNULL).returncode
        == 0
    )


def call(image, drawables, mode="NONINTERACTIVE", **arguments):
    procedure = Gimp.get_pdb().lookup_procedure(PROCEDURE)
    assert procedure is not None, "the plug-in is not there"
    config = procedure.create_config()
    config.set_property("run-mode", getattr(Gimp.RunMode, mode))
    config.set_property("image", image)
    config.set_core_object_array("drawables", drawables)
    for name, value in arguments.items():
        config.set_property(name, value)
    result = procedure.run(config)
    told = result.index(1) if result.length() > 1 else ""
    return {"status": result.index(0).value_nick, "message": told}


def rgb(picture="astronaut"):
    image, layer = loaded(picture)
    return image, [layer], [layer]


def grey(alpha=False):
    image, layer = loaded("grey")
    assert image.get_base_type() == Gimp.ImageBaseType.GRAY
    assert not alpha or layer.add_alpha()
    return image, [layer], [layer]


def indexed():
    image, layer = loaded("coffee")
    assert image.convert_indexed(Gimp.ConvertDitherType.FS, Gimp.ConvertPaletteType.GENERATE, 64, False, False, "")
    return image, [layer], [layer]


def deep(precision, picture="small", alpha=False):
    """Return an image of a precision, with pixels that use all of its bits."""
    image, layer = loaded(picture)
    assert precision == "U8_NON_LINEAR" or image.convert_precision(getattr(Gimp.Precision, precision))
    assert not alpha or layer.add_alpha()
    format = own_format(layer)
    pixels, size = bytearray(read(layer, format)), layer.get_bpp()
    components = (3 if layer.is_rgb() else 1) + layer.has_alpha()
    depth, colours = size // components, components - layer.has_alpha()
    noise = random.Random(1)
    for component in range(colours if depth > 1 else 0):
        lowest = component * depth
        bits = noise.randbytes(len(pixels) // size).translate(bytes(value & 15 for value in range(256)))
        pixels[lowest::size] = bytes((own & 240) | low for own, low in zip(pixels[lowest::size], bits, strict=True))
    write(layer, format, bytes(pixels))
    return image, [layer], [layer]


def profile(icc, picture="astronaut"):
    """Return an image with a colour profile, its numbers being what they were."""
    image, layer = loaded(picture)
    assert image.set_color_profile(Gimp.ColorProfile.new_from_file(Gio.File.new_for_path(str(SHARED / icc))))
    return image, [layer], [layer]


def offset():
    image, layer = loaded("astronaut")
    assert image.resize(700, 480, 0, 0)
    assert layer.set_offsets(37, -21)
    return image, [layer], [layer]


def selected(shape="rectangle", moved=False):
    image, layer = loaded("astronaut")
    if moved:
        assert image.resize(600, 600, 0, 0)
        assert layer.set_offsets(40, -30)
    if shape == "ellipse":
        assert image.select_ellipse(Gimp.ChannelOps.REPLACE, 60, 20, 350, 400)
        assert Gimp.Selection.feather(image, 30)
    elif shape == "rectangle":
        assert image.select_rectangle(Gimp.ChannelOps.REPLACE, 60, 20, 350, 400)
    else:
        assert image.select_rectangle(Gimp.ChannelOps.REPLACE, 0, 0, 20, 600)
    return image, [layer], [layer]


def masked(choose_mask=False):
    image, layer = loaded("astronaut")
    mask = add_ramp(layer)
    return image, [mask if choose_mask else layer], [layer]


def group(mask=False):
    image, layer = loaded("astronaut")
    below = layer.copy()
    made = Gimp.GroupLayer.new(image, "group")
    assert image.insert_layer(made, None, 0)
    assert image.reorder_item(layer, made, 0)
    assert image.insert_layer(below, made, 1)
    assert below.set_offsets(-60, 40)
    if mask:
        add_ramp(made)
    return image, [made], [made]


def in_group():
    image, layer = loaded("astronaut")
    made = Gimp.GroupLayer.new(image, "group")
    assert image.insert_layer(made, None, 0)
    assert image.reorder_item(layer, made, 0)
    return image, [layer], [layer]


def two_layers():
    image, layer = loaded("astronaut")
    other = Gimp.file_load_layer(Gimp.RunMode.NONINTERACTIVE, image, picture("coffee"))
    assert image.insert_layer(other, None, 0)
    return image, [layer, other], [layer, other]


def text():
    image = Gimp.Image.new(400, 400, Gimp.ImageBaseType.RGB)
    layer = Gimp.TextLayer.new(image, "8", Gimp.Font.get_by_name("Sans-serif"), 300, Gimp.Unit.pixel())
    assert image.insert_layer(layer, None, 0)
    return image, [layer], [layer]


def link():
    image = Gimp.Image.new(512, 512, Gimp.ImageBaseType.RGB)
    layer = Gimp.LinkLayer.new(image, picture("astronaut"))
    assert image.insert_layer(layer, None, 0)
    assert not layer.is_rasterized()
    return image, [layer], [layer]


def locked(content=False, alpha=False, visibility=False):
    image, layer = loaded("astronaut")
    layer.set_lock_content(content)
    layer.set_lock_alpha(alpha)
    layer.set_lock_visibility(visibility)
    return image, [layer], [layer]


def several_large():
    image, layer = loaded("large")
    copies = [layer.copy() for _ in range(9)]
    for copy in copies:
        assert image.insert_layer(copy, None, 0)
    return image, [layer, *copies], [layer, *copies]


def channel():
    image, layer = loaded("astronaut")
    made = Gimp.Channel.new_from_component(image, Gimp.ChannelType.RED, "red")
    assert image.insert_channel(made, None, 0)
    return image, [made], [layer]


KINDS = {
    kind.__name__: kind
    for kind in (
        rgb, grey, indexed, deep, profile, offset, selected, masked, group, in_group, two_layers, text, link, locked,
        several_large, channel,
    )
}  # fmt: skip


def result_of(layer, result):
    """Return the layer that holds a result."""
    if result != "new-layer":
        return layer
    siblings = layer.get_parent().get_children() if layer.get_parent() else layer.get_image().get_layers()
    return siblings[siblings.index(layer) - 1]


def keep(name, layer, suffix):
    """Save a layer's pixels, as they are stored and as R'G'B'A u8."""
    (SHARED / f"{name}.{suffix}.own").write_bytes(read(layer, own_format(layer)))
    (SHARED / f"{name}.{suffix}.rgba").write_bytes(read(layer, "R'G'B'A u8"))


def cases(cases):
    """Run the plug-in on one image after the other."""
    answers = {}
    for name, case in cases.items():
        image, drawables, layers = KINDS[case["kind"]](**case.get("of", {}))
        arguments = case.get("arguments", {})
        result = arguments.get("result", "mask")
        before = state(image)
        (SHARED / f"{name}.selection").write_bytes(read(image.get_selection(), "Y u8"))
        grounds = [described(layer) for layer in layers]
        for number, layer in enumerate(layers):
            keep(f"{name}-{number}", layer, "before")
        answer = call(image, drawables, **arguments)
        after = []
        for number, layer in enumerate(layers if answer["status"] == "success" else []):
            made = result_of(layer, result)
            keep(f"{name}-{number}", made, "after")
            if made.get_mask() is not None:
                (SHARED / f"{name}-{number}.mask").write_bytes(read(made.get_mask(), "Y u8"))
                assert not made.get_edit_mask()
                assert made.get_apply_mask()
            after.append(described(made))
        if case.get("export"):
            assert Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, image, picture(f"{name}-exported"), None)
        answers[name] = {**answer, "before": before, "after": state(image), "from": grounds, "to": after}
        image.delete()
    return answers


def timed(calls):
    """Run the plug-in on a new image each time; return how many seconds the calls took."""
    seconds = []
    for name, arguments in calls:
        image, layer = loaded(name)
        began = time.perf_counter()
        answer = call(image, [layer], **arguments)
        seconds.append(time.perf_counter() - began)
        assert answer["status"] == "success", answer
        image.delete()
    return {"seconds": seconds}


def typing(window, *keys, picture="", delay=80):
    """Return what presses keys in a window, as soon as there is such a window, after taking a picture of it."""
    # In two steps: a key that is sent to a window fails to be released where it closes the window.
    steps = [["xdotool", "search", "--sync", "--onlyvisible", "--name", window, "windowfocus", "--sync"]]
    if picture:
        steps.append(["python3", "/mnt/photograph_screen.py", f"/mnt/{picture}.png"])
    steps.append(["xdotool", "key", "--delay", str(delay), *keys])
    return " && ".join(map(shlex.join, steps))


def typed(window, *keys, **how):
    subprocess.run(["sh", "-c", typing(window, *keys, **how)], check=True, timeout=90)


def open_dialog(window):
    """Find the menu item by the keyboard; on a busy machine a key may come before the menu that it is meant for."""
    for _ in range(4):
        typed("GIMP", *MENU, delay=400)
        search = ["xdotool", "search", "--sync", "--onlyvisible", "--name", window]
        try:
            subprocess.run(search, check=True, timeout=20, stdout=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            typed("GIMP", "Escape", "Escape", "Escape")
        else:
            return
    raise AssertionError("the menu item was not found")


def photograph(picture, moving=False):
    """Take a picture of the screen, when it does not change any more or at once."""
    command = ["python3", "/mnt/photograph_screen.py", f"/mnt/{picture}.png"]
    subprocess.run([*command, "moving"] if moving else command, check=True, timeout=90)


def wait_until(condition, what):
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


def undo(cases):
    """Run the plug-in in a window, press Ctrl+Z once, then Ctrl+Y; return the four states of each image."""
    answers = {}
    for name, case in cases.items():
        image, drawables, _ = KINDS[case["kind"]](**case.get("of", {}))
        display = Gimp.Display.new(image)
        states = [state(image)]
        answer = call(image, drawables, **case["arguments"])
        Gimp.displays_flush()  # as whoever calls without a dialog does: only then can the window undo
        states.append(state(image))
        for key in ("ctrl+z", "ctrl+y"):
            before = outline(image)
            typed("GIMP", key)
            wait_until(lambda before=before, image=image: outline(image) != before, f"{key} in {name}")
            states.append(state(image))
        display.delete()
        answers[name] = {**answer, "states": states}
    return answers


def dialog(steps):
    """Run the plug-in with its dialog; each step is the name of a window, keys, and the name of a picture or none."""
    image, drawables, _ = rgb()
    before = state(image)
    typist = subprocess.Popen(["sh", "-c", " && ".join(typing(*step[:-1], picture=step[-1]) for step in steps)])
    answer = call(image, drawables, mode="INTERACTIVE")
    assert typist.wait(timeout=90) == 0
    answer = {**answer, "before": before, "after": state(image)}
    image.delete()
    return answer


def menu(window, keys):
    """Find the plug-in by the keyboard and answer its dialog; then undo it, and repeat it without a dialog."""
    image, _, _ = selected()
    display = Gimp.Display.new(image)
    states = [state(image)]
    open_dialog(window)
    typed(window, *keys, picture="menu-dialog")
    wait_until(lambda: not plug_in_at_work(), "the plug-in to end")
    states.append(state(image))
    photograph("menu-done")
    done = outline(image)
    typed("GIMP", "ctrl+z")
    wait_until(lambda: outline(image) != done, "the undoing")
    states.append(state(image))
    undone = outline(image)
    typed("GIMP", "ctrl+f")
    wait_until(lambda: outline(image) != undone and not plug_in_at_work(), "the repetition")
    states.append(state(image))
    display.delete()
    return {"states": states}


def cancel(window):
    """Stop the plug-in in the middle with the status bar's Cancel; then have it cut something else."""
    image, layers, _ = several_large()
    display = Gimp.Display.new(image)
    assert image.set_selected_layers(layers)
    before = state(image)
    open_dialog(window)
    typed(window, "alt+o")
    wait_until(lambda: (SHARED / "at-work").exists(), "the daemon to be at work")
    photograph("cancel", moving=True)
    # The button has no key; it is in the lower right corner of the window.
    click = (
        "set -e; window=$(xdotool search --onlyvisible --name GIMP | head -1)\n"
        'eval "$(xdotool getwindowgeometry --shell "$window")"\n'
        'xdotool mousemove --window "$window" $((WIDTH - 45)) $((HEIGHT - 18)) sleep 0.2 click 1'
    )
    subprocess.run(["sh", "-c", click], check=True, timeout=60)
    (SHARED / "cancelled").touch()
    wait_until(lambda: (SHARED / "at-rest").exists(), "the daemon to be at rest")
    answer = {"before": before, "after": state(image)}
    display.delete()
    other, drawables, _ = rgb()
    return {**answer, **call(other, drawables)}


def main():
    job = json.loads((SHARED / "job.json").read_text())
    jobs = {"cases": cases, "timed": timed, "undo": undo, "dialog": dialog, "menu": menu, "cancel": cancel}
    answer = jobs[job.pop("job")](**job)
    (SHARED / "answer.json").write_text(json.dumps(answer))


main()
