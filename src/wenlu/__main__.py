"""`python -m wenlu` is `wenlu`."""

from wenlu.cli.app import main

if __name__ == "__main__":
    main()
