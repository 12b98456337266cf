"""The filter language: its syntax tree and parser, and the cursors of paged results."""
