"""The command `vidrecon`: one file a verb."""
