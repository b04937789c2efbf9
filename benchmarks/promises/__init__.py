"""What the jobs promise, measured with real workers that are killed, paused and limited. Aquila alone: no peer says as much."""
