"""What the calls of the API need of the process that they are served by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from PIL import Image

from alphadrop.engine.cancellation import Cancellation
from alphadrop.engine.cutout import Look
from alphadrop.engine.options import Edges
from alphadrop.hotfolder.hotfolders import HotFolders
from alphadrop.hotfolder.ledger import Ledger
from alphadrop.pipeline.explain_apart import Explained, File, Question
from alphadrop.pipeline.order import Finished, Order
from alphadrop.service.browsers import Browsers
from alphadrop.service.reports import ConfigurationInForce, Models, Status, Stopping

__all__ = ["Daemon", "Matte", "Output"]

Output = Literal["alpha", "rgba"]


class Daemon(Protocol):
    """What the calls need of the process they are served by."""

    def status(self) -> Status:
        """Return how things are."""

    def stop(self) -> Stopping:
        """Begin to end."""

    def pause(self, seconds: float | None) -> None:
        """Let the hot folders rest; raises LedgerError."""

    def resume(self) -> None:
        """Let the hot folders go on; raises LedgerError."""

    @property
    def folders(self) -> HotFolders:
        """The hot folders; raises LedgerError while they wait for the ledger."""

    @property
    def ledger(self) -> Ledger:
        """The record of files; raises LedgerError while it cannot be opened."""

    def matte(
        self,
        picture: Image.Image,
        model: str | None,
        edges: Edges,
        output: Output,
        cancellation: Cancellation,
    ) -> Matte:
        """Find the matte of a picture of sRGB pixels; raises AlphadropError."""

    def cut(self, data: bytes | bytearray, order: Order, cancellation: Cancellation) -> Finished:
        """Cut an encoded photograph out; raises AlphadropError."""

    def cut_again(
        self, data: bytes | bytearray, order: Order, seen: Look | None, cancellation: Cancellation
    ) -> tuple[Finished, Look]:
        """Cut an encoded photograph out that may have been looked at already; return also what was seen in it."""

    def explain(
        self,
        data: bytes | bytearray,
        question: Question,
        cancellation: Cancellation,
        take: Callable[[Explained, File], None],
    ) -> Explained:
        """Draw what a network sees in an encoded photograph, one picture after the other; raises AlphadropError."""

    def models(self) -> Models:
        """Return every network that is known by name."""

    def configuration(self) -> ConfigurationInForce:
        """Return the settings in force."""

    @property
    def browsers(self) -> Browsers:
        """Those that have a key for the web page."""

    @property
    def page_address(self) -> str:
        """Where the web page is; raises NoPage."""

    @property
    def max_pixels(self) -> int:
        """The most that a picture may have."""

    @property
    def model(self) -> str:
        """The network that is used where none is named."""

    @property
    def keep_gps(self) -> bool:
        """Whether places stay in the metadata where nothing else is asked for."""


@dataclass(frozen=True, slots=True)
class Matte:
    """What was found."""

    pixels: memoryview
    """Bytes. Of `alpha`: rows of one value a pixel, the matte without the alpha that came with the pixels. Of `rgba`:
    rows of straight colours, in the soft edge the subject's own, each followed by the same matte."""
    subject: bool
