"""Which addresses a webhook may be sent to: those of the internet, and none of this network.

The tables of the standard library depend on Python's patch version and take whatever is not listed
for global, so what is admitted stands here: of IPv6 only what has been assigned for the internet.
An IPv6 address that leads to an IPv4 one (mapped, NAT64, 6to4) is judged by that one. Teredo, which
no server is reached by, is refused as a part of 2001::/23.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_NO_IPV4 = [
    IPv4Network(network)
    for network in (
        "192.0.0.0/24",  # protocols; a cloud's metadata
        "192.88.99.0/24",  # relays of 6to4
        "168.63.129.16/32",  # what Azure offers its machines: global, yet only theirs
    )
]
_INTERNET = IPv6Network("2000::/3")
_NO_IPV6 = [
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocols, Teredo among them
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
    )
]
_NAT64 = IPv6Network("64:ff9b::/96")


def is_global(text: str) -> bool:
    """Whether this is the address of a machine on the internet. False for what is no address, such
    as a name."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:  # no address on the internet has one
            return False
        if (embedded := _embedded(address)) is None:
            return address in _INTERNET and not any(address in each for each in _NO_IPV6)
        address = embedded
    usual = address.is_global and not address.is_multicast and not address.is_reserved
    return usual and not any(address in each for each in _NO_IPV4)


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that packets to this one end at."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour
