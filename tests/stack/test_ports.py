"""Ports stay the same from start to start, as long as nobody else took them."""

import socket
from pathlib import Path

import pytest

from dms_assets.sample.loopback import HOST, is_free, listens
from dms_assets.stack.ports import Ports, PortTakenError


def test_ports_of_the_last_start_come_back_in_any_order(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first = Ports(file)
    chosen = {name: first.choose(name) for name in ("a", "b", "c")}
    assert len(set(chosen.values())) == 3
    assert first.choose("a") == chosen["a"]
    again = Ports(file)
    assert {name: again.choose(name) for name in ("c", "b", "a")} == chosen


def test_a_port_that_somebody_took_is_left_to_them(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    port = Ports(file).choose("a")
    with socket.create_server((HOST, port)):
        assert listens(port)
        assert not is_free(port)
        assert Ports(file).choose("a") != port
        with pytest.raises(PortTakenError, match=f"port {port} .* is taken"):
            Ports(file).choose("a", wanted=port)


def test_wanted_comes_before_remembered_and_usual_after_it(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    usual, wanted = Ports(tmp_path / "x").choose("x"), Ports(tmp_path / "y").choose("y")
    assert Ports(file).choose("ui", usual=usual) == usual
    assert Ports(file).choose("ui", wanted=wanted, usual=usual) == wanted
    assert Ports(file).choose("ui", usual=usual) == wanted
    # What one part has is not given to another.
    assert Ports(file).choose("other", usual=wanted) != wanted


def test_ports_are_none_that_outgoing_connections_are_given(tmp_path: Path) -> None:
    """Such a one may be in use when the stack comes back, and all addresses would change."""
    ports = Ports(tmp_path / "ports.json")
    chosen = {ports.choose(f"part {number}") for number in range(20)}
    assert len(chosen) == 20
    assert chosen < set(range(1024, 32_768))
