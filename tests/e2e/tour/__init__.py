"""The pictures of `docs/tour.md`: a floor in the middle of a night, what is visited on it, and what is kept of that."""
