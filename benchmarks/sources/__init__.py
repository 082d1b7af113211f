"""What it costs to get bars from providers: ingest at a server's pace, clients side by side."""
