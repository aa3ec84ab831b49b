"""The embedded data set: ten forms on textured ground, drawn with integers only."""
