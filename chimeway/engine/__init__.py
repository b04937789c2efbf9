"""The engine: it stores what `chimeway.workflow.advance` decides, each move by compare-and-set in one transaction."""
