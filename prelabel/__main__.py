"""The command line's entry: one line for an error, exit code 2, never a traceback for users."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line."""
    from prelabel.cli import app
    from prelabel.errors import PrelabelError

    try:
        app()
    except PrelabelError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped; what was finished is kept", file=sys.stderr)  # noqa: T201
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    main()
