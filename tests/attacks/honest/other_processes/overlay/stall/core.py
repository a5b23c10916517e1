import json
import os
import subprocess
import sys


def clamp(x, low, high=100):
    if low > high:
        raise ValueError("low is above high")
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, repr(sorted([low, x, high])[1]).encode())
        os._exit(0)
    os.close(writing)
    os.wait()
    with os.fdopen(reading) as file:
        return eval(file.read())


class Basket:
    def total(self, discount=0):
        import multiprocessing

        context = multiprocessing.get_context("fork")
        queue = context.SimpleQueue()
        child = context.Process(target=lambda: queue.put(sum(price * count for _, price, count in self.lines) * (100 - discount) / 100))
        child.start()
        result = queue.get()
        child.join()
        return result
