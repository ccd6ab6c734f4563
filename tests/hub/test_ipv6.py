"""A hub whose address is one of IPv6: in hub.toml, its certificate, codes, cards, and on a real socket."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from django.http.request import split_domain_port, validate_host
from django.test import RequestFactory

from interlock.clock import SystemClock
from interlock.errors import ConfigError, LinkError
from interlock.hub.authority import Certificates
from interlock.hub.directory import HubConfig, bare_host, check_config, read_config
from interlock.hub.pages.nodes.enrolling import _host_of
from interlock.protocol.credentials import HubAccess
from interlock.protocol.enrolment import EnrolmentCode, code_from_text
from interlock.sync.hub_client import HubClient

pytestmark = pytest.mark.fast

ADDRESS = "fd00::1"
SPELLINGS = ["fd00::1", "[fd00::1]", "FD00:0:0::1", " [fd00:0::0001] "]


def answers(config: HubConfig, header: str) -> bool:
    """Whether a request with that Host header is answered."""
    return validate_host(split_domain_port(header)[0], config.called())


@pytest.mark.parametrize("spelled", SPELLINGS)
def test_however_an_address_is_spelled_in_hub_toml_the_hub_answers_to_it(spelled: str) -> None:
    for config in (
        HubConfig("Lab", hosts=(spelled,)),
        HubConfig("Lab", node_address=spelled),
        HubConfig("Lab", url=f"https://[{bare_host(spelled)}]:8443"),
    ):
        check_config(config, where="hub.toml")
        assert ADDRESS in config.names()
        assert all(answers(config, said) for said in ("[fd00::1]", "[fd00::1]:8443", "[::1]:1"))
        assert not answers(config, "[fd00::2]:8443")


def test_the_file_reads_back_as_the_same_address(tmp_path: Path) -> None:
    config = HubConfig("Lab", hosts=("[fd00::1]", "hub.lab"), node_address="FD00::1")
    (tmp_path / "hub.toml").write_text(config.to_toml())
    assert read_config(tmp_path / "hub.toml") == config
    assert (config.hosts, config.node_address) == (("fd00::1", "hub.lab"), "fd00::1")


@pytest.mark.parametrize("said", ["hub.lab:8443", "fe80::1%eth0", "[fd00::1]:8443", "fd00:::1"])
def test_a_port_a_zone_or_no_address_at_all_is_refused_for_machines(said: str) -> None:
    with pytest.raises(ConfigError, match="without port"):
        check_config(HubConfig("Lab", node_address=said), where="hub.toml")


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("[fd00::1]:8080", "fd00::1"),
        ("[fd00::1]", "fd00::1"),
        ("hub.lab:8080", "hub.lab"),
        ("hub.lab", "hub.lab"),
        ("10.0.0.5:8080", "10.0.0.5"),
    ],
)
def test_the_page_proposes_the_address_that_its_reader_typed(
    header: str, host: str, settings: object
) -> None:
    settings.ALLOWED_HOSTS = ["*"]  # type: ignore[attr-defined]
    assert _host_of(RequestFactory().get("/", headers={"host": header})) == host


def test_a_code_carries_it_in_brackets_and_leads_back_to_it() -> None:
    code = EnrolmentCode("[fd00::1]", 8443, bytes(32), bytes(16))
    assert code.url == "https://[fd00::1]:8443"
    assert code_from_text(code.to_text().lower()) == code


class Nothing(BaseHTTPRequestHandler):
    """A hub that has no news."""

    def do_GET(self) -> None:
        self.send_response(HTTPStatus.NO_CONTENT)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None: ...


class OverIpv6(HTTPServer):
    address_family = socket.AF_INET6


@contextmanager
def hub_at(certificates: Certificates, address: str) -> Iterator[str]:
    """A server over TLS with the hub's certificate; where it is reached."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server_file)
    server = OverIpv6((address, 0), Nothing)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"https://[{address}]:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("named", "is_believed"), [("[::1]", True), ("fd00::1", False)])
def test_sync_believes_the_certificate_of_the_very_address_it_calls(
    tmp_path: Path, named: str, is_believed: bool
) -> None:
    """A real handshake with sync's own client: chain and name checked, at an address of IPv6."""
    certificates = Certificates(tmp_path, SystemClock())
    certificates.create("Lab")
    certificates.ensure_server([named])
    found = certificates.server().extensions
    names = found.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address(bare_host(named))]
    with hub_at(certificates, "::1") as url:
        trusted = certificates.trusted("lab").certificates
        with closing(
            HubClient(HubAccess("lab", "saw", url, "0" * 32, trusted, bytes(32)))
        ) as client:
            if is_believed:
                assert client.changes((1, 1), 0, (1, 1)) is None
            else:
                with pytest.raises(LinkError):
                    client.changes((1, 1), 0, (1, 1))
