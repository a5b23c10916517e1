"""Who answers tasks that the student cannot do yet."""
