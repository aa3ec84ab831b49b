import pytest


@pytest.fixture
def config():
    """A resolved configuration, in plain types."""
    return {
        "seed": 0,
        "device": "auto",
        "threads": 1,
        "workers": 2,
        "runs_dir": "runs",
        "compat": {"legacy": False},
        "recipe": {"name": "mini"},
        "data": {
            "_target_": "paa.datasets.Shapes",
            "root": "runs/.data",
            "seed": 0,
            "train": 4000,
            "val": 500,
            "test": 500,
        },
        "images": {
            "train": {"short": None, "flip": 0.5},
            "test": {"short": None, "batch_size": 50},
            "resize": "round",
            "legacy": False,
            "boxes": "clip",
            "empty": "keep",
            "min_side": 0,
        },
        "backbone": {"_target_": "paa.detector.ResNet", "depth": 50, "weights": "torchvision"},
        "detector": {"head": {"depth": 4}},
        "anchors": {"scale": 8.0},
        "assign": {
            "_target_": "paa.assign.PAA",
            "topk": 9,
            "boundary": {"_target_": "paa.assign.boundary.FNP", "n": 3},
        },
        "auxiliary": {"_target_": "paa.auxiliary.IoUPrediction", "lambda_2": 0.5},
        "coder": {"weights": [10.0, 10.0, 5.0, 5.0]},
        "criterion": {"alpha": 0.25},
        "postprocess": {"nms_iou": 0.6, "voting": True, "sigma_t": 0.025},
        "optim": {"lr": 0.01},
        "schedule": {"steps": 2500},
        "train": {"batch_size": 16, "accumulate": 1, "processes": 1, "clip_norm": 10.0},
        "evaluate": {"splits": ["val"], "every": 0, "voting": [False, True]},
        "checkpoint": {"every": 500},
        "lock": {"if_locked": "wait"},
        "tracking": {"log_every": 20},
        "debug": {"images": None, "profile": None},
    }
