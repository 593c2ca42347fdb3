"""What is known of a running process: its logs, metrics and traces, and whether it is well."""
