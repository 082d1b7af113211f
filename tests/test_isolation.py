"""The tests' own fences: nothing leaves this machine, and every test has a root of its own."""

import os
import socket

import pytest


def connect():
    socket.create_connection(("192.0.2.1", 80), timeout=5)


def look_up():
    socket.getaddrinfo("example.com", 443)


def send():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.sendto(b"", ("192.0.2.1", 53))


@pytest.mark.parametrize("reach", [connect, look_up, send])
def test_other_machines_are_out_of_reach(stay_on_this_machine, reach):
    with pytest.raises(ConnectionRefusedError, match="tests stay on this machine"):
        reach()
    assert len(stay_on_this_machine) == 1
    stay_on_this_machine.clear()  # else this test would fail for what it tried


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_in_reach(host):
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection((host, server.getsockname()[1]), timeout=5).close()


def test_a_test_has_an_empty_zipline_root_of_its_own(zipline_root, tmp_path):
    assert os.environ["ZIPLINE_ROOT"] == str(zipline_root)
    assert zipline_root.parent == tmp_path
    assert not zipline_root.exists()
