"""The embedded data set: ten forms on textured ground, drawn in integers alone."""
