"""The proxy that HTTP_PROXY and its kin name is for the outside: no call to this machine goes
through it.

Every HTTP library that the service uses reads these variables, and none of them knows by itself
that a proxy cannot reach the loopback addresses of the machine that calls it. NO_PROXY is what all
of them understand.
"""

import os
from urllib.request import getproxies_environment

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_NAMES = ("no_proxy", "NO_PROXY")
"""Libraries differ in which one wins."""


def bypass_proxies(*hosts: str) -> None:
    """Have calls to loopback and to these hosts go past the proxies of the environment. Child
    processes inherit this."""
    proxies = getproxies_environment()
    bypassed = proxies.pop("no", "")
    if not proxies or bypassed.strip() == "*":
        return
    listed = [each.strip() for each in bypassed.split(",") if each.strip()]
    listed += [each for each in (*LOOPBACK, *hosts) if each not in listed]
    os.environ.update(dict.fromkeys(_NAMES, ",".join(listed)))
