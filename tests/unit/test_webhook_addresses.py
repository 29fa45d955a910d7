"""Which addresses webhooks may be sent to."""

import pytest

from adapters.webhooks.addresses import is_global

INTERNET = [
    *("1.1.1.1", "8.8.8.8", "93.184.216.34", "192.0.1.1", "192.88.98.1", "223.255.255.254"),
    *("2606:4700:4700::1111", "2a00:1450::1", "2001:4860:4860::8888", "2001:200::1"),
    *("::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"),
]
THIS_NETWORK = [
    *("0.0.0.1", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "172.16.0.1"),
    *("172.31.255.255", "192.168.0.1", "198.18.0.1", "::", "::1", "fc00::1", "fe80::1"),
    *("fe80::1%eth0", "fec0::1", "2606:4700:4700::1111%lo", "::ffff:8.8.8.8%1"),
]
METADATA_OF_CLOUDS = [
    *("169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254"),
]
FOR_OTHER_USES = [
    *("192.0.2.1", "192.88.99.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255"),
    *("240.0.0.1", "255.255.255.255", "100::1", "5f00::1", "ff02::1", "ff0e::1", "2001::1"),
    *("2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "3fff::1", "4000::1"),
    *("64:ff9b:1::808:808", "::8.8.8.8", "::7f00:1", "::ffff:0:127.0.0.1"),
]
EMBEDDED = [
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:a00:1", "::ffff:168.63.129.16"),
    *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::1", "2002:c0a8:1::1"),
]
NO_ADDRESSES = ["", "localhost", "2130706433", "127.1", "0x7f000001", "0177.0.0.1", " 8.8.8.8"]


@pytest.mark.parametrize("address", INTERNET)
def test_addresses_on_the_internet(address: str) -> None:
    assert is_global(address)


@pytest.mark.parametrize(
    "address", THIS_NETWORK + METADATA_OF_CLOUDS + FOR_OTHER_USES + EMBEDDED + NO_ADDRESSES
)
def test_all_others(address: str) -> None:
    assert not is_global(address)
