"""Boxes, assignments and labels drawn on images."""
