"""`python -m nightshift`: the command line."""

from nightshift import main

if __name__ == "__main__":
    main()
