"""Weights of other projects under our names.

safe_load    checkpoints of torch's, without executing anything in them; detectron reads its own pickles.
naming       rules from their names to ours.
official, mmdetection, torchvision, detectron   one source each: its rules, and what is known of its network.
projects     which of them a checkpoint is from; `naming.SourceModel` is what each gives.
network_spec depth, width, deformable parts of a network, from the shapes of its weights.
classes      which of their outputs is which class of ours.
matching     what is missing, of another shape, or left over.

Nothing here knows configurations: `paa.commands.import_checkpoint` makes runs of it.
"""
