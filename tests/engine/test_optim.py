import pytest
import torch
from torch import nn

from paa.checks import OutOfRange
from paa.engine.optim import SGD, AdamW, parameter_groups


def model() -> nn.Module:
    made = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.Conv2d(8, 4, 1, bias=False), nn.Conv2d(4, 2, 1))
    made[3].weight.requires_grad_(False)
    return made


def names(group, module):
    return {name for name, p in module.named_parameters() if any(p is q for q in group["params"])}


def test_biases_have_twice_the_rate_and_no_decay():
    module = model()
    plain, biases = SGD(lr=0.01, weight_decay=1e-4, bias_lr_factor=2.0, bias_decay=False).build(module).param_groups
    assert names(plain, module) == {"0.weight", "1.weight", "2.weight"}
    assert names(biases, module) == {"0.bias", "1.bias", "3.bias"}
    assert (plain["lr"], plain["weight_decay"]) == (0.01, 1e-4)
    assert (biases["lr"], biases["weight_decay"]) == (0.02, 0.0)
    assert (plain["base_lr"], biases["base_lr"]) == (0.01, 0.02)


def test_one_rate_and_decay_for_all_as_mmdetection_has_it():
    plain, biases = SGD(bias_lr_factor=1.0, bias_decay=True).build(model()).param_groups
    assert (plain["lr"], plain["weight_decay"]) == (biases["lr"], biases["weight_decay"])


def test_frozen_parameters_and_empty_groups_are_left_out():
    module = model()
    groups = parameter_groups(module, 1.0, 0.0, 2.0, False)
    assert "3.weight" not in names(groups[0], module) | names(groups[1], module)
    assert len(parameter_groups(nn.Linear(2, 2, bias=False), 1.0, 0.0, 2.0, False)) == 1


def test_sgd_steps_as_momentum_and_decay_say():
    """Two steps of constant gradient 1 against the recurrence worked by hand: v = m v + (g + d w), w = w - lr v."""
    module = nn.Linear(1, 1)
    with torch.no_grad():
        module.weight.fill_(1.0)
        module.bias.fill_(1.0)
    optimizer = SGD(lr=0.1, momentum=0.5, weight_decay=0.1).build(module)
    weight, bias, v_weight, v_bias = 1.0, 1.0, 0.0, 0.0
    for _ in range(2):
        for p in module.parameters():
            p.grad = torch.ones_like(p)
        optimizer.step()
        v_weight, v_bias = 0.5 * v_weight + 1 + 0.1 * weight, 0.5 * v_bias + 1
        weight, bias = weight - 0.1 * v_weight, bias - 0.2 * v_bias
    assert module.weight.item() == pytest.approx(weight)
    assert module.bias.item() == pytest.approx(bias)


def test_adamw_is_torch_s_with_the_same_groups():
    optimizer = AdamW(lr=0.002, betas=[0.8, 0.99], weight_decay=0.05, bias_lr_factor=2.0).build(model())
    assert isinstance(optimizer, torch.optim.AdamW)
    plain, biases = optimizer.param_groups
    assert (plain["lr"], biases["lr"], plain["weight_decay"], biases["weight_decay"]) == (0.002, 0.004, 0.05, 0.0)
    assert plain["betas"] == biases["betas"] == (0.8, 0.99)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(lr=0), "lr=0 is out of range: must be a number above 0 to 10"),
        (lambda: SGD(momentum=1), "momentum=1 is out of range: must be a number from 0 below 1"),
        (lambda: SGD(weight_decay=-1), "weight_decay=-1 is out of range: must be a number from 0 to 1"),
        (lambda: SGD(bias_lr_factor=0), "bias_lr_factor=0 is out of range"),
        (lambda: SGD(bias_decay=1), "bias_decay=1: must be true or false"),
        (lambda: AdamW(lr="fast"), "lr=fast: must be a number above 0 to 1"),
        (lambda: AdamW(betas=3), "betas=3: must be two numbers from 0 to below 1"),
        (lambda: AdamW(betas=[0.9]), r"betas=\[0.9\]: must be two numbers from 0 to below 1"),
        (lambda: AdamW(betas=[0.9, 1.0]), "betas=1.0 is out of range: must be a number from 0 below 1"),
    ],
)
def test_ranges(make, message):
    with pytest.raises(OutOfRange, match=message):
        make()
