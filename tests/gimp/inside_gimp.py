"""What the tests of the plug-in run inside GIMP, as a batch; /mnt is the folder that a test shares with it.

It reads /mnt/job.json, which names one of the jobs below and its arguments, and writes what it saw into
/mnt/answer.json, with pixels in files beside it. An exception ends GIMP with another status than 0.
"""
# mypy: ignore-errors

import hashlib
import json
import subprocess
import time
from pathlib import Path

import gi

gi.require_version("Gegl", "0.4")
gi.require_version("Gimp", "3.0")
from gi.repository import Gegl, Gimp, Gio  # noqa: E402

SHARED = Path("/mnt")
PROCEDURE = "plug-in-alphadrop-remove-background"


def loaded(name):
    file = Gio.File.new_for_path(str(SHARED / f"{name}.png"))
    image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, file)
    return image, image.get_layers()[0]


def read(drawable, format):
    area = Gegl.Rectangle.new(0, 0, drawable.get_width(), drawable.get_height())
    return drawable.get_buffer().get(area, 1.0, format, Gegl.AbyssPolicy.NONE)


def add_ramp(layer):
    """Give a layer a mask that rises from left to right."""
    mask = layer.create_mask(Gimp.AddMaskType.WHITE)
    width, height = layer.get_width(), layer.get_height()
    row = bytes(255 * x // (width - 1) for x in range(width))
    mask.get_buffer().set(Gegl.Rectangle.new(0, 0, width, height), "Y u8", row * height)
    mask.get_buffer().flush()
    assert layer.add_mask(mask)
    return mask


def state(layer):
    """Return all of a layer that the plug-in could have changed."""
    mask = layer.get_mask()
    return {
        "offsets": list(layer.get_offsets())[1:],
        "size": [layer.get_width(), layer.get_height()],
        "alpha": layer.has_alpha(),
        "type": str(layer.type()),
        "pixels": hashlib.sha256(read(layer, "RGBA float")).hexdigest(),
        "mask": mask and hashlib.sha256(read(mask, "Y float")).hexdigest(),
        "layers": len(layer.get_image().get_layers()),
    }


def call(image, drawables, edges="refined", mode=Gimp.RunMode.NONINTERACTIVE):
    procedure = Gimp.get_pdb().lookup_procedure(PROCEDURE)
    assert procedure is not None, "the plug-in is not there"
    config = procedure.create_config()
    config.set_property("run-mode", mode)
    config.set_property("image", image)
    config.set_core_object_array("drawables", drawables)
    config.set_property("edges", edges)
    result = procedure.run(config)
    told = result.index(1) if result.length() > 1 else ""
    return {"status": result.index(0).value_nick, "message": told}


def rgb():
    image, layer = loaded("astronaut")
    return image, [layer], [layer]


def grey():
    image, layer = loaded("grey")
    assert image.get_base_type() == Gimp.ImageBaseType.GRAY
    return image, [layer], [layer]


def grey_transparent():
    image, layer = loaded("grey")
    assert layer.add_alpha()
    return image, [layer], [layer]


def indexed():
    image, layer = loaded("coffee")
    assert image.convert_indexed(Gimp.ConvertDitherType.FS, Gimp.ConvertPaletteType.GENERATE, 64, False, False, "")
    return image, [layer], [layer]


def transparent():
    image, layer = loaded("transparent")
    assert layer.has_alpha()
    return image, [layer], [layer]


def linear_16_bit():
    image, layer = loaded("astronaut")
    assert image.convert_precision(Gimp.Precision.U16_LINEAR)
    return image, [layer], [layer]


def offset():
    image, layer = loaded("astronaut")
    assert image.resize(700, 480, 0, 0)
    assert layer.set_offsets(37, -21)
    return image, [layer], [layer]


def selection():
    image, layer = loaded("astronaut")
    assert image.select_rectangle(Gimp.ChannelOps.REPLACE, 10, 10, 50, 50)
    return image, [layer], [layer]


def masked():
    image, layer = loaded("astronaut")
    add_ramp(layer)
    return image, [layer], [layer]


def mask_selected():
    image, layer = loaded("astronaut")
    return image, [add_ramp(layer)], [layer]


def group():
    image, layer = loaded("astronaut")
    below = layer.copy()
    made = Gimp.GroupLayer.new(image, "group")
    assert image.insert_layer(made, None, 0)
    assert image.reorder_item(layer, made, 0)
    assert image.insert_layer(below, made, 1)
    assert below.set_offsets(-60, 40)
    return image, [made], [made]


def two_layers():
    image, layer = loaded("astronaut")
    other = Gimp.file_load_layer(Gimp.RunMode.NONINTERACTIVE, image, Gio.File.new_for_path(str(SHARED / "coffee.png")))
    assert image.insert_layer(other, None, 0)
    return image, [layer, other], [layer, other]


def nothing():
    image, layer = loaded("nothing")
    return image, [layer], [layer]


def large():
    image, layer = loaded("large")
    return image, [layer], [layer]


def channel():
    image, layer = loaded("astronaut")
    made = Gimp.Channel.new_from_component(image, Gimp.ChannelType.RED, "red")
    assert image.insert_channel(made, None, 0)
    return image, [made], [layer]


KINDS = {
    made.__name__: made
    for made in (
        rgb,
        grey,
        grey_transparent,
        indexed,
        transparent,
        linear_16_bit,
        offset,
        selection,
        masked,
        mask_selected,
        group,
        two_layers,
        nothing,
        large,
        channel,
    )
}


def kinds(names, edges, mode):
    """Run the plug-in on an image of each kind."""
    answers = {}
    for name in names:
        image, drawables, layers = KINDS[name]()
        before = [state(layer) for layer in layers]
        for number, layer in enumerate(layers):
            (SHARED / f"{name}-{number}.pixels").write_bytes(read(layer, "R'G'B'A u8"))
        answer = call(image, drawables, edges, getattr(Gimp.RunMode, mode))
        for number, layer in enumerate(layers):
            if layer.get_mask() is not None:
                (SHARED / f"{name}-{number}.mask").write_bytes(read(layer.get_mask(), "Y u8"))
                assert not layer.get_edit_mask()
                assert layer.get_apply_mask()
        answers[name] = {**answer, "before": before, "after": [state(layer) for layer in layers]}
        image.delete()
    return answers


def typing(key, window):
    """Start to press a key in a window, as soon as there is such a window."""
    # In two steps: a key that is sent to a window fails to be released where it closes the window.
    script = 'xdotool search --sync --onlyvisible --name "$1" windowfocus --sync && xdotool key "$2"'
    return subprocess.Popen(["sh", "-c", script, "sh", window, key])


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def undo(kind):
    """Run the plug-in in a window, press Ctrl+Z once, then Ctrl+Y; return the four states of the layer."""
    image, drawables, (layer,) = KINDS[kind]()
    display = Gimp.Display.new(image)
    states = [state(layer)]
    answer = call(image, drawables)
    states.append(state(layer))
    for key in ("ctrl+z", "ctrl+y"):
        assert typing(key, "GIMP").wait(timeout=60) == 0
        wait_until(lambda: state(layer) != states[-1])
        states.append(state(layer))
    display.delete()
    return {**answer, "states": states}


def dialog(key):
    """Run the plug-in with its dialog, answered with a key."""
    image, drawables, (layer,) = rgb()
    before = state(layer)
    typist = typing(key, "^Remove Background")
    answer = call(image, drawables, mode=Gimp.RunMode.INTERACTIVE)
    assert typist.wait(timeout=60) == 0
    answer = {**answer, "before": before, "after": state(layer)}
    image.delete()
    return answer


def main():
    job = json.loads((SHARED / "job.json").read_text())
    jobs = {"kinds": kinds, "undo": undo, "dialog": dialog}
    answer = jobs[job.pop("job")](**job)
    (SHARED / "answer.json").write_text(json.dumps(answer))


main()
