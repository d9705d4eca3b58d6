"""`python -m fastembed`: the command line."""

from fastembed.cli import main

if __name__ == "__main__":
    main()
