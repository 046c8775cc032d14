"""The `harness` command, and `python -m harness`: listens for Ctrl-C before anything is imported that takes time."""

from harness import interruption


def main() -> None:
    interruption.end_at_once()
    from harness.cli import main as run

    run()


if __name__ == "__main__":
    main()
