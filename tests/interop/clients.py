"""The routers: how each is started with nothing but an RTR client configured, and how it shows what it holds.

Those of Debian 12 run on the machine itself, those of Debian 13 in a chroot.
"""

import asyncio
import base64
import contextlib
import ipaddress
import json
import os
import re
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, cast

from tests.interop import bgp
from tests.interop.cache import RETRY
from tests.interop.client import Client
from tests.interop.credentials import MD5_ADDRESS, MD5_KEY, NAME, PASSWORD, USER, key_of
from tests.interop.payload import OTHER, Payload, Probe, aspa_line, probes, router_key_line, vrp_line
from tests.interop.process import COMMAND_S, free_port, output

PROGRAM = os.environ.get("PYRTR", "pyrtr")


class Frr(Client):
    """bgpd alone: no zebra, no BGP, no port."""

    name, package = "FRR", "frr-rpki-rtrlib"
    environment: ClassVar[tuple[str, ...]] = ()

    def login(self) -> str:
        """What stands behind address and port."""
        return ""

    async def run(self) -> None:
        old = (await self.release() or "").startswith("8.")
        conf = self.configure(f"""\
log stdout debugging
debug rpki
rpki
 rpki polling_period 3600
 rpki retry_interval {RETRY}
 rpki cache {"" if old else self.transport} 127.0.0.1 {self.port} {self.login()} preference 1
exit
router bgp 64512
exit
""")
        await self.spawn(
            *self.environment,
            *("/usr/lib/frr/bgpd", "-f", conf, "-M", "rpki", "-S", "-Z", "-n", "-p", "0", "-P", "0"),
            *("-i", f"{self.folder}/pid", "--vty_socket", self.folder),
        )

    async def held(self) -> set[str]:
        command = "show rpki prefix-table json"
        shown = await self.ask("/usr/bin/vtysh", "--vty_socket", self.folder, "-d", "bgpd", "-c", command)
        rows = json.loads(shown).get("prefixes", [])
        return {vrp_line(f"{r['prefix']}/{r['prefixLenMin']}", r["prefixLenMax"], r["asn"]) for r in rows}


class FrrSsh(Frr):
    """The same over SSH, with a key; it checks the key of the cache."""

    name = "FRR SSH"
    transport = "ssh"
    # Debian's libfrr has SHA-256 functions of its own, which take the place of libcrypto's in libssh.
    environment = ("env", "LD_PRELOAD=libcrypto.so.3")

    def login(self) -> str:
        return f"{USER} {self.credentials.ssh_key} {self.credentials.known_hosts(self.port)}"


class Bird(Client):
    """BIRD 2, or 3 with its table of ASPAs."""

    name, package = "BIRD", "bird2"
    more: ClassVar[str] = ""

    async def run(self) -> None:
        aspas = self.rtr_version > 1
        conf = self.configure(f"""\
log stderr all;
router id 127.0.0.1;
roa4 table r4;
roa6 table r6;
{"aspa table at;" if aspas else ""}
protocol rpki cache {{
  debug all;
  roa4 {{ table r4; }};
  roa6 {{ table r6; }};
  {"aspa { table at; };" if aspas else ""}
  remote 127.0.0.1 port {self.port};
  {self.more}
  retry keep {RETRY};
}}
""")
        await self.spawn("/usr/sbin/bird", "-f", "-c", conf, "-s", f"{self.folder}/control")

    async def table(self, name: str) -> str:
        return await self.ask("/usr/sbin/birdc", "-s", f"{self.folder}/control", "show", "route", "all", "table", name)

    async def held(self) -> set[str]:
        roas = await self.table("r4") + await self.table("r6")
        lines = {vrp_line(p, int(m), int(a)) for p, m, a in re.findall(r"^(\S+/\d+)-(\d+) AS(\d+)", roas, re.MULTILINE)}
        if self.rtr_version > 1:
            aspas = re.findall(r"^(\d+) .*\n(?:\s.*\n)*?\s*aspa_providers: (.*)", await self.table("at"), re.MULTILINE)
            lines |= {aspa_line(int(customer), map(int, providers.split())) for customer, providers in aspas}
        return lines

    def wanted(self, payload: Payload) -> set[str]:
        return payload.vrp_lines | (payload.aspa_lines if self.rtr_version > 1 else set())


class BirdMd5(Bird):
    """The same with signed segments."""

    name = "BIRD MD5"
    source = MD5_ADDRESS
    more = f'local address {MD5_ADDRESS}; transport tcp {{ authentication md5; password "{MD5_KEY}"; }};'


class OpenBgpd(Client):
    """OpenBGPD, which lists neither VRPs nor ASPAs.

    So it gets a BGP neighbour whose routes tell the sets apart, and shows how it validates them; and it shows how many
    prefixes, and customers, it holds. That tells all but a VRP which another makes void (RFC 6811 section 2): the same
    prefix and ASN with a larger maximum length, or any ASN at all beside AS 0.
    """

    name, package = "OpenBGPD", "openbgpd"

    def __init__(self, payloads: Iterable[Payload], rtr_version: int, root: Path = Path("/")):
        super().__init__(rtr_version, root)
        self.aspas = rtr_version > 1
        self.probes = probes(payloads, with_aspas=self.aspas)
        self.neighbour = bgp.Neighbour()

    async def run(self) -> None:
        self.bgp_port = free_port()
        self.outside("/run/openbgpd").mkdir(mode=0o755, parents=True, exist_ok=True)  # it changes root to there
        conf = self.configure(f"""\
AS 64512
router-id 127.0.0.1
fib-update no
socket "{self.folder}/control"
listen on 127.0.0.1 port {self.bgp_port}
rtr 127.0.0.1 {{
	port {self.port}
	{"min-version 2" if self.aspas else ""}
}}
neighbor {bgp.ADDRESS} {{
	remote-as {OTHER}
	passive
	announce IPv4 unicast
	announce IPv6 unicast
	announce add-path recv yes
	enforce neighbor-as no
	{"role provider" if self.aspas else ""}
}}
allow from any
""")
        await self.spawn("/usr/sbin/bgpd", "-dv", "-f", conf)

    async def start(self, port: int, folder: str, log: Path) -> None:
        await super().start(port, folder, log)
        await self.neighbour.start(self.bgp_port, self.probes)

    async def show(self, *what: str) -> dict[str, list[dict[str, str]]]:
        shown = await self.ask("/usr/sbin/bgpctl", "-j", "-s", f"{self.folder}/control", "show", *what)
        return cast("dict[str, list[dict[str, str]]]", json.loads(shown))

    async def held(self) -> set[str]:
        counts = {
            f"{s['type']} {name}: {s[name]}"
            for s in (await self.show("sets"))["sets"]
            for name in ("num_IPv4", "num_IPv6", "num_ASnum")
            if name in s
        }
        return counts | {
            f"{r['prefix']} path {r['aspath']}: {r['ovs']}" + (f" {r['avs']}" if self.aspas else "")
            for r in (await self.show("rib", "in")).get("rib", [])
        }

    def wanted(self, payload: Payload) -> set[str]:
        prefixes = {v.prefix for v in payload.vrps}
        lines = {f"ROA num_IPv{family}: {sum(p.version == family for p in prefixes)}" for family in (4, 6)}
        if self.aspas:
            lines.add(f"ASPA num_ASnum: {len(payload.aspas)}")
        return lines | {self.line(payload, probe) for probe in self.probes}

    def line(self, payload: Payload, probe: Probe) -> str:
        path = " ".join(map(str, probe.path))
        states = payload.origin_state(probe) + (f" {payload.path_state(probe)}" if self.aspas else "")
        return f"{probe.prefix} path {path}: {states}"

    async def stop(self) -> None:
        await self.neighbour.stop()
        await super().stop()


class GoBgp(Client):
    """gobgpd without BGP."""

    name, package = "GoBGP", "gobgpd"

    async def run(self) -> None:
        self.api_port = free_port()
        conf = self.configure(f"""\
[global.config]
  as = 64512
  router-id = "127.0.0.1"
  port = -1
[[rpki-servers]]
  [rpki-servers.config]
    address = "127.0.0.1"
    port = {self.port}
""")
        api = f"127.0.0.1:{self.api_port}"
        command = ("/usr/bin/gobgpd", "-t", "toml", "-f", conf, "--api-hosts", api, "--pprof-disable", "-l", "debug")
        await self.spawn(*command)

    async def table(self, family: str) -> str:
        api = ("-u", "127.0.0.1", "-p", str(self.api_port))
        return await self.ask("/usr/bin/gobgp", *api, "rpki", "table", "-a", family)

    async def held(self) -> set[str]:
        shown = await self.table("ipv4") + await self.table("ipv6")
        return {
            vrp_line(p, int(m), int(a)) for p, m, a in re.findall(r"^(\S+/\d+)\s+(\d+)\s+(\d+)\s", shown, re.MULTILINE)
        }


class RtrClient(Client):
    """rtrlib's client, which logs what is added and removed."""

    name, package = "rtrclient", "rtr-tools"
    vrp = re.compile(r"^([+-]) (\S+) +(\d+) - +(\d+) +(-?\d+)$", re.MULTILINE)
    router_key = re.compile(r"^([+-]) HOST: .*\nASN: +(\d+)\n +SKI: +(\S+)\n +SPKI: ((?:[0-9a-f:]+\s+)+)", re.MULTILINE)

    async def run(self) -> None:
        self.events = self.log.with_suffix(".events")
        command = ("stdbuf", "-oL", "/usr/bin/rtrclient", self.transport, "-k", "-p")
        await self.process.start(self.events, *self.prefix, *command, *self.target(), errors=self.log)

    def target(self) -> tuple[str, ...]:
        """Where it connects, and as whom."""
        return "127.0.0.1", str(self.port)

    async def held(self) -> set[str]:
        text = self.events.read_text()
        changes = [
            (m.start(), m[1], vrp_line(f"{m[2]}/{m[3]}", int(m[4]), int(m[5]) % 2**32)) for m in self.vrp.finditer(text)
        ]
        for m in self.router_key.finditer(text):
            spki = bytes.fromhex("".join(m[4].split()).replace(":", ""))
            changes.append((m.start(), m[1], router_key_line(int(m[2]), m[3].replace(":", ""), spki)))
        held: set[str] = set()
        for _, sign, line in sorted(changes):
            (held.add if sign == "+" else held.discard)(line)
        return held

    def wanted(self, payload: Payload) -> set[str]:
        return payload.vrp_lines | payload.router_keys


class RtrClientKey(RtrClient):
    """The same over SSH, with a key; it checks the key of the cache."""

    name = "rtrclient key"
    transport = "ssh"

    def target(self) -> tuple[str, ...]:
        made = self.credentials
        return "127.0.0.1", str(self.port), USER, str(made.ssh_key), str(made.known_hosts(self.port))


class RtrClientPassword(RtrClient):
    """The same over SSH, with a password."""

    name = "rtrclient pass"
    transport = "ssh"

    def target(self) -> tuple[str, ...]:
        return "-w", "127.0.0.1", str(self.port), USER, PASSWORD


class RtrDump(Client):
    """StayRTR's client: each look is a connection of its own and takes the whole set."""

    name, package = "rtrdump", "stayrtr"
    stays = False
    type: ClassVar[str] = "plain"
    options: ClassVar[tuple[str, ...]] = ()

    async def run(self) -> None:
        """Nothing stays."""

    async def answers(self) -> bool:
        return True

    async def held(self) -> set[str]:
        file = self.outside(f"{self.folder}/dump.json")
        file.unlink(missing_ok=True)
        options = (
            "-type",
            self.type,
            *self.options,
            "-rtr.version",
            str(self.rtr_version),
            "-file",
            f"{self.folder}/dump.json",
        )
        await self.ask("/usr/bin/rtrdump", "-connect", f"127.0.0.1:{self.port}", *options)
        js = json.loads(file.read_text())
        lines = {vrp_line(r["prefix"], r["maxLength"], r["asn"]) for r in js["roas"]}
        return lines | {
            router_key_line(k["asn"], k["ski"], base64.b64decode(k["pubkey"])) for k in js.get("bgpsec_keys", [])
        }

    def wanted(self, payload: Payload) -> set[str]:
        return payload.vrp_lines | payload.router_keys


class RtrDumpTls(RtrDump):
    """The same over TLS; it has no certificate to show, and knows no CA of ours."""

    name = "rtrdump TLS"
    transport = type = "tls"
    options = ("-tls.validate=false",)
    needs_certificates = False


class OpenSsl(Client):
    """`openssl s_client` with a certificate, which asks for everything and checks ours by its name."""

    name, package = "openssl", "openssl"
    transport = "tls"
    stays = False

    async def run(self) -> None:
        """Nothing stays."""

    async def answers(self) -> bool:
        return True

    async def held(self) -> set[str]:
        made, pipe = self.credentials, asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(
            *("openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{self.port}"),
            *("-cert", str(made.router), "-key", str(key_of(made.router)), "-CAfile", str(made.ca)),
            *("-verify_return_error", "-verify_hostname", NAME),
            stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            async with asyncio.timeout(COMMAND_S):
                child.stdin.write(struct.pack("!BBHI", self.rtr_version, 2, 0, 8))
                return await read_response(child.stdout)
        except asyncio.IncompleteReadError as fault:
            raise OSError("s_client: closed before End of Data") from fault
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    def wanted(self, payload: Payload) -> set[str]:
        return payload.vrp_lines | payload.router_keys


class Follower(Client):
    """pyRTR itself, behind another over TLS with certificates on both sides; what it serves is read over plain TCP."""

    name, package = "pyRTR", "python3"
    transport = "tls"

    async def release(self) -> str | None:
        return (await output(PROGRAM, "--version")).split()[1]

    async def run(self) -> None:
        made, self.own_port = self.credentials, free_port()
        settings = {
            "DATASOURCE": "RTR", "LOCATION": f"rtr+tls://127.0.0.1:{self.port}", "RELOAD": "3600",
            "SOURCE_CA": str(made.ca), "SOURCE_CERT": str(made.router), "SOURCE_KEY": str(key_of(made.router)),
            "HOST": "127.0.0.1", "RTR_PORT": str(self.own_port), "HTTP_PORT": "False",
            "STATE": f"{self.folder}/state", "MAX_SHRINK": "100",
        }  # fmt: skip
        await self.process.start(self.log, PROGRAM, env={"PATH": os.environ["PATH"], **settings})

    async def held(self) -> set[str]:
        async with asyncio.timeout(COMMAND_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.own_port)
            try:
                writer.write(struct.pack("!BBHI", self.rtr_version, 2, 0, 8))
                return await read_response(reader)
            except asyncio.IncompleteReadError as fault:
                raise OSError("closed before End of Data") from fault
            finally:
                writer.close()

    def wanted(self, payload: Payload) -> set[str]:
        return payload.vrp_lines | payload.router_keys | payload.aspa_lines


async def read_response(stream: asyncio.StreamReader) -> set[str]:
    """The payload of one response, to its End of Data (8210bis section 5)."""
    lines: set[str] = set()
    kind = None
    while kind != 7:
        kind, field, length = struct.unpack("!xBHI", await stream.readexactly(8))
        body = await stream.readexactly(length - 8)
        if kind in (4, 6):
            address, asn = ipaddress.ip_address(body[4:-4]), int.from_bytes(body[-4:])
            lines.add(vrp_line(f"{address}/{body[1]}", body[2], asn))
        elif kind == 9:
            lines.add(router_key_line(int.from_bytes(body[20:24]), body[:20].hex(), body[24:]))
        elif kind == 10:
            raise OSError(f"Error Report {field}")
        elif kind == 11:
            customer, *providers = struct.unpack(f"!{len(body) // 4}I", body)
            lines.add(aspa_line(customer, providers))
    return lines


def clients(chroot: Path, payloads: Iterable[Payload]) -> list[Client]:
    """All of them; `chroot` is where Debian 13 is, `payloads` are all that will be served."""
    return [
        Frr(1),
        Bird(1),
        OpenBgpd(payloads, 1),
        GoBgp(0),
        RtrClient(1),
        RtrDump(1),
        FrrSsh(1),
        RtrClientKey(1),
        RtrClientPassword(1),
        RtrDumpTls(1),
        OpenSsl(1),
        Follower(2),
        Frr(1, chroot),
        Bird(2, chroot, "bird3"),
        BirdMd5(2, chroot, "bird3"),
        OpenBgpd(payloads, 2, chroot),
        GoBgp(0, chroot),
    ]
