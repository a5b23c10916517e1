"""The toy student, made on the spot."""
