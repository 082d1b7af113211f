"""What rustybt costs beside zipline-reloaded, on the same bars in the same run.

``python -m benchmarks`` makes seeded data, measures every case of `benchmarks.cases` in
interleaved rounds, checks that both sides return equal values, and prints CPU seconds and ratios.
These are benchmarks, not tests: nothing fails because a machine is slow.
"""
