"""Node ids of pytest, taken apart: `tests/test_a.py::TestA::test_one[x-1]`. What stands in the
brackets may be anything; the path may hold brackets, too."""


def file_of(test: str) -> str:
    """The file that the test was collected from."""
    return test.partition("::")[0]


def function_of(test: str) -> str:
    """The node id of the test function, whatever its parameters."""
    file, colons, name = test.partition("::")
    return file + colons + name.partition("[")[0]
