"""The tests of a repository as an environment of the package `verifiers`, so that what trains on
those can train on these.

    pip install -e . vf-eval NAME --env.taskset.split heldout --env.agent.runtime.type subprocess
    --client.base-url URL -m MODEL --no-push

NAME is that of this folder's pyproject.toml. `taskset.py` holds tasks and reward, `harness.py` how
a model is asked, `verdict.py` the verdict. The verdict is coldstart's own, in its jail, so
coldstart and the run that the tasks come from must be on this machine: they are looked for where
they were when this was written (`origin.json`), or at `--env.taskset.task.coldstart` and
`--env.taskset.task.run`.
"""

from .harness import Episode
from .taskset import RepositoryTaskset

__all__ = ["Episode", "RepositoryTaskset"]
