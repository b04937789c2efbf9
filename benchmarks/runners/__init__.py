"""The same work behind one face: Aquila's jobs and their peers. Each module has `send` and `COMMAND`; a worker imports it."""
