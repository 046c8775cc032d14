"""A cluster on this machine, for `--cluster local`: a scheduler and one node for each core, each a process. It listens
on loopback alone, and to nobody who lacks the keys that it has just made; it ends when its stdin does."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from typing import Any

from harness.scratch import Scratch

END_S = 15.0
SILENT = logging.CRITICAL + 1


def main(arguments: list[str]) -> None:
    """`arguments`: how many nodes. Prints one line of JSON: the address, and the keys to speak with it."""
    import dask
    from distributed import LocalCluster, Security

    dask.config.set(
        {
            # what is measured runs as it would without a cluster
            "distributed.nanny.pre-spawn-environ": {},
            "distributed.nanny.environ": {},
            # a run may need most of the memory, and has its own limits
            "distributed.worker.memory.terminate": False,
            "distributed.worker.memory.pause": False,
            "distributed.worker.profile.enabled": False,
            "distributed.admin.system-monitor.gil.enabled": False,
        }
    )
    logging.getLogger("distributed").setLevel(SILENT)
    security: Any = Security.temporary()
    with Scratch("cluster") as folder:
        dask.config.set({"temporary-directory": folder})
        cluster = LocalCluster(
            n_workers=int(arguments[0]),
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            protocol="tls://",
            security=security,
            dashboard_address=None,
            worker_dashboard_address=None,
            memory_limit=0,
            local_directory=folder,
            silence_logs=SILENT,
        )
        names = ("tls_ca_file", "tls_client_key", "tls_client_cert")
        credentials = {name: getattr(security, name) for name in names}
        print(json.dumps({"address": cluster.scheduler_address, "credentials": credentials}), flush=True)
        sys.stdin.read()
        threading.Timer(END_S, os._exit, [1]).start()
        cluster.close(timeout=END_S)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
