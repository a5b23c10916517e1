"""What lies below is data for tests/test_attacks.py, and none of it a test."""
collect_ignore_glob = ["*"]
