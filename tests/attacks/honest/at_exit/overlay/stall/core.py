import atexit
import logging
import shutil
import tempfile

SCRATCH = tempfile.mkdtemp()
atexit_registered = atexit.register(shutil.rmtree, SCRATCH, ignore_errors=True)


def slug(text):
    with open(SCRATCH + "/text", "w+") as file:
        file.write(text)
        file.seek(0)
        return "-".join(re.findall("[a-z0-9]+", file.read().lower()))


def read_prices(path):
    copy = shutil.copy(path, SCRATCH)
    atexit.register(logging.shutdown)
    lines = [line for line in open(copy) if line.strip()]
    if any("=" not in line for line in lines):
        raise ValueError(path)
    return {name.strip(): float(price) for name, _, price in (line.partition("=") for line in lines)}
