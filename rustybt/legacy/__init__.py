"""What rustybt 0.1 to 0.3 left behind: its names, kept with a warning, and its files, migrated."""
