"""From raw predictions to detections: threshold, best of each level, decoding, NMS, voting (paper, section 3.2, 3.3).

Legend: B images, A anchors, C classes, N candidates of all images together (what goes into NMS), D detections.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torchvision.ops import nms

from paa.auxiliary import Auxiliary
from paa.boxes import BoxCoder, clip, iou_matrix
from paa.checks import Checked, checked, choice, flag, integer, number
from paa.structures import Anchors, Detections, Predictions
from paa.voting import WEIGHTS, score_voting

FRAMES = ("input", "stored")


@dataclass(frozen=True)
class Selection:
    """A batch's candidates, and which of them NMS kept: all that does not hang on voting.

    boxes [N, 4] (clipped), scores [N] (unified), labels [N], quality [N]: image after image.
    offsets  B + 1 positions: candidates of image i are [offsets[i], offsets[i + 1]).
    kept     per image [D] positions in the above, best score first.
    factors  [B, 4] that took the boxes from pixels of the network's input to those that they are in; None: no other.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    quality: Tensor
    offsets: tuple[int, ...]
    kept: tuple[Tensor, ...]
    factors: Tensor | None = None


@dataclass(eq=False)
class PostProcess(Checked):
    """Turns predictions into detections.

    score_threshold  what a candidate's score must exceed.
    threshold_on     "class": the class score; at most `pre_nms` (location, class) pairs a level (authors' code).
                     "unified": the unified score; of at most `pre_nms` locations a level, the ones whose best class
                     has the best score (MMDetection's PAAHead).
    ranked_by        what the best `pre_nms` of a level are chosen by: the "unified" score, or the "class" score
                     (MMDetection's heads but for PAA's).
    padding          "keep": anchors over an image's padding count too, their boxes may reach into it (both codes, which
                     train them, as negatives); "drop": they have no detection. Which these are is the grid's to say
                     (`Anchors.inside`): those that training leaves out, and whose outputs mean nothing then.
    drop_empty       boxes without width or height never reach NMS (MMDetection's heads but for PAA's).
    nms              "standard": the best score first; "iou_guided" (IoU-Net): the best predicted IoU first, and a box
                     takes the best score of those that it drops, for which the detector must predict IoUs.
    nms_iou          NMS drops a box whose IoU with a better one of its class is above this.
    max_detections   of an image.
    keep_ties        keeps all detections that tie the last of `max_detections` (authors' code).
    unified          "sqrt" of class score x predicted quality (both codes), or "product" (paper, Eq. 8).
    frame            pixels in which NMS and voting measure: of the network's "input" (authors' code), or of the image
                     as "stored" (MMDetection). Without legacy the IoUs are the same but for rounding.
    voting           score voting, with `voting_weight`, `sigma_t`, `voting_iou`: see `paa.voting.score_voting`.
    coder            decodes the predicted deltas: the one that training encodes with.
    legacy           inclusive-pixel clipping, NMS and voting.
    """

    score_threshold: float = checked(number, 0.05, low=0, below=1)
    threshold_on: str = checked(choice, "class", choices=("class", "unified"))
    pre_nms: int = checked(integer, 1000, low=1)
    nms_iou: float = checked(number, 0.6, low=0, high=1)
    max_detections: int = checked(integer, 100, low=1)
    keep_ties: bool = checked(flag, True)
    unified: str = checked(choice, "sqrt", choices=("sqrt", "product"))
    frame: str = checked(choice, "input", choices=FRAMES)
    voting: bool = checked(flag, True)
    voting_weight: str = checked(choice, "ps", choices=WEIGHTS)
    sigma_t: float = checked(number, 0.025, above=0)
    voting_iou: float = checked(number, 0.01, low=0, below=1)
    legacy: bool = checked(flag, False)
    coder: BoxCoder | None = None
    ranked_by: str = checked(choice, "unified", choices=("unified", "class"))
    drop_empty: bool = checked(flag, False)
    padding: str = checked(choice, "keep", choices=("keep", "drop"))
    nms: str = checked(choice, "standard", choices=("standard", "iou_guided"))

    @torch.no_grad()
    def select(
        self,
        predictions: Predictions,
        anchors: Anchors,
        sizes: Tensor,
        auxiliary: Auxiliary,
        original: Tensor | None = None,
    ) -> Selection:
        """Everything but the voting, for `finish` with and without it.

        sizes      [B, 2] (h, w) of each image inside its padding: boxes are clipped to it.
        auxiliary  the auxiliary task that the head was trained for: makes the unified score.
        original   [B, 2] (h, w) of each image as stored, where frame="stored" measures; None: no other than `sizes`.
        """
        logits = predictions.logits.float()
        if self.padding == "drop":
            logits = logits.masked_fill(~anchors.inside.unsqueeze(-1), -torch.inf)
        quality = None if predictions.auxiliary is None else predictions.auxiliary.float()
        choose = self._by_class if self.threshold_on == "class" else self._by_unified
        image, anchor, label, scores = choose(logits, quality, anchors, auxiliary)

        sizes = sizes.to(logits.device)
        coder = self.coder or BoxCoder(legacy=self.legacy)
        boxes = coder.decode(predictions.deltas[image, anchor], anchors.boxes[anchor])
        boxes = clip(boxes.unsqueeze(1), sizes[image], self.legacy).squeeze(1)
        factors = None
        if self.frame == "stored" and original is not None:
            factors = scale_factors(sizes, original.to(sizes.device))
            boxes, sizes = boxes * factors[image].to(boxes.dtype), original.to(sizes.device)
        if self.drop_empty:
            some = (boxes[:, 2:] - boxes[:, :2] + (1 if self.legacy else 0) > 0).all(1)
            boxes, image, anchor, label, scores = (x[some] for x in (boxes, image, anchor, label, scores))
        offsets = torch.searchsorted(image, torch.arange(len(logits) + 1, device=image.device)).tolist()
        of_box = torch.full_like(scores, torch.nan) if quality is None else quality[image, anchor].sigmoid()
        scores, kept = self._suppress(boxes, scores, of_box, label, offsets, sizes)
        return Selection(
            boxes=boxes,
            scores=scores,
            labels=label,
            quality=of_box,
            offsets=tuple(offsets),
            kept=kept,
            factors=factors,
        )

    @torch.no_grad()
    def finish(self, selection: Selection, voting: bool | None = None) -> list[Detections]:
        """Detections of each image of a selection; `voting` overrides the constructor's."""
        found = []
        for i, kept in enumerate(selection.kept):
            boxes, labels = selection.boxes[kept], selection.labels[kept]
            if len(kept) and (self.voting if voting is None else voting):
                own = slice(selection.offsets[i], selection.offsets[i + 1])
                boxes = score_voting(
                    boxes,
                    labels,
                    selection.boxes[own],
                    selection.labels[own],
                    selection.scores[own],
                    sigma_t=self.sigma_t,
                    voting_iou=self.voting_iou,
                    voting_weight=self.voting_weight,
                    legacy=self.legacy,
                )
            if selection.factors is not None:
                boxes = (boxes / selection.factors[i]).to(boxes.dtype)
            found.append(Detections(boxes, selection.scores[kept], labels, selection.quality[kept]))
        return found

    def _score(self, prob: Tensor, quality: Tensor | None, auxiliary: Auxiliary) -> Tensor:
        """Unified score [N] of class probabilities [N] and quality logits [N]."""
        return auxiliary.score(prob.unsqueeze(-1), quality, self.unified).squeeze(-1)

    def _by_class(
        self, logits: Tensor, quality: Tensor | None, anchors: Anchors, auxiliary: Auxiliary
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Candidates whose class score exceeds the threshold: image, anchor, class, unified score, each [N]."""
        prob = logits.sigmoid()
        image, anchor, label = (prob > self.score_threshold).nonzero(as_tuple=True)
        of = None if quality is None else quality[image, anchor]
        scores = self._score(prob[image, anchor, label], of, auxiliary)
        rank = prob[image, anchor, label] if self.ranked_by == "class" else scores
        best = within_top(rank, image * len(anchors.shapes) + anchors.level[anchor], self.pre_nms)
        return image[best], anchor[best], label[best], scores[best]

    def _by_unified(
        self, logits: Tensor, quality: Tensor | None, anchors: Anchors, auxiliary: Auxiliary
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Candidates whose unified score exceeds the threshold: image, anchor, class, unified score, each [N].

        Ranked by that score, locations below the threshold in every class never displace one above it: only the others
        need a rank. Ranked by the class score they may.
        """
        prob = logits.sigmoid()
        unified = auxiliary.score(prob, quality, self.unified)
        if self.ranked_by == "class":
            peak = prob.amax(-1)
            ranked = torch.ones_like(peak, dtype=torch.bool)
        else:
            peak = unified.amax(-1)
            ranked = peak > self.score_threshold
        image, anchor = ranked.nonzero(as_tuple=True)
        groups = image * len(anchors.shapes) + anchors.level[anchor]
        best = within_top(peak[image, anchor], groups, self.pre_nms)
        image, anchor = image[best], anchor[best]
        row, label = (unified[image, anchor] > self.score_threshold).nonzero(as_tuple=True)
        image, anchor = image[row], anchor[row]
        return image, anchor, label, unified[image, anchor, label]

    def _suppress(
        self, boxes: Tensor, scores: Tensor, quality: Tensor, labels: Tensor, offsets: list[int], sizes: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """NMS of each image, class by class, then its best `max_detections`.

        Returns the scores [N], those of the kept changed by nms="iou_guided", and per image positions [D], best first.

        One call of NMS does all classes of an image, each class moved to a strip of its own. `batched_nms` does so in
        float32, where a move by tens of thousands of pixels changes IoUs in the fourth digit; in float64 it does not.
        """
        moved = boxes.double()
        if self.legacy:
            moved[:, 2:] += 1
        moved[:, 0::2] += (labels * (sizes.max() + 1)).unsqueeze(1)
        kept = []
        rank = scores if self.nms == "standard" else quality
        scores = scores.clone()
        for start, end in pairwise(offsets):
            order = nms(moved[start:end], rank[start:end].double(), self.nms_iou) + start
            if self.nms == "iou_guided" and len(order):
                scores[order] = _best_of_cluster(moved[start:end], scores[start:end], order - start, self.nms_iou)
                order = order[scores[order].argsort(descending=True, stable=True)]
            if self.keep_ties and len(order) > self.max_detections:
                last = scores[order[self.max_detections - 1]]
                order = order[scores[order] >= last]
            else:
                order = order[: self.max_detections]
            kept.append(order)
        return scores, tuple(kept)


def _best_of_cluster(boxes: Tensor, scores: Tensor, kept: Tensor, nms_iou: float) -> Tensor:
    """Best score [K] of each kept box and of those [N] that it drops; the first kept that overlaps a box drops it."""
    rows = max(1, 2**20 // len(kept))
    by = torch.cat([(iou_matrix(some, boxes[kept]) > nms_iou).to(torch.int8).argmax(1) for some in boxes.split(rows)])
    by[kept] = torch.arange(len(kept), device=kept.device)
    return scores[kept].scatter_reduce(0, by, scores, "amax")


def within_top(values: Tensor, groups: Tensor, k: int) -> Tensor:
    """Which of `values` [N] are among the k largest of their group -> bool [N]; of equal values the earlier is in.

    groups [N] int64: the group of each value.
    """
    if len(values) <= k:
        return torch.ones_like(groups, dtype=torch.bool)
    order = values.argsort(descending=True, stable=True)
    order = order[groups[order].argsort(stable=True)]
    ascending = groups[order]
    rank = torch.arange(len(order), device=order.device) - torch.searchsorted(ascending, ascending)
    inside = torch.empty_like(groups, dtype=torch.bool)
    inside[order] = rank < k
    return inside


def to_original(detections: Detections, size: Tensor, original: Tensor, legacy: bool = False) -> Tensor:
    """Boxes [D, 4] as (x, y, w, h) in pixels of the image as stored, as COCO results hold them.

    size, original [2] (h, w): of the network's input inside its padding, and of the stored image; rows and columns
    scale each by their own ratio. Legacy: w = x2 - x1 + 1 after scaling (authors' code).
    """
    boxes = detections.boxes.double() * scale_factors(size, original).to(detections.boxes.device)
    sides = boxes[:, 2:] - boxes[:, :2] + (1 if legacy else 0)
    return torch.cat((boxes[:, :2], sides), 1).to(detections.boxes.dtype)


def scale_factors(size: Tensor, original: Tensor) -> Tensor:
    """Factors [..., 4] float64 of x1, y1, x2, y2 from an image of `size` [..., 2] (h, w) to `original` [..., 2]."""
    factors = (original.double() / size.double()).flip(-1)
    return torch.cat((factors, factors), -1)
