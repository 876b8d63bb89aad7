"""What Prometheus and Grafana are given, as code: rules, dashboards, and pictures of them. `make docs` writes it."""
