"""What a command costs beside its work: importing its libraries, and ending.

    python tests/bench_startup.py [--times 5]

`eval` of a run that has been measured already, so that it loads the student and samples nothing:
as it is, and with Python's garbage collector as it comes (`coldstart.py` imported, where nothing
sets it). Seconds of processor time, in turns; medians.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.conftest import CALC, ROOT, make_repo  # noqa: E402
from tests.test_arc import make_student, settings  # noqa: E402

AS_IT_COMES = "import sys; sys.path.insert(0, sys.argv.pop(1)); import coldstart; coldstart.cli()"
WAYS = {
    "the collector as it comes": ["-c", AS_IT_COMES, str(ROOT)],
    "as it is": [str(ROOT / "coldstart.py")],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--times", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)  # root's jail must get through to it
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        make_repo(folder / "calc", CALC)
        command = ["bootstrap", "--repo", "calc", "--run", "run"]
        command += map(str, settings(make_student(folder / "student")))
        processor_seconds([*WAYS["as it is"], *command], folder)
        processor_seconds([*WAYS["as it is"], "eval", "--run", "run"], folder)
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(arguments.times):
            for way, start in WAYS.items():
                seconds[way].append(processor_seconds([*start, "eval", "--run", "run"], folder))
    print("| `eval` of what is measured | processor seconds | ratio |\n|---|---|---|")
    usual = median(seconds["the collector as it comes"])
    for way, measured in seconds.items():
        print(f"| {way} | {median(measured):.2f} | {median(measured) / usual:.2f} |")


def processor_seconds(words: list[str], folder: Path) -> float:
    before = os.times()
    subprocess.run([sys.executable, *words], cwd=folder, check=True, capture_output=True)
    after = os.times()
    used = after.children_user + after.children_system
    return used - before.children_user - before.children_system


if __name__ == "__main__":
    main()
