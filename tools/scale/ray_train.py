"""Train on the machines of a Ray cluster.

    python tools/scale/ray_train.py --workers 2 -- --data mini/genre --out runs/ray

Ray places one process on each of several machines and tells the others where it is; the training itself is
train_genre.py, as it is started by hand. What stands after `--` goes to it; on several machines `--out` must be an
absolute path on a disk that all of them see. Ray is no part of the course's
environment: `pip install "ray>=2.40,<3"` in it first, on all machines. Without `--address` a cluster of this machine
alone is made, to try it out.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import ray

SCRIPT = Path(__file__).with_name("train_genre.py")


@ray.remote(max_restarts=0)
class Worker:
    """A place on one of the machines."""

    def address(self) -> str:
        """Return HOST:PORT, of a port that is free now."""
        with socket.socket() as free:
            free.bind(("", 0))
            return f"{ray.util.get_node_ip_address()}:{free.getsockname()[1]}"

    def train(self, workers: list[str], number: int, options: list[str]) -> int:
        """Run the training as worker `number`; return its exit status."""
        task = {"type": "worker", "index": number}
        config = json.dumps({"cluster": {"worker": workers}, "task": task})
        return subprocess.run(
            [sys.executable, str(SCRIPT), *options], env=os.environ | {"TF_CONFIG": config}
        ).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", help="of the cluster, such as auto on one of its machines")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cpus", type=float, default=1, help="of each worker")
    parser.add_argument("--gpus", type=float, default=0, help="of each worker")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="for train_genre.py, after --")
    asked = parser.parse_args()
    ray.init(address=asked.address)
    # Spread: Ray would otherwise put them on as few machines as it can.
    spread = Worker.options(num_cpus=asked.cpus, num_gpus=asked.gpus, scheduling_strategy="SPREAD")
    places = [spread.remote() for _ in range(asked.workers)]
    workers = ray.get([place.address.remote() for place in places])
    options = [option for option in asked.options if option != "--"]
    ends = ray.get([place.train.remote(workers, number, options) for number, place in enumerate(places)])
    for number, status in enumerate(ends):
        if status:
            print(f"worker {number} ({workers[number]}) ended with status {status}", file=sys.stderr)
    return max(ends)


if __name__ == "__main__":
    sys.exit(main())
