"""What a run is taken elsewhere as."""
