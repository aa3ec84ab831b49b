"""Data sets on disk: COCO, VOC, a folder of images."""
