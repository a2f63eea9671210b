"""Files in and out: one module a format, each reading and writing plain records."""
