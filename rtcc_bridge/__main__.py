"""`python -m rtcc_bridge` is the same as the console script."""

from rtcc_bridge.cli import main

if __name__ == "__main__":
    main()
