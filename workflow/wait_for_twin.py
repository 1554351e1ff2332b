"""Hold a lock while a run goes on, and wait for the same run where it still goes on from a batch that was killed.

    python wait_for_twin.py DESCRIPTOR

DESCRIPTOR: a file opened by the calling shell. The lock lives as long as that shell and what it starts, so it is gone
after any kind of end.
"""

import fcntl
import sys

descriptor = int(sys.argv[1])
try:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("The same run still goes on, left over from a batch that was killed: waiting for it.", file=sys.stderr, flush=True)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
