"""The dashboards, one in a file."""
