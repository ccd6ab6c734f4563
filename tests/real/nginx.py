"""Debian's nginx on loopback, with config/nginx.conf.example: free ports and a folder in place of the real ones."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.ports import free_port
from tests.waiting import wait_until

EXAMPLE = Path(__file__).resolve().parents[2] / "config" / "nginx.conf.example"
START_S = 20.0
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@dataclass(frozen=True)
class Doors:
    """Where the three doors of the example are."""

    passed_through: str
    ended: str
    people: str


@contextlib.contextmanager
def nginx(folder: Path, keys: Path, people_port: int, nodes_port: int) -> Iterator[Doors]:
    """The example runs before a hub whose own ports these are."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    assert program, "apt-get install nginx-light libnginx-mod-stream"
    ports = {name: free_port() for name in ("8443", "8444", "443")}
    text = EXAMPLE.read_text(encoding="utf-8")
    for written, free in ports.items():
        text, count = re.subn(rf"listen {written}\b", f"listen 127.0.0.1:{free}", text)
        assert count == 1, written
    for written, port in (("9443", nodes_port), ("8080", people_port)):
        text = text.replace(f"://127.0.0.1:{written}", f"://127.0.0.1:{port}")
        text = text.replace(f"proxy_pass 127.0.0.1:{written}", f"proxy_pass 127.0.0.1:{port}")
    text = text.replace("/var/lib/interlock-hub/keys", str(keys))
    text = re.sub(r"/etc/ssl/\S+;", f"{keys / 'server.pem'};", text)
    spill = "".join(f"{one}_temp_path {folder}/{one};\n" for one in _TEMPORARY)
    text = text.replace("http {", f"http {{\naccess_log off;\n{spill}", 1)
    text = text.replace("modules/", "/usr/lib/nginx/modules/", 1)
    own = f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/error.log;\n"
    config = folder / "nginx.conf"
    config.write_text(own + text, encoding="utf-8")
    process = subprocess.Popen(
        [program, "-p", str(folder), "-e", f"{folder}/error.log", "-c", str(config)]
    )
    try:
        for port in ports.values():
            wait_until(lambda port=port: _answers(port, process, folder), START_S, "nginx")  # type: ignore[misc]
        found = {name: f"https://127.0.0.1:{port}" for name, port in ports.items()}
        yield Doors(found["8443"], found["8444"], found["443"])
    finally:
        process.terminate()
        process.wait(START_S)


def _answers(port: int, process: subprocess.Popen[bytes], folder: Path) -> bool:
    if process.poll() is not None:
        raise AssertionError((folder / "error.log").read_text(encoding="utf-8"))
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def shown_certificate(address: str) -> bytes:
    """The certificate (DER) that whoever answers there shows."""
    host, port = address.removeprefix("https://").split(":")
    return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((host, int(port))))
