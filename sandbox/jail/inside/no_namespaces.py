"""What `zygote.py` does in a jail without namespaces (`landlock.py`, and what is said of it there):
each child has a keeper and a copy of the tree. `namespaces.py` has the same functions for a jail
with.
"""

import shutil
import signal

import landlock

END = signal.SIGTERM
"""Ends the keeper of a child, which has things to do at its end."""


def begin(config):
    landlock.prepare(config["landlock"], config["root"])


def put_by(config):
    landlock.put_by(config["landlock"])


def flags():
    return 0


def started(child):
    return landlock.descendants(child)


def enter(config, parent, pipes):
    landlock.keep(parent, pipes, [config["landlock"]["scratch"]], config["landlock"])


def fork_tests():
    """The keeper has forked already."""
    return 0


def build_tree(config):
    landlock.build_tree(config["landlock"], config["trees"], config["root"])


def drop_folder(path):
    shutil.rmtree(path)


def hide(config):
    """No process may read the folders that the copy was made from, nor another's /proc entry."""


def confine_tests(config):
    others = landlock.processes()
    landlock.confine_tests(config["landlock"])
    return others


def as_known(bytecode, config):
    landlock.as_known(bytecode, config["root"], config["landlock"]["known_as"])
