"""`python -m hfrecipes`, `accelerate launch -m hfrecipes` and `torchrun -m hfrecipes`."""

from hfrecipes.cli import main

if __name__ == "__main__":
    main()
