"""The search for edits that mend failing tests."""
