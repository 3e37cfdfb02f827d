"""Every variable: what it accepts, what it refuses, what it contradicts, and which neighbours get a warning."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pyrtr.errors import PyrtrError, SettingsError
from pyrtr.logs import LogFormat, LogLevel
from pyrtr.settings import VARIABLES, Farewell, Merge, Settings
from pyrtr.sources.base import kinds, schemes
from pyrtr.sources.location import Location
from pyrtr.syntax import VersionCap
from pyrtr.wire.enums import Version

DEFAULTS = {
    "LOGLEVEL": "INFO",
    "HOST": "localhost",
    "RTR_PORT": "8323",
    "HTTP_PORT": "8080",
    "DATASOURCE": "RPKICLIENT",
    "JSONFILE": "-",
    "LOCATION": "json",
    "MERGE": "failover",
    "SLURM": "-",
    "SOURCE_CA": "-",
    "SOURCE_CERT": "-",
    "SOURCE_KEY": "-",
    "SOURCE_SSH_KEY": "-",
    "SOURCE_KNOWN_HOSTS": "-",
    "RELOAD": "900",
    "REFRESH": "3600",
    "RETRY": "600",
    "EXPIRE": "7200",
    "STATE": "state",
    "LOG_FORMAT": "text",
    "WATCH": "True",
    "MIN_VERSION": "0",
    "MAX_VERSION": "2",
    "HISTORY": "1000",
    "HISTORY_DAYS": "30",
    "INITIAL_SERIAL": "random",
    "FAREWELL": "restart",
    "MAX_AGE": "86400",
    "ON_STALE": "hold",
    "MAX_SHRINK": "20",
    "HOLD": "21600",
    "FLEET": "-",
    "FLEET_NAME": "pyrtr",
    "TLS_PORT": "False",
    "SSH_PORT": "False",
    "TLS_CERT": "-",
    "TLS_KEY": "-",
    "TLS_CLIENT_CA": "-",
    "TLS_CHECK_ADDRESS": "True",
    "SSH_HOST_KEY": "-",
    "SSH_AUTHORIZED_KEYS": "-",
    "SSH_PASSWORDS": "-",
    "SSH_OLD_ALGORITHMS": "False",
    "ALLOW": "all",
    "VERSION_CAPS": "-",
    "MAX_ROUTERS": "20000",
    "ROUTER_METRICS": "False",
    "TCP_MD5": "-",
    "HTTP_TLS_CERT": "-",
    "HTTP_TLS_KEY": "-",
    "HTTP_TOKEN": "-",
}

ACCEPTED = [
    *[("LOGLEVEL", level.value, level) for level in LogLevel],
    ("LOGLEVEL", "debug", LogLevel.DEBUG),
    ("HOST", "192.0.2.1", ("192.0.2.1",)),
    ("HOST", "localhost, ::1 ,192.0.2.1", ("localhost", "::1", "192.0.2.1")),
    ("HOST", "fe80::1%eth0", ("fe80::1%eth0",)),
    ("HOST", "rtr_1.cache-2.example", ("rtr_1.cache-2.example",)),
    ("HOST", "::1,::1", ("::1",)),
    ("RTR_PORT", "0", 0),
    ("RTR_PORT", "65535", 65535),
    ("RTR_PORT", " 323\n", 323),
    *[(name, off, None) for name in ("RTR_PORT", "HTTP_PORT") for off in ("False", "false", "FALSE", "no", "Off")],
    ("HTTP_PORT", "0", 0),
    *[("DATASOURCE", kind, kind) for kind in kinds()],
    ("DATASOURCE", "rpkiClient", "RPKICLIENT"),
    ("LOCATION", "/var/lib/rpki-client/json", (Location("file", "/var/lib/rpki-client/json"),)),
    ("LOCATION", "with space: and colon", (Location("file", "with space: and colon"),)),
    ("LOCATION", "\udcff", (Location("file", "\udcff"),)),
    ("LOCATION", "file:///srv/a%20b", (Location("file", "/srv/a b"),)),
    ("LOCATION", "HTTPS://rpki.example/json", (Location("https", "HTTPS://rpki.example/json"),)),
    ("LOCATION", "one, two ,one", (Location("file", "one"), Location("file", "two"))),
    ("LOCATION", "http://me:word@rpki.example/?key=k", (Location("http", "http://me:word@rpki.example/?key=k"),)),
    ("JSONFILE", "old", (Location("file", "old"),)),
    ("SLURM", "exceptions.json,/etc/slurm", (Location("file", "exceptions.json"), Location("file", "/etc/slurm"))),
    ("MERGE", "Union", Merge.UNION),
    ("SOURCE_CA", "/etc/ssl/rpki.pem", Path("/etc/ssl/rpki.pem")),
    ("SOURCE_CERT", "a, b:c", Path("a, b:c")),
    ("RELOAD", "1", 1),
    ("RELOAD", "86400", 86400),
    ("RELOAD", "0900", 900),
    ("REFRESH", "1", 1),
    ("RETRY", "1", 1),
    ("EXPIRE", "172800", 172800),
    ("STATE", "/srv/pyrtr", Path("/srv/pyrtr")),
    *[("STATE", off, None) for off in ("False", "no", "off", "0")],
    ("LOG_FORMAT", "JSON", LogFormat.JSON),
    *[("WATCH", text, True) for text in ("True", "TRUE", "yes", "on", "1")],
    *[("WATCH", text, False) for text in ("False", "false", "no", "off", "0")],
    ("MIN_VERSION", "2", 2),
    ("MAX_VERSION", "0", 0),
    ("HISTORY", "0", 0),
    ("HISTORY", "1000000", 1_000_000),
    ("HISTORY_DAYS", "1", 1),
    ("HISTORY_DAYS", "3650", 3650),
    ("HISTORY_DAYS", "no", None),
    ("INITIAL_SERIAL", "0", 0),
    ("INITIAL_SERIAL", "4294967295", 4294967295),
    ("INITIAL_SERIAL", "Random", None),
    *[("FAREWELL", farewell.value, farewell) for farewell in Farewell],
    ("TLS_PORT", "False", None),
    ("TLS_CLIENT_CA", "/etc/pyrtr/routers.pem", Path("/etc/pyrtr/routers.pem")),
    ("TLS_CHECK_ADDRESS", "no", False),
    ("ALLOW", "All", None),
    ("ALLOW", "192.0.2.1", (ip_network("192.0.2.1/32"),)),
    ("ALLOW", "192.0.2.0/24, 2001:db8::/32", (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))),
    (
        "VERSION_CAPS",
        "192.0.2.0/24=1 , ::/0=0",
        (VersionCap(ip_network("192.0.2.0/24"), Version.V1), VersionCap(ip_network("::/0"), Version.V0)),
    ),
    ("MAX_ROUTERS", "1", 1),
]

NO_NUMBERS = ["+5", "-5", "5.0", "5e2", "٣", "1_000", "0x5", "5 0", "five", "True", "9" * 5000]

REFUSED = [
    *[
        (name, text)
        for name in (
            "RTR_PORT", "HTTP_PORT", "RELOAD", "REFRESH", "RETRY", "EXPIRE", "HISTORY", "INITIAL_SERIAL", "MIN_VERSION",
            "MAX_VERSION",
        )
        for text in NO_NUMBERS
    ],
    ("LOGLEVEL", "WARN"),
    ("LOGLEVEL", "20"),
    ("HOST", ","),
    ("HOST", "localhost,,::1"),
    ("HOST", "256.1.1.1"),
    ("HOST", "192.0.2"),
    ("HOST", "12345"),
    ("HOST", "[::1]"),
    ("HOST", "localhost:8323"),
    ("HOST", "two words"),
    ("HOST", "-dash"),
    ("HOST", "a..b"),
    ("HOST", "*"),
    ("HOST", "x" * 254),
    ("HOST", "\udcff"),
    ("HOST", "bücher.example"),
    ("RTR_PORT", "65536"),
    ("HTTP_PORT", "65536"),
    ("RTR_PORT", "tcp://10.96.0.5:8323"),
    ("DATASOURCE", "RPKI"),
    ("LOCATION", "https://"),
    ("LOCATION", "https://rpki.example:0/json"),
    ("LOCATION", "https://rpki.example:65536/json"),
    ("LOCATION", "file://rpki.example/json"),
    ("LOCATION", "one,,two"),
    ("LOCATION", "rtr://cache.example"),
    ("SLURM", "rtr://cache.example"),
    ("JSONFILE", ","),
    ("SLURM", "one,"),
    ("MERGE", "both"),
    ("RELOAD", "0"),
    ("RELOAD", "86401"),
    ("RELOAD", "False"),
    ("REFRESH", "0"),
    ("REFRESH", "86401"),
    ("RETRY", "0"),
    ("RETRY", "7201"),
    ("EXPIRE", "599"),
    ("EXPIRE", "172801"),
    ("STATE", "True"),
    ("STATE", "on"),
    ("LOG_FORMAT", "xml"),
    ("WATCH", "2"),
    ("WATCH", "t"),
    ("MIN_VERSION", "3"),
    ("MAX_VERSION", "3"),
    ("HISTORY", "1000001"),
    ("HISTORY_DAYS", "0"),
    ("HISTORY_DAYS", "3651"),
    ("INITIAL_SERIAL", "4294967296"),
    ("INITIAL_SERIAL", "False"),
    ("FAREWELL", "goodbye"),
    ("FAREWELL", "False"),
    ("TLS_PORT", "65536"),
    ("TLS_CHECK_ADDRESS", "maybe"),
    ("ALLOW", "192.0.2.1/24"),
    ("ALLOW", "192.0.2.0/24,"),
    ("ALLOW", "router.example"),
    ("ALLOW", "::ffff:192.0.2.0/120"),
    ("VERSION_CAPS", "192.0.2.0/24"),
    ("VERSION_CAPS", "192.0.2.0/24=3"),
    ("VERSION_CAPS", "192.0.2.0/24=V1"),
    ("VERSION_CAPS", "=1"),
    ("VERSION_CAPS", "192.0.2.1=1,192.0.2.1/32=0"),
    ("MAX_ROUTERS", "0"),
]  # fmt: skip

FOLLOWING = {"DATASOURCE": "PYRTR", "LOCATION": "http://other:8080"}
CONTRADICTIONS = [
    ({"RTR_PORT": "False", "HTTP_PORT": "no"}, "HTTP_PORT='no': RTR_PORT is False too"),
    ({"RTR_PORT": "8080"}, "HTTP_PORT=8080: RTR_PORT is the same"),
    ({"TLS_PORT": "8323", "TLS_CERT": "c", "TLS_KEY": "k"}, "TLS_PORT='8323': RTR_PORT is the same"),
    ({"TLS_PORT": "8080", "TLS_CERT": "c", "TLS_KEY": "k"}, "HTTP_PORT=8080: TLS_PORT is the same"),
    ({"TLS_PORT": "324", "TLS_KEY": "k"}, "TLS_CERT=None: TLS_PORT is set, which needs it"),
    ({"TLS_PORT": "324", "TLS_CERT": "c"}, "TLS_KEY=None: TLS_PORT is set, which needs it"),
    ({"SSH_PORT": "8323", "SSH_PASSWORDS": "p"}, "SSH_PORT='8323': RTR_PORT is the same"),
    ({"SSH_PORT": "22"}, "SSH_PASSWORDS=None: SSH_PORT is set, which needs SSH_AUTHORIZED_KEYS or this"),
    (
        {"SSH_PORT": "22", "SSH_PASSWORDS": "p", "STATE": "False"},
        "SSH_HOST_KEY=None: SSH_PORT is set and STATE is False",
    ),
    ({"VERSION_CAPS": "::/0=0", "MIN_VERSION": "1"}, "VERSION_CAPS='::/0=0': ::/0=0 is below MIN_VERSION=1"),
    ({"EXPIRE": "3600"}, "EXPIRE='3600': not larger than REFRESH=3600;"),
    ({"REFRESH": "7200"}, "EXPIRE=7200: not larger than REFRESH=7200;"),
    ({"EXPIRE": "600", "REFRESH": "599"}, "EXPIRE='600': not larger than RETRY=600;"),
    ({"EXPIRE": "600"}, "EXPIRE='600': not larger than REFRESH=3600 and RETRY=600;"),
    ({"SOURCE_KEY": "k"}, "SOURCE_KEY='k': SOURCE_CERT is not set; expected a local file, beside SOURCE_CERT"),
    ({"MIN_VERSION": "2", "MAX_VERSION": "1"}, "MAX_VERSION='1': below MIN_VERSION=2;"),
    ({**FOLLOWING, "LOCATION": "json"}, "LOCATION='json': json is no place for DATASOURCE=PYRTR, which takes http://"),
    ({"DATASOURCE": "PYRTR"}, "LOCATION=json: json is no place for DATASOURCE=PYRTR, which takes http://, https://"),
    (
        {**FOLLOWING, "LOCATION": "http://a,http://b"},
        "LOCATION='http://a,http://b': DATASOURCE=PYRTR follows one",
    ),
    ({**FOLLOWING, "LOCATION": "http://a/?b"}, "LOCATION='http://a/?***': http://a/?*** goes on after its path"),
    ({**FOLLOWING, "MERGE": "union"}, "MERGE='union': DATASOURCE=PYRTR serves what one other does"),
    ({**FOLLOWING, "SLURM": "s"}, "SLURM='s': DATASOURCE=PYRTR serves what the other does: SLURM is to be set there"),
    ({"HTTP_TLS_CERT": "a"}, "HTTP_TLS_KEY=None: HTTP_TLS_CERT and HTTP_TLS_KEY go together;"),
    ({"HTTP_TLS_KEY": "a"}, "HTTP_TLS_KEY='a': HTTP_TLS_CERT and HTTP_TLS_KEY go together;"),
]

CONSISTENT = [
    {**FOLLOWING, "MERGE": "failover"},
    {**FOLLOWING, "LOCATION": "https://user:password@other/pyrtr/"},
    {"RTR_PORT": "False"},
    {"HTTP_PORT": "False"},
    {"RTR_PORT": "False", "TLS_PORT": "324", "TLS_CERT": "c", "TLS_KEY": "k", "HTTP_PORT": "False"},
    {"RTR_PORT": "0", "HTTP_PORT": "0"},
    {"SSH_PORT": "22", "SSH_AUTHORIZED_KEYS": "k"},
    {"SSH_PORT": "22", "SSH_PASSWORDS": "p", "SSH_HOST_KEY": "h", "STATE": "False"},
    {"EXPIRE": "601", "REFRESH": "600"},
    {"MIN_VERSION": "1", "MAX_VERSION": "1"},
    {"HTTP_TLS_CERT": "a", "HTTP_TLS_KEY": "b"},
    {"SOURCE_CERT": "both.pem"},
    {"SOURCE_CERT": "cert.pem", "SOURCE_KEY": "key.pem"},
]

SLIPS = [
    ("RTRPORT", "RTR_PORT"),
    ("RTR-PORT", "RTR_PORT"),
    ("rtr_port", "RTR_PORT"),
    ("RTR_PROT", "RTR_PORT"),
    ("RTR_PORTS", "RTR_PORT"),
    ("HTTP_POTR", "HTTP_PORT"),
    ("RELAOD", "RELOAD"),
    ("RELOD", "RELOAD"),
    ("RELOAT", "RELOAD"),
    ("LOG_LEVEL", "LOGLEVEL"),
    ("LOGFORMAT", "LOG_FORMAT"),
    ("JSON_FILE", "JSONFILE"),
    ("DATA_SOURCE", "DATASOURCE"),
    ("LOCATIONS", "LOCATION"),
    ("HSOT", "HOST"),
    ("host", "HOST"),
    ("RERTY", "RETRY"),
    ("REFESH", "REFRESH"),
    ("EXPIRES", "EXPIRE"),
    ("MAXVERSION", "MAX_VERSION"),
    ("FAREWEL", "FAREWELL"),
]

USUAL_NAMES = {
    "a login shell": """
        PATH HOME PWD OLDPWD SHLVL _ SHELL USER LOGNAME LANG LANGUAGE LC_ALL LC_CTYPE TERM TERMINFO COLORTERM EDITOR
        VISUAL PAGER LESS LESSOPEN LS_COLORS HISTFILE HISTSIZE HISTCONTROL HISTFILESIZE HISTTIMEFORMAT HOSTNAME HOSTTYPE
        OSTYPE MACHTYPE VENDOR MAIL TZ TMPDIR DISPLAY WINDOWID XAUTHORITY SSH_AUTH_SOCK SSH_AGENT_PID SSH_CLIENT
        SSH_CONNECTION SSH_TTY SUDO_USER SUDO_UID SUDO_GID SUDO_COMMAND XDG_RUNTIME_DIR XDG_SESSION_ID XDG_DATA_DIRS
        DBUS_SESSION_BUS_ADDRESS PS1 IFS TMUX STY http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY
        VIRTUAL_ENV CONDA_PREFIX PYENV_ROOT PYTHONPATH PYTHONUNBUFFERED PYTHONDONTWRITEBYTECODE LD_PRELOAD
        LD_LIBRARY_PATH MANPATH STATUS""",
    "a unit of systemd": """
        STATE_DIRECTORY RUNTIME_DIRECTORY CACHE_DIRECTORY LOGS_DIRECTORY CONFIGURATION_DIRECTORY CREDENTIALS_DIRECTORY
        WATCHDOG_USEC WATCHDOG_PID NOTIFY_SOCKET INVOCATION_ID JOURNAL_STREAM MAINPID MANAGERPID SYSTEMD_EXEC_PID
        LISTEN_FDS LISTEN_PID LISTEN_FDNAMES MEMORY_PRESSURE_WATCH MEMORY_PRESSURE_WRITE EXIT_CODE EXIT_STATUS
        SERVICE_RESULT TRIGGER_UNIT""",
    "a pod of Kubernetes": """
        KUBERNETES_PORT KUBERNETES_PORT_443_TCP KUBERNETES_PORT_443_TCP_ADDR KUBERNETES_PORT_443_TCP_PORT
        KUBERNETES_PORT_443_TCP_PROTO KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT KUBERNETES_SERVICE_PORT_HTTPS
        PYRTR_PORT PYRTR_PORT_8323_TCP PYRTR_PORT_8323_TCP_ADDR PYRTR_PORT_8323_TCP_PORT PYRTR_PORT_8323_TCP_PROTO
        PYRTR_SERVICE_HOST PYRTR_SERVICE_PORT PYRTR_SERVICE_PORT_RTR POD_NAME POD_IP NODE_NAME NAMESPACE""",
    "a container or CI job": """
        PORT HOSTS POST CI container GPG_KEY PYTHON_VERSION PYTHON_SHA256 DEBIAN_FRONTEND GITHUB_ACTIONS GITHUB_REF
        RUNNER_OS BUILD_NUMBER VERSION STAGE STATS PATCH BATCH ENTRY SOURCE_DATE_EPOCH DATABASE_URL REDIS_HOST LOG_DIR
        RUST_BACKTRACE SSL_CERT_FILE REQUESTS_CA_BUNDLE NODE_ENV TLS_VERSION""",
}


def problems(environ: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        Settings.load(environ)
    return refused.value.problems


def test_defaults():
    settings, warnings = Settings.load({})
    assert {n: v.syntax.write(getattr(settings, v.attribute)) for n, v in VARIABLES.items()} == DEFAULTS
    assert warnings == []


@pytest.mark.parametrize(("name", "text", "value"), ACCEPTED)
def test_accepted(name: str, text: str, value: object):
    others = {"MAX_VERSION": "2"} if name == "MIN_VERSION" else {}
    if name == "DATASOURCE" and "file" not in schemes(text.upper()):
        others = {"LOCATION": f"{schemes(text)[0]}://cache.example"}
    settings, warnings = Settings.load({name: text} | others)
    found = getattr(settings, VARIABLES[name].attribute)
    assert (type(found), found) == (type(value), value)
    assert warnings == []


@pytest.mark.parametrize(("name", "text"), REFUSED)
def test_refused_in_one_line_with_name_value_and_what_is_accepted(name: str, text: str):
    (line,) = problems({name: text})
    assert line.startswith(f"{name}={text!r}: ")
    assert line.endswith(f"expected {VARIABLES[name].syntax.accepts}")
    assert line.isprintable()


@pytest.mark.parametrize(("environ", "start"), CONTRADICTIONS)
def test_contradictions(environ: dict[str, str], start: str):
    (line,) = problems(environ)
    assert line.startswith(start)


@pytest.mark.parametrize("environ", CONSISTENT)
def test_no_contradiction(environ: dict[str, str]):
    Settings.load(environ)


def test_all_problems_at_once():
    lines = problems(
        {"RTR_PORT": "x", "EXPIRE": "600", "MIN_VERSION": "1", "MAX_VERSION": "0", "DATASOURCE": "RPKI", "WATCH": "?"}
    )
    assert [line.partition("=")[0] for line in lines] == ["RTR_PORT", "DATASOURCE", "EXPIRE", "WATCH", "MAX_VERSION"]


def test_a_value_that_does_not_parse_contradicts_nothing():
    assert [line.partition("=")[0] for line in problems({"REFRESH": "99999", "EXPIRE": "700"})] == ["REFRESH"]
    assert [line.partition("=")[0] for line in problems({"RTR_PORT": "x", "HTTP_PORT": "False"})] == ["RTR_PORT"]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("DATASOURCE", "RPKI", "expected AUTO, CCR, "),
        ("LOCATION", "a,", "a location is empty; expected paths or URLs, separated by commas"),
        ("LOCATION", "file:json", "'file:json' names no local file: expected file:///PATH; expected paths or URLs"),
        ("HOST", "::1,192.0.2", "'192.0.2' is neither an address nor a name; expected addresses or names"),
        ("RTR_PORT", "x", "expected a whole number from 0 to 65535, or False"),
        ("RELOAD", "9" * 5000, "expected a whole number from 1 to 86400"),
        ("LOGLEVEL", "x", "expected FATAL, CRITICAL, ERROR, WARNING, INFO or DEBUG"),
        ("EXPIRE", "1", "expected a whole number from 600 to 172800, larger than REFRESH and RETRY"),
    ],
)
def test_reasons(name: str, text: str, reason: str):
    assert problems({name: text})[0].startswith(f"{name}={text!r}: {reason}")


def test_the_error_says_its_problems():
    error = SettingsError(["one", "two"])
    assert isinstance(error, PyrtrError)
    assert str(error) == "one\ntwo"


@pytest.mark.parametrize(
    ("environ", "location"),
    [
        ({}, "json"),
        ({"JSONFILE": "old"}, "old"),
        ({"LOCATION": "new"}, "new"),
        ({"LOCATION": "new", "JSONFILE": "old"}, "new"),
        ({"LOCATION": "json", "JSONFILE": "old"}, "json"),
        ({"LOCATION": "", "JSONFILE": "old"}, "old"),
    ],
)
def test_location_wins_over_jsonfile(environ: dict[str, str], location: str):
    assert Settings.load(environ)[0].location == (Location("file", location),)


@pytest.mark.parametrize(
    ("environ", "state"),
    [
        ({"STATE_DIRECTORY": "/var/lib/pyrtr"}, Path("/var/lib/pyrtr")),
        ({"STATE_DIRECTORY": "/var/lib/pyrtr:/var/lib/other"}, Path("/var/lib/pyrtr")),
        ({"STATE_DIRECTORY": "/var/lib/pyrtr", "STATE": ""}, Path("/var/lib/pyrtr")),
        ({"STATE_DIRECTORY": "/var/lib/pyrtr", "STATE": "/srv:1"}, Path("/srv:1")),
        ({"STATE_DIRECTORY": "/var/lib/pyrtr", "STATE": "False"}, None),
        ({"STATE_DIRECTORY": ""}, Path("state")),
    ],
)
def test_state_follows_the_service_manager(environ: dict[str, str], state: Path | None):
    assert Settings.load(environ)[0].state == state


@pytest.mark.parametrize("name", [*VARIABLES, "RELAOD"])
@pytest.mark.parametrize("empty", ["", " ", "\t\n"])
def test_empty_is_not_set(name: str, empty: str):
    assert Settings.load({name: empty}) == (Settings(), [])


@pytest.mark.parametrize(("name", "near"), SLIPS)
def test_slips_are_said(name: str, near: str):
    settings, warnings = Settings.load({name: "5"})
    assert settings == Settings()
    assert warnings == [f"{name} is set, but no such variable is known: is {near} meant?"]


def test_a_warning_is_one_line():
    assert Settings.load({"RTR\nPORT": "5"})[1] == [
        r"RTR\nPORT is set, but no such variable is known: is RTR_PORT meant?"
    ]


@pytest.mark.parametrize("names", USUAL_NAMES.values(), ids=USUAL_NAMES.keys())
def test_usual_variables_are_no_slips(names: str):
    environ = dict.fromkeys(names.split(), "x")
    environ["STATE_DIRECTORY"] = "state"
    assert Settings.load(environ) == (Settings(), [])


def test_the_constructor_ignores_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RTR_PORT", "1")
    assert Settings().rtr_port == 8323


@pytest.mark.parametrize(
    ("attribute", "value"), [("rtr_port", 65536), ("reload", 0), ("history", 5.0), ("watch", None), ("nothing", 1)]
)
def test_the_constructor_holds_to_the_same_limits(attribute: str, value: Any):
    with pytest.raises(ValidationError):
        Settings(**{attribute: value})


def test_the_constructor_lets_location_win_too():
    assert Settings(jsonfile="old").location == (Location("file", "old"),)
    assert Settings(location=Path("json"), jsonfile="old").location == (Location("file", "json"),)


def test_the_constructor_takes_values_and_texts():
    by_value = Settings(rtr_port=None, host=("::1", "localhost"), state=Path("x"), loglevel=LogLevel.DEBUG, watch=False)
    by_text = Settings(rtr_port="no", host="::1,localhost", state="x", loglevel="debug", watch="off")
    assert by_value == by_text


def test_settings_are_frozen():
    with pytest.raises(ValidationError):
        Settings().reload = 5  # type: ignore[misc]


def test_what_is_written_reads_back():
    settings = Settings(
        slurm="x",
        rtr_port=None,
        host=("::1", "localhost"),
        state=None,
        jsonfile="x",
        source_ca="ca",
        source_cert="cert",
        source_key="key",
        source_ssh_key="ssh",
        source_known_hosts="hosts",
        initial_serial=None,
    )
    written = {name: v.syntax.write(getattr(settings, v.attribute)) for name, v in VARIABLES.items()}
    assert Settings.load({name: text for name, text in written.items() if text != "-"})[0] == settings


@pytest.mark.parametrize("variable", VARIABLES.values(), ids=VARIABLES.keys())
def test_every_variable_says_what_it_means(variable):
    assert variable.meaning
    assert variable.syntax.accepts
    assert variable.syntax.unit


def test_a_token_is_kept_to_itself():
    token = "correct-horse-battery-staple"
    settings, _ = Settings.load({"HTTP_TOKEN": token})
    assert settings.http_token is not None
    assert settings.http_token.get_secret_value() == token
    assert token not in repr(settings)
    assert token not in VARIABLES["HTTP_TOKEN"].syntax.write(settings.http_token)
    assert Settings(http_token=settings.http_token) == settings


@pytest.mark.parametrize("token", ["fifteen-letters", "x" * 257, "with spaces in it all over", "ümläute-are-no-good"])
def test_a_bad_token_is_refused_without_being_shown(token: str):
    (line,) = problems({"HTTP_TOKEN": token})
    assert line == "HTTP_TOKEN=***: expected 16 to 256 letters, digits, and - . _ ~ + / ="


def test_a_password_in_a_location_is_not_shown():
    (line,) = problems({"LOCATION": "https://me:secret@rpki.example:0/json"})
    assert line.startswith("LOCATION='https://***@rpki.example:0/json': https://***@rpki.example:0/json names no host")
    (line,) = problems({"LOCATION": "https://me:sec/ret@rpki.example/json"})
    assert "ret@" not in line
    settings = Settings.load({"LOCATION": "https://me:secret@rpki.example/json?key=secret"})[0]
    assert settings.location[0].text.count("secret") == 2
    assert VARIABLES["LOCATION"].syntax.write(settings.location) == "https://***@rpki.example/json?***"
    assert "secret" not in str(problems({"LOCATION": "https://me:secret@rpki.example/json", "MIN_VERSION": "9"}))


@pytest.mark.parametrize("name", ["LOCATION", "JSONFILE", "SLURM"])
@pytest.mark.parametrize(
    "password", ["secret,secret", "80,secret", "secret,", ",secret", "secret,sec/secret", "a,b,secret"]
)
def test_a_comma_in_a_password_is_refused_without_showing_it(name: str, password: str):
    """RFC 3986 section 3.2.1 allows it, but here it parts locations: the halves would be shown."""
    for text in (f"https://me:{password}@h/json", f"/local,https://h , https://{password}@h"):
        (line,) = problems({name: text})
        assert "secret" not in line
        assert "a comma in a user name or password is written as %2C" in line


@pytest.mark.parametrize("text", ["https://h,/data/a@b", "https://h/x,a@b", "https://h,https://me:word@h", "a@b,c@d"])
def test_a_comma_before_a_password_or_path_parts_locations(text: str):
    assert len(Settings.load({"LOCATION": text})[0].location) == 2


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h/x?key=secret", "https://h/x?***"),
        ("https://h/x#secret", "https://h/x#***"),
        ("https://me:secret@h/x?mail=a@b", "https://***"),
        ("https://h/x?mail=a@b&key=secret", "https://***"),
        ("https://me:sec?secret@h/x", "https://***"),
        ("https://me:secret@also-secret@h/x", "https://***@h/x"),
    ],
)
def test_what_may_be_secret_in_a_url_is_not_shown(url, shown):
    """Nor where it is refused, beside another one."""
    assert str(Location("https", url)) == shown
    (line,) = problems({"LOCATION": f"ftp://h/x?key=secret,{url}"})
    assert line.startswith(f"LOCATION='ftp://h/x?***,{shown}': ")
    assert "secret" not in line


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("rtr://me@cache.example", "rtr://***@cache.example: only rtr+ssh:// has a user"),
        ("rtr://cache.example/path", "rtr://cache.example/path: expected rtr://HOST:PORT and nothing after it"),
        ("rtr+ssh://cache.example", "rtr+ssh://cache.example: no user: expected rtr+ssh://USER@HOST:PORT"),
    ],
)
def test_what_a_protocol_can_not_follow_is_a_problem_of_the_settings(location, reason):
    assert problems({"DATASOURCE": "RTR", "LOCATION": f"{location},rtr://other.example"}) == [f"LOCATION={reason}"]
