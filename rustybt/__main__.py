"""``python -m rustybt``: the command line."""

from rustybt.cli import main

if __name__ == "__main__":
    main(prog_name="rustybt")
