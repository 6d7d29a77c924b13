"""What a daemon tells, for tests of those who listen: statuses and jobs as the API writes them."""

from __future__ import annotations

from typing import Any


def status(*folders: dict[str, Any], **other: Any) -> dict[str, Any]:
    """Return what /v1/status says of a daemon with which nothing is wrong."""
    return {
        "state": "ready",
        "paused": None,
        "configuration": {"file": "/home/u/alphadrop.yaml", "problems": []},
        "model": {"name": "u2net-int8", "state": "ready", "message": "", "hint": ""},
        "ledger": {"state": "ready", "message": "", "hint": "", "notes": []},
        "folders": list(folders) or [folder()],
        "notifications": True,
        **other,
    }


def folder(name: str = "In", **other: Any) -> dict[str, Any]:
    """Return what it says of a folder that is watched."""
    counts = dict.fromkeys(("pending", "working", "done", "no_subject", "skipped", "failed", "missing"), 0)
    return {
        "input": f"/home/u/{name}",
        "output": f"/home/u/{name}-out",
        "health": "watching",
        "remedy": "",
        "warning": "",
        **counts,
        **other,
    }


def job(number: int, state: str = "done", outcome: str = "done", **other: Any) -> dict[str, Any]:
    """Return what an event says of a photograph."""
    ended = state in ("done", "failed")
    return {
        "id": number,
        "folder": "/home/u/In",
        "path": f"shoes/{number}.jpg",
        "state": state,
        "outcome": outcome if ended else "",
        "reason": "cut off" if state == "failed" else "",
        "finished_at": float(number) if ended else None,
        "original": "",
        "outputs": [f"/home/u/In-out/{number}.png"] if ended and state == "done" and outcome == "done" else [],
        **other,
    }
