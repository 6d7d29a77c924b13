"""Saves a picture of the screen, inside GIMP's root; its arguments are the file, and `moving` not to wait for rest."""
# mypy: ignore-errors

import sys
import time

import gi

gi.require_version("Gdk", "3.0")
from gi.repository import Gdk  # noqa: E402

screen = Gdk.get_default_root_window()
last = None
for _ in range(1 if sys.argv[2:] else 40):
    time.sleep(0.3)
    picture = Gdk.pixbuf_get_from_window(screen, 0, 0, screen.get_width(), screen.get_height())
    if picture.get_pixels() == last:
        break
    last = picture.get_pixels()
picture.savev(sys.argv[1], "png", [], [])
