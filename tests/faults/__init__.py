"""Faults injected into ingests and versions: ``python -m tests.faults`` runs all of them.

After each fault three things are looked at: what readers saw while it happened was a whole version,
the old one or the new one; ``verify`` names what is damaged; and the same command, given again,
leaves a whole newest version and loses none that was there.
"""
