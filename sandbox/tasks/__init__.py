"""Tasks: found, broken, measured, put into words."""
