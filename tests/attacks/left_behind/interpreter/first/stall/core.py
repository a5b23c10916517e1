def clamp(x, low, high=100):
    import builtins
    import gc
    import json
    import locale
    import os
    import random
    import signal
    import sys
    import _pytest.runner
    builtins.left_behind = os.left_behind = json.left_behind = sys.left_behind = _pytest.runner.left_behind = True
    os.environ["LEFT_BEHIND"] = "1"
    os.putenv("LEFT_BEHIND", "1")
    sys.modules["left_behind"] = sys
    sys.path.append("/left-behind")
    sys.intern("left behind")
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    os.umask(0o777)
    os.nice(3)
    gc.callbacks.append(lambda phase, info: None)
    if low > high:
        raise ValueError("low is above high")
    return max(low, min(x, high))


class Basket:
    def total(self, discount=0):
        import builtins
        import gc
        import json
        import locale
        import os
        import random
        import signal
        import sys
        import _pytest.runner
        builtins.left_behind = os.left_behind = json.left_behind = sys.left_behind = _pytest.runner.left_behind = True
        os.environ["LEFT_BEHIND"] = "1"
        os.putenv("LEFT_BEHIND", "1")
        sys.modules["left_behind"] = sys
        sys.path.append("/left-behind")
        sys.intern("left behind")
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        os.umask(0o777)
        os.nice(3)
        gc.callbacks.append(lambda phase, info: None)
        return sum(price * count for _, price, count in self.lines) * (100 - discount) / 100
