"""What the service is compared with. Each is run alone (`python -m benchmarks.peers NAME`), and
prints its port and the id of the process that does the work.

The other services, each in the best configuration that we know of for it: Nchan (nchan.py), the
package resumable-stream under Node (resumable.py), and what is usually written in Python
(usual.py). The ceilings, which do nothing but the work itself: ceilings.py.
"""

import sys

from benchmarks.peers import nchan, resumable

NEED = {
    "nchan": nchan.missing,
    "nchan-redis": nchan.missing,
    "resumable-stream": resumable.missing,
}


def installed(names: str) -> list[str]:
    """Return those of the named peers (with commas between) that can run here, and say which ones
    cannot."""
    found = []
    for name in filter(None, names.split(",")):
        if name in NEED and (lacking := NEED[name]()):
            print(f"{name} is left out: there is no {lacking}", file=sys.stderr)
        else:
            found.append(name)
    return found
