"""What several tests need."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
LOOPBACK = ("127.", "::1", "localhost")


@pytest.fixture
def shared_data() -> Path:
    """The folder of public data beside the repository; in CI it must be there."""
    if not SHARED.is_dir():
        if os.environ.get("CI") and SHARED.parent.is_dir():
            pytest.fail(f"{SHARED} is missing")
        pytest.skip("the public data is not beside this checkout")
    return SHARED


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Close sockets to anywhere but this machine: a test that needs the network is a bug."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        if host and not str(host).startswith(LOOPBACK):
            raise OSError(f"tests may not connect to {host}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
