"""Publishing into MLflow by forks of a process that has imported it, some of which are killed at a random moment.

To import MLflow takes four seconds, for as long as half of its database; forks have it at once. Run as a program, with
the folder to work in, the number of trials and the way the database is made: ``aside``, as the package does, or
``in_place``, as MLflow itself does. It prints a JSON list with one sentence for each trial that fell.
"""

import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
import traceback
from contextlib import closing
from pathlib import Path

from presence_only.pipeline.mlflow_mirror import RunRecord, publish

RECORDS = [
    RunRecord("virtual/bce", "variant", "bce", "v0", {"loss": "bce"}, {"species_map": 0.3}),
    RunRecord("virtual/bce/0", "seed", "bce", "f0", {"loss": "bce"}, below="virtual/bce"),
    RunRecord("", "study", "report", "p0", {"variants": "bce"}),
]


def publish_study(root, name="tiny"):
    """Publish the study as the stage does."""
    assert publish(name, RECORDS, root, state="s")[:2] in ((3, 0), (0, 3))


def make_in_place(root):
    """Let MLflow make the database where it is."""
    from mlflow.tracking import MlflowClient

    MlflowClient(tracking_uri=f"sqlite:///{root / 'mlflow.db'}").search_experiments(max_results=1)


def fork(work, root):
    """Run ``work`` in a fork, whose errors go to a file; returns its number."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work(root)
        os._exit(0)
    except BaseException:
        (root / "error.txt").write_text(traceback.format_exc())
        os._exit(1)


def end(pid):
    """Wait for a fork; returns its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def state_of(database):
    """``missing``, ``half``, ``whole`` or what SQLite says; like any reader it takes an open transaction back."""
    if not database.exists():
        return "missing"
    try:
        with closing(sqlite3.connect(database)) as store:
            (check,) = store.execute("pragma integrity_check").fetchone()
            tables = {name for (name,) in store.execute("select name from sqlite_master")}
            made = "experiments" in tables and store.execute("select count(*) from experiments").fetchone()[0]
    except sqlite3.Error as error:
        return str(error)
    return check if check != "ok" else "whole" if made else "half"


def after(root):
    """What is wrong once a study was published: one sentence, or nothing."""
    with closing(sqlite3.connect(root / "mlflow.db")) as store:
        rows = store.execute("select value, count(*) from tags where key = 'fingerprint' group by value").fetchall()
        current = store.execute("select count(*) from tags where key = 'current' and value = 'true'").fetchone()[0]
    left = {path.name for path in root.iterdir()} - {"mlflow.db", "mlflow.db.lock", "mlartifacts"}
    if (sorted(rows), current, left) != ([("f0", 1), ("p0", 1), ("v0", 1)], 3, set()):
        return f"holds {rows}, {current} current, and {sorted(left)} lie about"
    return ""


def trial(root, make, moment):
    """Kill one who makes the database after so many seconds, then publish; returns a sentence if that fell."""
    fresh(root)
    pid = fork(make, root)
    time.sleep(moment)
    os.kill(pid, signal.SIGKILL)
    end(pid)
    found = state_of(root / "mlflow.db") if make is publish_study else "left as it is"
    if found in ("half",) or found not in ("missing", "whole", "left as it is"):
        return f"killed after {moment:.3f} s, the database is: {found}"
    if end(fork(publish_study, root)):
        last = (root / "error.txt").read_text().splitlines()[-1]
        return f"killed after {moment:.3f} s, the next publish fails: {last}"
    wrong = after(root)
    return f"killed after {moment:.3f} s, the store {wrong}" if wrong else ""


def main(folder, number, way):
    # What forks need is imported once.
    import alembic.command  # noqa: F401
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
    import sqlalchemy.dialects.sqlite  # noqa: F401

    make = {"aside": publish_study, "in_place": make_in_place}[way]
    draw = random.Random(f"kills {way}")
    # How long it takes without a kill, on this machine now, says where the moments are.
    began = time.monotonic()
    assert end(fork(make, fresh(folder / "undisturbed"))) == 0
    whole = time.monotonic() - began
    fell = [trial(folder / str(i), make, draw.uniform(0.0, whole)) for i in range(number)]
    print(json.dumps([sentence for sentence in fell if sentence]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
