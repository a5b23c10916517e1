"""What is true of an edit."""
