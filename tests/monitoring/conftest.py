"""A real program that serves by every transport, from a server, with SLURM, in a fleet, and has met with every kind of
trouble that there are metrics for: so that all of them appear in what it tells.
"""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from tests import carriers
from tests.certificates import Authority
from tests.fleet.servers import Nats
from tests.http_server import Document, HttpServer
from tests.inputs import SMALL, Payload, aspa, rpki_client_json, vrp
from tests.model_router import Router
from tests.monitoring.exposition import Family, families
from tests.program import Program, ago

NO_VRP = {"prefix": "198.51.100.0/33"}
# An Error Report that ends no session.
NO_DATA_AVAILABLE = bytes([2, 10, 0, 2, 0, 0, 0, 16]) + bytes(8)


def document(*payload: Payload) -> bytes:
    """With a record that is dropped."""
    content = rpki_client_json(payload, build_time=ago(0))
    roas = content["roas"]
    assert isinstance(roas, list)
    roas.append(roas[0] | NO_VRP)
    return json.dumps(content).encode()


def slurm() -> dict[str, object]:
    """One filter, one assertion."""
    return {
        "slurmVersion": 1,
        "validationOutputFilters": {"prefixFilters": [{"asn": 64497}], "bgpsecFilters": []},
        "locallyAddedAssertions": {
            "prefixAssertions": [{"asn": 64496, "prefix": "198.18.0.0/24"}],
            "bgpsecAssertions": [],
        },
    }


@pytest.fixture(scope="session")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What `/metrics` of this program answers, as Prometheus' text."""
    folder = tmp_path_factory.mktemp("monitoring")
    (folder / "slurm.json").write_text(json.dumps(slurm()))
    authority, ssh = Authority(folder), carriers.ssh()
    ours = authority.issue("cache", dns_names=["cache.example"])
    over_tls = carriers.tls_client(authority.file, authority.issue("router", ["127.0.0.1"]))
    (folder / "clients.pem").write_bytes(authority.file.read_bytes() + authority.revoke())
    with HttpServer() as server, Nats(folder, 1) as nats:
        server.answers["/json"] = Document(document(*SMALL))
        settings: dict[str, Any] = {
            "LOCATION": server.url("/json"), "SLURM": folder / "slurm.json", "ROUTER_METRICS": True,
            "TLS_PORT": 0, "TLS_CERT": ours, "TLS_KEY": ours, "TLS_CLIENT_CA": folder / "clients.pem",
            "HTTP_TLS_CERT": ours, "HTTP_TLS_KEY": ours, "FLEET": nats.urls[0], **ssh.environment,
        }  # fmt: skip
        with Program(folder, None, **settings) as program:
            program.wait_for(lambda: program.get("/readyz")[0] == 200, what="it is ready")
            socket.create_connection(program.addresses["tls"]).close()  # no handshake
            with (
                Router.connect(program.addresses["rtr"]) as router,
                Router.connect(program.addresses["tls"], 1, carry=over_tls) as over_tls_router,
                Router.connect(program.addresses["ssh"], 0, carry=ssh.carry) as over_ssh_router,
            ):
                for each in (router, over_tls_router, over_ssh_router):
                    each.sync()
                server.answers["/json"] = Document(document(*SMALL[:-1], vrp("198.19.0.0/24"), aspa(64496, 64499)))
                program.signal(signal.SIGHUP)
                router.expect_notify()
                router.sync()
                router.send(NO_DATA_AVAILABLE)
                for name in (b"last_error_info{", b"refused_routers_total{"):
                    program.wait_for(lambda: name in program.get("/metrics")[1], what=f"it tells of {name!r}")  # noqa: B023
                yield program.get("/metrics")[1].decode()


@pytest.fixture(scope="session")
def known(exposed: str) -> dict[str, Family]:
    """The same by the name of each family."""
    return families(exposed)
