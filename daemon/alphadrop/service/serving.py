"""The server of the API, put together: the calls, who is let in, and how connections are kept."""

from __future__ import annotations

from collections.abc import Callable

import uvicorn

from alphadrop.config import Settings
from alphadrop.service.api import make_app
from alphadrop.service.connection import AT_A_TIME, Connection, Server
from alphadrop.service.daemon import Daemon
from alphadrop.service.endpoint import Endpoint
from alphadrop.service.trust import Trust
from alphadrop.service.web import PAGE

__all__ = ["make_server"]


def make_server(daemon: Daemon, endpoint: Endpoint, settings: Callable[[], Settings]) -> Server:
    """Return the server; it serves on the sockets that it is run with.

    Args:
        daemon: answers the calls.
        endpoint: tells the port, and the token that is asked for there.
        settings: returns those in force.
    """
    return Server(
        uvicorn.Config(
            Trust(
                make_app(daemon),
                port=endpoint.port,
                token=endpoint.token,
                keys=lambda: [key.sha256 for key in settings().keys],
                origins=lambda: settings().allow_origins,
                files=PAGE,
                is_browser=lambda sha256: settings().web.enabled and daemon.browsers.is_known(sha256),
            ),
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=AT_A_TIME,
            timeout_graceful_shutdown=2,
        )
    )
