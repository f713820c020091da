"""Hooks into the ecosystem. Each works without a recipe of ours."""
