"""Tasks that are not of the run's own repository: of another one, and plain instructions."""
