"""The configuration: one YAML per choice, and `words`, which reads what a user types."""
