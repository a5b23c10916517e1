"""What is true: the repository, its tasks, the jail, the verdict. Imports nothing that learns."""
