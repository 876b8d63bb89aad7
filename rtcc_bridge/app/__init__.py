"""The only wiring: what builds the parts of the program and puts them together. Nothing below knows this package."""
