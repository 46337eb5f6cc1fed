"""Every command by its syntax, its output in every format, its exit status."""

import json
import os
import re
import shutil
import tomllib

import pytest

from lab import Lab
from x25519 import public_key

SUBNET = "10.59.37.1/24"
SERVER = "10.59.37.2"


@pytest.fixture
def cli(tunnel):
    """The command on the VPS, with an empty document. Shells find it by its name."""
    tunnel.clear()
    link = tunnel.host.path("/run/bin/start-tunnel")
    if not os.path.lexists(link):
        os.symlink(tunnel.program("start-tunnel"), link)
    return tunnel.cli


@pytest.fixture
def home(tunnel, cli):
    """With a subnet and two devices; returns the tunnel."""
    assert cli("subnet", SUBNET, "add", "Home") == ""
    assert cli("device", "add", SUBNET, "Server", "--kind", "server") == ""
    assert cli("device", "add", SUBNET, "Phone", "10.59.37.9") == ""
    return tunnel


def refused(tunnel, status, says, *arguments):
    """The command ends with this status, and its message says so; nothing is printed or changed."""
    before = tunnel.document()
    got, output, error = tunnel.try_cli(*arguments)
    assert got == status, f"{output}{error}"
    assert says in error
    reads_well(error)
    assert output == ""
    assert tunnel.document() == before


def reads_well(error):
    """A message with its details; neither repeats the other."""
    message, _, details = error.partition(": ")
    assert details.strip(), error
    assert not details.lower().startswith(message.lower()), error
    assert sorted(details.lower().split()) != sorted(message.lower().split()), error


# Subnets

def test_subnet_add_and_remove(tunnel, cli):
    cli("subnet", "10.70.3.9/24", "add", "Home")
    assert list(tunnel.subnets()) == ["10.70.3.1/24"]
    cli("subnet", "10.70.3.1/24", "add", "Renamed")
    assert tunnel.subnets()["10.70.3.1/24"]["name"] == "Renamed"
    cli("subnet", "10.70.3.1/24", "remove")
    assert not tunnel.subnets()
    assert cli("subnet", "10.70.3.1/24", "remove") == ""  # what is not there needs no removing


def test_subnet_set_wan_with_and_without_the_repeated_argument(home, cli):
    cli("subnet", SUBNET, "set-wan", SUBNET, "--wan-ip", "198.18.0.9")
    assert home.subnets()[SUBNET]["wanIp"] == "198.18.0.9"
    cli("subnet", SUBNET, "set-wan")
    assert home.subnets()[SUBNET]["wanIp"] is None
    cli("subnet", SUBNET, "set-wan", "--wan-ip", "198.18.0.9")
    assert home.subnets()[SUBNET]["wanIp"] == "198.18.0.9"


def test_subnet_errors(home):
    refused(home, 38, SUBNET, "subnet", "10.59.37.0/23", "add", "x")
    refused(home, 38, "subnet", "subnet", "10.70.0.1/30", "add", "x")
    refused(home, 6, "10.99.0.1/24", "subnet", "10.99.0.1/24", "set-wan")


# Devices

def test_device_add_takes_the_first_free_address(home, cli):
    clients = home.subnets()[SUBNET]["clients"]
    assert clients[SERVER]["name"] == "Server" and clients[SERVER]["kind"] == "server"
    assert clients[SERVER]["allowDnsInjection"] is clients[SERVER]["allowAutoPortForward"] is True
    assert clients["10.59.37.9"]["kind"] == "client"
    assert clients["10.59.37.9"]["allowDnsInjection"] is False
    cli("device", "add", SUBNET, "Third")
    assert home.subnets()[SUBNET]["clients"]["10.59.37.3"]["name"] == "Third"


def test_device_add_on_a_taken_address_renames(home, cli):
    before = home.subnets()[SUBNET]["clients"][SERVER]
    cli("device", "add", SUBNET, "Renamed", SERVER, "--kind", "client")
    assert home.subnets()[SUBNET]["clients"][SERVER] == before | {"name": "Renamed"}


def test_device_list_as_a_table(home, cli):
    lines = cli("device", "list", SUBNET).splitlines()
    rule = lines[0]
    assert set(rule) == {"+", "-"}
    assert lines[0::2] == [rule] * len(lines[0::2]), "a rule after every row"
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1::2]]
    clients = home.subnets()[SUBNET]["clients"]
    assert rows[0] == ["NAME", "IP", "PUBLIC KEY"]
    assert rows[1:] == [[name, ip, public_key(clients[ip]["key"]).rstrip("=")]
                        for name, ip in (("Server", SERVER), ("Phone", "10.59.37.9"))]
    assert "\x1b" not in "".join(lines)


def test_device_show_config(home, cli):
    config = cli("device", "show-config", SUBNET, SERVER)
    assert config.startswith("# StartTunnel config for Server\n\n[Interface]\nAddress = 10.59.37.2/24\n")
    assert config.endswith("PersistentKeepalive = 25\n")
    assert "Endpoint = 198.18.0.2:51820\n" in config
    assert "Endpoint = 198.18.0.9:51820\n" in cli("device", "show-config", SUBNET, SERVER, "198.18.0.9")


def test_device_set_wan_and_kind(home, cli):
    cli("device", "set-wan", SUBNET, SERVER, "--wan-ip", "198.18.0.9")
    assert home.subnets()[SUBNET]["clients"][SERVER]["wanIp"] == "198.18.0.9"
    cli("device", "set-wan", SUBNET, SERVER)
    assert home.subnets()[SUBNET]["clients"][SERVER]["wanIp"] is None
    cli("device", "set-kind", SUBNET, SERVER, "--kind", "client")
    client = home.subnets()[SUBNET]["clients"][SERVER]
    assert (client["kind"], client["allowDnsInjection"], client["allowAutoPortForward"]) == \
        ("client", False, False)


def test_device_remove(home, cli):
    cli("device", "remove", SUBNET, SERVER)
    assert list(home.subnets()[SUBNET]["clients"]) == ["10.59.37.9"]
    refused(home, 6, f"Not Found: {SERVER}: there is none here; IP is the device's address",
            "device", "remove", SUBNET, SERVER)


def test_device_errors(home):
    refused(home, 38, "ip", "device", "add", SUBNET, "x", "10.59.38.2")
    refused(home, 38, "ip", "device", "add", SUBNET, "x", "10.59.37.255")
    refused(home, 6, "10.99.0.1/24", "device", "list", "10.99.0.1/24")
    refused(home, 2, "kind", "device", "add", SUBNET, "x", "--kind", "router")
    refused(home, 2, "", "device", "set-kind", SUBNET, SERVER)


# Forwards

def test_port_forward_life(home, cli):
    source = f"{Lab.VPS}:8080"
    cli("port-forward", "add", "8080", f"{SERVER}:80", "--label", "web", "--count", "3")
    entry = {"kind": "dnat", "target": f"{SERVER}:80", "label": "web", "enabled": True, "count": 3,
             "auto": False}
    assert home.forwards() == {source: entry}
    cli("port-forward", "update-label", source, "other name")
    assert home.forwards()[source]["label"] == "other name"
    cli("port-forward", "update-label", source)
    assert home.forwards()[source]["label"] is None
    cli("port-forward", "set-enabled", source)
    assert home.forwards()[source]["enabled"] is False
    cli("port-forward", "set-enabled", source, "--enabled")
    assert home.forwards()[source]["enabled"] is True
    cli("port-forward", "remove", source)
    assert home.forwards() == {}
    assert cli("port-forward", "remove", source) == ""


def test_port_forward_errors(home, cli):
    cli("port-forward", "add", "8080", f"{SERVER}:80", "--count", "3")
    refused(home, 38, f"{Lab.VPS}:8080", "port-forward", "add", "8082", f"{SERVER}:443")
    refused(home, 38, "65535", "port-forward", "add", "65530", f"{SERVER}:80", "--count", "9")
    refused(home, 6, f"{Lab.VPS}:9", "port-forward", "update-label", f"{Lab.VPS}:9", "x")
    status, _, error = home.try_cli("port-forward", "add", "70000", f"{SERVER}:80")
    assert status != 0 and "external" in error.lower()


# The document

def test_db_dump(home, cli):
    dump = json.loads(cli("db", "dump"))
    assert dump["id"] == home.revision()
    assert dump["value"] == home.document()
    assert json.loads(cli("db", "dump", "-p", "/wg/port"))["value"] == 51820
    assert json.loads(cli("db", "dump", "--pointer", f"/wg/subnets/{SUBNET.replace('/', '~1')}/name")
                      )["value"] == "Home"


def test_db_apply(home, cli):
    assert cli("db", "apply", f'.wg.subnets["{SUBNET}"].name = "Applied"') == ""
    assert home.subnets()[SUBNET]["name"] == "Applied"
    refused(home, 12, "/wg/port", "db", "apply", ".wg.port = -1")
    refused(home, 38, "", "db", "apply", "nonsense(")


def test_db_of_a_stopped_daemon(home, cli):
    """With a path the command opens the file itself; while the daemon runs it is refused."""
    path = f"{home.data_dir}/tunnel.sqlite"
    status, _, error = home.try_cli("db", "apply", ".", path)
    assert status != 0 and error
    document = home.document()
    home.stop()
    try:
        assert json.loads(cli("db", "dump", path))["value"] == document
        cli("db", "apply", f'.wg.subnets["{SUBNET}"].name = "Offline"', path)
        status, _, error = home.try_cli("db", "apply", ".wg.port = 0.5", path)
        assert status == 12 and "/wg/port" in error
    finally:
        home.start()
    assert home.subnets()[SUBNET]["name"] == "Offline"


@pytest.mark.parametrize("offline", [False, True])
def test_db_apply_takes_what_devices_made_with_the_permission(home, cli, offline):
    """As the methods do: their records and their forwards. Others' and the owner's stay."""
    network = SUBNET.rpartition(".")[0]
    before = home.document()
    for number in (70, 71, 72):
        home.call("device.add", subnet=SUBNET, name=f"D{number}", ip=f"{network}.{number}", kind="server")
    made = {f"198.18.0.2:{7000 + number}": {
        "kind": "dnat", "target": f"{network}.{number}:7000", "label": "PCP", "enabled": True, "count": 1,
        "auto": True, "lease": None} for number in (70, 71, 72)}
    records = [{"name": f"d{number}.example.com", "type": "A", "value": f"{network}.{number}", "ttl": 300,
                "source": f"{network}.{number}"} for number in (70, 71, 72)]
    own = {"name": "own.example.com", "type": "A", "value": f"{network}.70", "ttl": 300, "source": None}
    home.call("db.apply", expr=f".portForwards = {json.dumps(made)} | .dnsRecords = {json.dumps(records + [own])}")
    clients = f'.wg.subnets["{SUBNET}"].clients'
    change = (f'{clients}["{network}.70"] |= (.allowDnsInjection = false | .allowAutoPortForward = false)'
              f' | del({clients}["{network}.71"])')
    try:
        if offline:
            home.stop()
            try:
                cli("db", "apply", change, f"{home.data_dir}/tunnel.sqlite")
            finally:
                home.start()
        else:
            cli("db", "apply", change)
        document = home.document()
        assert [record["name"] for record in document["dnsRecords"]] == ["d72.example.com", "own.example.com"]
        assert list(document["portForwards"]) == ["198.18.0.2:7072"]
    finally:
        home.call("db.apply", expr=f".wg.subnets = {json.dumps(before['wg']['subnets'])} | .portForwards = "
                  f"{json.dumps(before['portForwards'])} | .dnsRecords = {json.dumps(before['dnsRecords'])}")


# Output

def test_formats(home, cli):
    value = json.loads(cli("db", "dump", "-p", "/wg/subnets"))
    assert json.loads(cli("db", "dump", "-p", "/wg/subnets", "--format", "json")) == value
    assert "\n" not in cli("db", "dump", "-p", "/wg/subnets", "--format", "json").rstrip("\n")
    pretty = cli("db", "dump", "-p", "/wg/subnets", "--format", "json-pretty")
    assert pretty == cli("db", "dump", "-p", "/wg/subnets") and pretty.count("\n") > 10
    assert json.loads(pretty) == value
    assert json.loads(cli("device", "list", SUBNET, "--format", "json")) == \
        home.subnets()[SUBNET]


def test_yaml(home, cli):
    text = cli("device", "list", SUBNET, "--format", "yaml")
    assert re.search(r"^name: .?Home.?$", text, re.M)
    assert re.search(r"^ +\S?10\.59\.37\.2\S?:$", text, re.M)
    assert re.search(r"^wanIp: null$", text, re.M)


@pytest.mark.parametrize("form", ["toml", "toml-pretty"])
def test_toml(home, cli, form):
    parsed = tomllib.loads(cli("device", "list", SUBNET, "--format", form))

    def without_null(value):
        return {key: without_null(member) for key, member in value.items() if member is not None} \
            if isinstance(value, dict) else value

    assert parsed == without_null(home.subnets()[SUBNET])


def cbor(data):
    """Decodes what the command may print (RFC 8949): returns (value, rest)."""
    major, short = data[0] >> 5, data[0] & 31
    data = data[1:]
    if short in (24, 25, 26, 27):
        size = 1 << (short - 24)
        number, data = int.from_bytes(data[:size], "big"), data[size:]
    else:
        number = short
    if major == 0:
        return number, data
    if major == 1:
        return -1 - number, data
    if major == 3:
        return data[:number].decode(), data[number:]
    if major == 4:
        values = []
        for _ in range(number):
            value, data = cbor(data)
            values.append(value)
        return values, data
    if major == 5:
        members = {}
        for _ in range(number):
            key, data = cbor(data)
            members[key], data = cbor(data)
        return members, data
    return {20: False, 21: True, 22: None}[number], data


def test_cbor(home, cli):
    _, output, _ = home.try_cli("device", "list", SUBNET, "--format", "cbor")
    value, rest = cbor(output.encode(errors="surrogateescape"))
    assert value == home.subnets()[SUBNET]
    assert rest in (b"", b"\n")


def test_unknown_format(home):
    refused(home, 2, "format", "db", "dump", "--format", "xml")


def test_status(home, cli):
    status = json.loads(cli("status", "--format", "json"))
    assert status["interface"]["name"] == "wg-start-tunnel"
    assert status["interface"]["up"] is True and status["interface"]["listenPort"] == 51820
    assert status["interface"]["mtu"] == 1420
    assert status["network"]["inSync"] is True
    assert {device["ip"] for device in status["devices"]} == {SERVER, "10.59.37.9"}
    text = cli("status")
    for expected in ("wg-start-tunnel", "Server", SERVER, "Phone", status["version"],
                     status["interface"]["backend"]):
        assert expected in text


# Help, completion, manual

COMMANDS = [
    "subnet add", "subnet remove", "subnet set-wan", "device add", "device remove", "device list",
    "device show-config", "device set-wan", "device set-kind",
    "device set-auto-port-forward", "port-forward add", "port-forward pin",
    "port-forward remove", "port-forward update-label", "port-forward set-enabled", "db dump",
    "db apply", "restart", "status",
]


def words(command):
    """With what `subnet` wants before its last word."""
    return command.replace("subnet ", f"subnet {SUBNET} ").split() if command.startswith("subnet") \
        else command.split()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command(cli, command):
    text = cli(*words(command), "--help")
    assert "Usage" in text or "usage" in text
    assert command.split()[-1] in text
    assert text == cli(*words(command), "-h")


def test_help_of_the_program(tunnel, cli):
    text = cli("--help")
    for group in ("subnet", "device", "port-forward", "db", "restart", "status"):
        assert re.search(rf"\b{group}\b", text)
    status, output, error = tunnel.try_cli()
    assert (status, output) == (2, "") and "Usage" in error


def test_version(cli):
    assert re.fullmatch(r"start-tunnel \d+\.\d+\.\d+\S*\n", cli("--version"))
    assert cli("-V") == cli("--version")


@pytest.mark.parametrize("arguments", [
    ["nonsense"], ["device"], ["device", "nonsense"], ["device", "add"],
    ["device", "add", SUBNET], ["device", "list", SUBNET, "extra"],
    ["device", "list", "--nonsense", SUBNET], ["device", "list", "notasubnet"],
    ["port-forward", "add", "http", "10.59.37.2:80"], ["subnet", SUBNET],
    ["subnet", SUBNET, "explode"],
])
def test_wrong_usage_ends_with_2(home, arguments):
    refused(home, 2, "", *arguments)


def test_completion_in_bash(tunnel, cli):
    tunnel.host.write_file("/run/completion.bash", cli("completion", "bash"))

    def completions(*typed):
        words = " ".join(f"'{word}'" for word in typed)
        return tunnel.host.run("bash", "--norc", "-c", f"""
            [ -r /usr/share/bash-completion/bash_completion ] &&
                . /usr/share/bash-completion/bash_completion
            . /run/completion.bash
            COMP_WORDS=(start-tunnel {words}); COMP_CWORD={len(typed)}
            COMP_LINE="${{COMP_WORDS[*]}}"; COMP_POINT=${{#COMP_LINE}}
            $(complete -p start-tunnel | sed 's/.*-F \\([^ ]*\\).*/\\1/') start-tunnel
            printf '%s\\n' "${{COMPREPLY[@]}}" """).split()

    assert "device" in completions("d") and "db" in completions("d")
    assert {"add", "remove", "list", "show-config", "set-wan", "set-kind"} <= \
        set(completions("device", ""))
    assert "--kind" in completions("device", "add", SUBNET, "x", "--k")
    assert {"client", "server"} <= set(completions("device", "add", SUBNET, "x", "--kind", ""))
    assert {"add", "remove", "set-wan"} <= set(completions("subnet", SUBNET, ""))


def test_completion_in_fish(tunnel, cli):
    if not shutil.which("fish"):
        pytest.skip("fish is not installed")
    tunnel.host.write_file("/run/completion.fish", cli("completion", "fish"))

    def completions(line):
        output = tunnel.host.run("fish", "--no-config", "-c",
                                 f"source /run/completion.fish; complete -C '{line}'")
        return {entry.split("\t")[0] for entry in output.splitlines()}

    assert {"device", "db"} <= completions("start-tunnel d")
    assert {"add", "remove", "list", "show-config"} <= completions("start-tunnel device ")
    assert "--kind" in completions(f"start-tunnel device add {SUBNET} x --k")


def test_completion_in_zsh(tunnel, cli):
    if not shutil.which("zsh"):
        pytest.skip("zsh is not installed")
    tunnel.host.write_file("/run/completion.zsh", cli("completion", "zsh"))
    output = tunnel.host.run("zsh", "-f", "-c", """
        autoload -U compinit && compinit -u -D
        . /run/completion.zsh 2>&1
        print -r -- "function: ${_comps[start-tunnel]}" """)
    assert re.search(r"function: _\S+", output), output


def test_manual_pages(tunnel, cli):
    """One for every command, and formatted without a complaint."""
    tunnel.host.run("mkdir", "-p", "/run/man")
    cli("man", "/run/man")
    pages = os.listdir(tunnel.host.path("/run/man"))
    for command in COMMANDS:
        name = f"start-tunnel-{command.replace(' ', '-')}.1"
        assert name in pages
        text = tunnel.host.read_file(f"/run/man/{name}")
        assert text.startswith((".TH ", '.\\"', ".Dd "))
        if shutil.which("man"):
            status, output, error = tunnel.host.try_run(
                "man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", f"/run/man/{name}",
                env={"MANWIDTH": "100", "MANROFFSEQ": "", "LC_ALL": "C.UTF-8"})
            assert (status, error) == (0, "")
            assert command.split()[-1] in re.sub(r".\x08", "", output)
    assert "start-tunnel.1" in pages


def test_options_take_both_forms(home, cli):
    cli("port-forward", "add", "8080", f"{SERVER}:80", "--label=with = sign")
    assert home.forwards()[f"{Lab.VPS}:8080"]["label"] == "with = sign"
    cli("device", "add", "--kind", "server", "--", SUBNET, "-dash")
    assert "-dash" in [c["name"] for c in home.subnets()[SUBNET]["clients"].values()]


# Who may call

def test_a_user_without_the_cookie_is_told_what_is_missing(tunnel):
    status, _, error = tunnel.host.try_run(
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
        tunnel.program("start-tunnel"), "status")
    if status in (126, 127):
        pytest.skip("the build directory is closed to other users")
    assert status == 38 and "--tunnel" in error


def test_stopped_daemon_is_a_network_error(home):
    home.stop()
    try:
        status, _, error = home.try_cli("status")
        assert status == 9 and error
    finally:
        home.start()


def test_global_options_come_first(home, cli):
    assert cli("--tunnel", "127.0.59.60:5960", "db", "dump", "-p", "/wg/port")
    status, _, error = home.try_cli("-t", "127.0.0.1:1", "db", "dump")
    assert status == 9 and error


def test_configuration_file(home, cli):
    home.host.write_file("/run/cli.yaml", "tunnel: 127.0.0.1:1\n")
    assert home.try_cli("-c", "/run/cli.yaml", "db", "dump")[0] == 9
    home.host.write_file("/run/cli.yaml", "tunnel-listen: 127.0.59.60:5960\n")
    assert cli("-c", "/run/cli.yaml", "db", "dump", "-p", "/wg/port")
