"""One recipe a family: the file's name is what `recipe:` says."""
