"""The fixtures of the namespace suite serve here too."""

import importlib.util
import pathlib
import sys

NET = pathlib.Path(__file__).resolve().parent.parent / "net"
sys.path.insert(0, str(NET))

_spec = importlib.util.spec_from_file_location("net_conftest", NET / "conftest.py")
_net = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_net)

SUBNET, World = _net.SUBNET, _net.World
lab, tunnel, joined, world = _net.lab, _net.tunnel, _net.joined, _net.world
pytest_sessionstart = _net.pytest_sessionstart
pytest_runtest_makereport = _net.pytest_runtest_makereport
