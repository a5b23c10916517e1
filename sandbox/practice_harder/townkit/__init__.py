"""What the town hall of a small town computes with: money in cents, days and opening hours, routes
and fares, tables and texts, bookings, stocks, accounts and scores. Amounts are whole cents, days
are ISO strings ('2024-03-01'), times of day are 'HH:MM', maps are lists of strings. Nothing here
reads a clock or a file."""
