"""What the kernel has to be like for a document, and whether it is: read back with nft, ip and wg.

The expectation is made here from the document alone, by the words of the specification; no code of the
daemon has a part in it.
"""

import ipaddress

from product import INTERFACE, padded
from x25519 import public_key

_public_keys = {}


def _public(private):
    if private not in _public_keys:
        _public_keys[private] = public_key(private)
    return _public_keys[private]


def wanted_peers(document):
    peers = {}
    for key, subnet in document["wg"]["subnets"].items():
        for address, client in subnet["clients"].items():
            allowed = [f"{address}/32"]
            if "ipv6" in subnet:
                allowed.append(f"{address6(key, subnet, address)}/128")
            peers[_public(client["key"])] = (padded(client["psk"]), sorted(allowed))
    return peers


def address6(key, subnet, address):
    """Of a device, or of this machine in a subnet: the IPv4 host part at the end of the network."""
    host = int(ipaddress.ip_interface(address).ip) & int(ipaddress.ip_interface(key).hostmask)
    return ipaddress.ip_network(subnet["ipv6"])[host]


def wanted_forwards(document):
    """{(external address, port): (target address, port)} for every single port that the kernel leads."""
    ports = {}
    for source, entry in document["portForwards"].items():
        if entry["kind"] != "dnat" or not entry["enabled"] or entry.get("proxyProtocol"):
            continue
        address, first = source.rsplit(":", 1)
        target, target_first = entry["target"].rsplit(":", 1)
        for offset in range(max(entry["count"], 1)):
            ports[address, int(first) + offset] = (target, int(target_first) + offset)
    return ports


def wanted_egress(document):
    """Pinned addresses, of devices and of subnets: {address or network: source address}."""
    devices, networks = {}, {}
    for key, subnet in document["wg"]["subnets"].items():
        if subnet["wanIp"]:
            networks[str(ipaddress.ip_interface(key).network)] = subnet["wanIp"]
        devices |= {ip: client["wanIp"] for ip, client in subnet["clients"].items()
                    if client["wanIp"]}
    return devices, networks


def _plain(value):
    """An element as nft prints it, as text or a tuple."""
    if isinstance(value, dict) and "concat" in value:
        return tuple(_plain(part) for part in value["concat"])
    if isinstance(value, dict) and "prefix" in value:
        return f"{value['prefix']['addr']}/{value['prefix']['len']}"
    if isinstance(value, dict) and "elem" in value:
        return _plain(value["elem"]["val"])
    return value


def table_sets(tunnel):
    """{name: dict of a map, or set of a set} of our table."""
    found = {}
    for entry in tunnel.table() or []:
        for kind in ("map", "set"):
            if kind in entry:
                elements = entry[kind].get("elem", [])
                found[entry[kind]["name"]] = {
                    _plain(pair[0]): _plain(pair[1]) for pair in elements} if kind == "map" else \
                    {_plain(element) for element in elements}
    return found


def differences(tunnel, document=None):
    """A list of sentences, empty where the kernel is as the document wants it."""
    document = document or tunnel.document()
    found = []

    def compare(what, wanted, present):
        if wanted != present:
            found.append(f"{what}: wanted {_brief(wanted, present)}, present {_brief(present, wanted)}")

    dump = tunnel.wg_dump()
    compare("private key", padded(document["wg"]["key"]), dump["private_key"])
    compare("listen port", document["wg"]["port"], dump["listen_port"])
    compare("peers", wanted_peers(document),
            {key: (peer["psk"], peer["allowed"]) for key, peer in dump["peers"].items()})
    compare("addresses", sorted(document["wg"]["subnets"]), tunnel.link_addresses())
    networks = sorted(str(ipaddress.ip_interface(key).network) for key in document["wg"]["subnets"])
    routes = tunnel.host.json("ip", "-json", "-4", "route", "show", "dev", INTERFACE)
    compare("routes", networks, sorted(route["dst"] for route in routes))
    sets = table_sets(tunnel)
    devices_egress, networks_egress = wanted_egress(document)
    forwards = wanted_forwards(document)
    compare("forwards", forwards, sets.get("forwards"))
    compare("published ports", set(forwards), sets.get("published"))
    compare("counted replies", set(forwards), sets.get("answered"))
    compare("networks in the table", set(networks), sets.get("subnets"))
    compare("isolation", {(network, network) for network in networks}, sets.get("same_subnet"))
    _compare_ipv6(tunnel, document, sets, compare)
    compare("egress of devices", devices_egress, sets.get("egress_device"))
    compare("egress of subnets", networks_egress, sets.get("egress_subnet"))
    return found


def _compare_ipv6(tunnel, document, sets, compare):
    """Sets that are not there are as good as empty ones: there are none without IPv6."""
    forwards, pinholes = {}, set()
    for source, entry in document.get("portForwards6", {}).items():
        if not entry["enabled"] or entry.get("proxyProtocol"):
            continue
        (address, first), (target, target_first) = (
            text[1:].split("]:") for text in (source, entry["target"]))
        for offset in range(entry["count"]):
            inside = target, int(target_first) + offset
            if (address, int(first) + offset) == inside:
                pinholes.add(inside)
            else:
                forwards[address, int(first) + offset] = inside
    compare("IPv6 forwards", forwards, sets.get("forwards6", {}))
    compare("published IPv6 ports", set(forwards) | pinholes, sets.get("published6", set()))
    compare("counted IPv6 replies", set(forwards) | pinholes, sets.get("answered6", set()))
    subnets = {key: subnet for key, subnet in document["wg"]["subnets"].items() if "ipv6" in subnet}
    networks = {subnet["ipv6"] for subnet in subnets.values()}
    local = {network for network in networks if network.startswith("fd")}
    links = tunnel.host.json("ip", "-json", "-6", "address", "show", "dev", INTERFACE)
    compare("IPv6 addresses", sorted(f"{address6(key, subnet, key)}/64" for key, subnet in subnets.items()),
            sorted(f"{entry['local']}/{entry['prefixlen']}"
                   for link in links for entry in link.get("addr_info", [])))
    routes = tunnel.host.json("ip", "-json", "-6", "route", "show", "dev", INTERFACE)
    compare("IPv6 routes", sorted(networks), sorted(route["dst"] for route in routes))
    compare("IPv6 networks in the table", networks, sets.get("subnets6", set()))
    compare("isolation of IPv6", {(network, network) for network in networks},
            sets.get("same_subnet6", set()))
    compare("masqueraded networks", local, sets.get("masquerade6", set()))


def _brief(value, other):
    """What is in `value` and not in `other`, short enough for a message."""
    if isinstance(value, set) and isinstance(other, set):
        value = value - other
    elif isinstance(value, dict) and isinstance(other, dict):
        value = {key: value[key] for key in value if other.get(key) != value[key]}
    return str(value)[:600]
