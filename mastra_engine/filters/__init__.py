"""The filter language: its syntax tree, its parser, and cursors over its results."""
