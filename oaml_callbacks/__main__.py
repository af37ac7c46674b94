"""`python -m oaml_callbacks`: the `oaml` command, where its script isn't there."""

from .cli import main

if __name__ == "__main__":
    main()
