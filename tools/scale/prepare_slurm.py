"""Prepare a data set on a Slurm cluster, with dask-jobqueue.

    .venv/bin/python -m pip install "dask-jobqueue>=0.9,<0.10"
    .venv/bin/python tools/scale/prepare_slurm.py fma_small --out /shared/prepared/fma_small --jobs 4

Change what is marked; all else can stay. Start it on a login node, or where those forbid it in a small job of its own:
it hands out the work and waits, and the workers run in jobs that it submits. The clone of the course, the data set and
the folder must lie on a disk that all nodes see under the same names. Whatever ends before all is done, a job, its node
or this program: the same command goes on where it stopped.
"""

import argparse
import sys
from pathlib import Path

from dask_jobqueue import SLURMCluster

from dl4mir_utils.data import load, prepare

LOGS = Path("logs")


def main() -> None:
    """Submit the jobs, prepare, and end them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="of the data set; fetch it before: dl4mir data fetch NAME")
    parser.add_argument("--root", type=Path, help="where it lies, if not in the cache")
    parser.add_argument("--out", type=Path, required=True, help="the folder for what is prepared")
    parser.add_argument("--jobs", type=int, default=4, help="at most so many at a time")
    options = parser.parse_args()
    table = load(options.name, root=options.root)
    LOGS.mkdir(exist_ok=True)
    with SLURMCluster(
        queue="standard",  # change: the partition
        account=None,  # change: what your time is booked on, if your cluster wants to know
        walltime="02:00:00",  # of each job; one that ends before the work does is followed by another
        cores=8,  # of each job ...
        processes=8,  # ... one worker for each: decoding gains nothing from threads
        memory="16GB",  # of all of them together; a worker needs the memory of one decoded clip
        python=sys.executable,  # the clone's own
        local_directory="/tmp",  # a disk of the node itself; nothing of value is written there
        log_directory=str(LOGS),
        # Workers keep the memory of one block of sound for the next; as Dask sets it, decoding takes 1.8 times as long.
        job_script_prologue=["export MALLOC_TRIM_THRESHOLD_=67108864 MALLOC_MMAP_THRESHOLD_=33554432"],
        interface=None,  # change: the network between the nodes, such as "ib0", if the usual one is not it
        scheduler_options={"dashboard_address": None},  # with the package bokeh installed, ":8787" shows what happens
        job_extra_directives=[],  # change: whatever else your cluster asks for, such as "--constraint=cpu"
    ) as cluster:
        print(cluster.job_script())
        cluster.adapt(minimum_jobs=1, maximum_jobs=options.jobs)
        report = prepare(table, options.out, scheduler=cluster.scheduler_address)
    for clip, reason in report.failures.items():
        print(f"{clip}: {reason}")
    print(f"{report.out} holds {report.clips} clips; {len(report.failures)} could not be decoded.")


if __name__ == "__main__":
    main()
