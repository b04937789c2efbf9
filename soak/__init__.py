"""A long run of real workers under faults that checks what the jobs promise; `make soak` runs it."""
