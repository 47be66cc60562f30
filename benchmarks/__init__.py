"""Scripts that measure the figures published in the README and the docs; see README.md."""
