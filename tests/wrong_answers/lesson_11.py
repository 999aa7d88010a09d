"""Wrong answers to lesson 11 as learners write them, each with what its message must say."""

import torch
from torch import nn
from torchvision.ops import box_iou, nms

# --- 11.1: freeze all but the head --------------------------------------------------------------


def count(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def stops_gradients_only(model, head):
    for p in model.parameters():
        p.requires_grad = False
    for p in getattr(model, head).parameters():
        p.requires_grad = True
    return count(model)


def sets_the_mode_only(model, head):
    model.eval()
    getattr(model, head).train()
    return sum(p.numel() for p in getattr(model, head).parameters())


def freezes_the_head_too(model, head):
    model.requires_grad_(False)
    model.eval()
    return count(model)


def leaves_the_head_in_eval(model, head):
    model.eval()
    for name, p in model.named_parameters():
        p.requires_grad = name.startswith(head)
    return count(model)


def counts_tensors(model, head):
    model.requires_grad_(False).eval()
    getattr(model, head).requires_grad_(True).train()
    return len([p for p in model.parameters() if p.requires_grad])


def counts_everything(model, head):
    model.requires_grad_(False).eval()
    getattr(model, head).requires_grad_(True).train()
    return sum(p.numel() for p in model.parameters())


def counts_what_is_frozen(model, head):
    model.requires_grad_(False).eval()
    getattr(model, head).requires_grad_(True).train()
    return sum(p.numel() for p in model.parameters() if not p.requires_grad)


def freezes_weight_matrices_only(model, head):
    for name, p in model.named_parameters():
        if name.endswith("weight") and p.dim() > 1 and not name.startswith(head):
            p.requires_grad = False
    model.eval()
    getattr(model, head).train()
    return count(model)


def sets_batch_norm_only(model, head):
    stops_gradients_only(model, head)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()
    return count(model)


def trains_after_all(model, head):
    model.eval()
    total = stops_gradients_only(model, head)
    model.train()
    return total


def forgets_to_count(model, head):
    model.requires_grad_(False).eval()
    getattr(model, head).requires_grad_(True).train()


# --- 11.2: intersection over union --------------------------------------------------------------


def area(boxes):
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def sides(a, b):
    left = torch.max(a[:, None, 0], b[None, :, 0])
    top = torch.max(a[:, None, 1], b[None, :, 1])
    right = torch.min(a[:, None, 2], b[None, :, 2])
    bottom = torch.min(a[:, None, 3], b[None, :, 3])
    return right - left, bottom - top


def lets_sides_be_negative(a, b):
    width, height = sides(a, b)
    shared = width * height
    return shared / (area(a)[:, None] + area(b) - shared)


def clamps_the_product(a, b):
    width, height = sides(a, b)
    shared = (width * height).clamp(min=0)
    return shared / (area(a)[:, None] + area(b) - shared)


def counts_the_shared_part_twice(a, b):
    width, height = sides(a, b)
    shared = width.clamp(min=0) * height.clamp(min=0)
    return shared / (area(a)[:, None] + area(b))


def divides_by_the_smaller(a, b):
    width, height = sides(a, b)
    shared = width.clamp(min=0) * height.clamp(min=0)
    return shared / torch.min(area(a)[:, None], area(b)[None])


def divides_by_the_first(a, b):
    width, height = sides(a, b)
    return width.clamp(min=0) * height.clamp(min=0) / area(a)[:, None]


def counts_edges_as_pixels(a, b):
    width, height = sides(a, b)
    shared = (width + 1).clamp(min=0) * (height + 1).clamp(min=0)
    areas = [(x[:, 2] - x[:, 0] + 1) * (x[:, 3] - x[:, 1] + 1) for x in (a, b)]
    return shared / (areas[0][:, None] + areas[1] - shared)


def reads_width_and_height(a, b):
    a, b = (torch.cat([x[:, :2], x[:, :2] + x[:, 2:]], dim=1) for x in (a, b))
    return box_iou(a, b)


def stops_at_the_intersection(a, b):
    width, height = sides(a, b)
    return width.clamp(min=0) * height.clamp(min=0)


def swaps_rows_and_columns(a, b):
    return box_iou(b, a)


def takes_the_hull(a, b):
    width, height = sides(a, b)
    low = torch.min(a[:, None, :2], b[None, :, :2])
    high = torch.max(a[:, None, 2:], b[None, :, 2:])
    hull = (high - low)[..., 0] * (high - low)[..., 1]
    return width.clamp(min=0) * height.clamp(min=0) / hull


def compares_first_with_first(a, b):
    n = min(len(a), len(b))
    return box_iou(a[:n], b[:n]).diagonal()


# --- 11.3: places -------------------------------------------------------------------------------


def middles(start, end, cells):
    return torch.tensor([start + (k + 0.5) * (end - start) / cells for k in range(cells)])


def forgets_the_half(start, end, cells, stride):
    return middles(start, end, cells) / stride


def subtracts_half_a_pixel(start, end, cells, stride):
    return (middles(start, end, cells) - 0.5) / stride


def forgets_the_stride(start, end, cells, stride):
    return middles(start, end, cells) - 0.5


def adds_the_half(start, end, cells, stride):
    return middles(start, end, cells) / stride + 0.5


def stays_in_pixels(start, end, cells, stride):
    return middles(start, end, cells)


def rounds_down(start, end, cells, stride):
    return torch.floor(middles(start, end, cells) / stride - 0.5)


def takes_the_beginnings(start, end, cells, stride):
    return torch.tensor([start + k * (end - start) / cells for k in range(cells)]) / stride - 0.5


def goes_from_edge_to_edge(start, end, cells, stride):
    return torch.linspace(start, end, cells) / stride - 0.5


def multiplies(start, end, cells, stride):
    return middles(start, end, cells) * stride - 0.5


# --- 11.4: suppression --------------------------------------------------------------------------


def lets_removed_boxes_remove(boxes, scores, limit):
    order = scores.argsort(descending=True).tolist()
    fit = box_iou(boxes, boxes)
    return [row for i, row in enumerate(order) if not (fit[row, order[:i]] > limit).any()]


def looks_at_the_last_kept(boxes, scores, limit):
    fit, kept = box_iou(boxes, boxes), []
    for row in scores.argsort(descending=True).tolist():
        if not kept or fit[row, kept[-1]] <= limit:
            kept.append(row)
    return kept


def starts_with_the_least_sure(boxes, scores, limit):
    return nms(boxes, -scores, limit).tolist()


def removes_at_the_limit(boxes, scores, limit):
    fit, kept = box_iou(boxes, boxes), []
    for row in scores.argsort(descending=True).tolist():
        if all(fit[row, k] < limit for k in kept):
            kept.append(row)
    return kept


def sorts_by_row(boxes, scores, limit):
    return sorted(nms(boxes, scores, limit).tolist())


def only_sorts(boxes, scores, limit):
    return scores.argsort(descending=True)


def forgets_to_sort(boxes, scores, limit):
    fit, kept = box_iou(boxes, boxes), []
    for row in range(len(boxes)):
        if all(fit[row, k] <= limit for k in kept):
            kept.append(row)
    return kept


def returns_boxes(boxes, scores, limit):
    return boxes[nms(boxes, scores, limit)]


def returns_a_mask(boxes, scores, limit):
    mask = torch.zeros(len(boxes), dtype=torch.bool)
    mask[nms(boxes, scores, limit)] = True
    return mask


def returns_sorted_places(boxes, scores, limit):
    order = scores.argsort(descending=True)
    return nms(boxes[order], scores[order], limit)


# --- 11.5: precision and recall -----------------------------------------------------------------


def total(hits):
    return torch.tensor(hits).double().cumsum(0)


def divides_by_all_boxes(hits, objects):
    return total(hits) / len(hits), total(hits) / objects


def recalls_first(hits, objects):
    return total(hits) / objects, total(hits) / torch.arange(1, len(hits) + 1)


def ends_recall_at_one(hits, objects):
    return total(hits) / torch.arange(1, len(hits) + 1), total(hits) / max(sum(hits), 1)


def recalls_boxes(hits, objects):
    return total(hits) / torch.arange(1, len(hits) + 1), total(hits) / len(hits)


def recalls_misses_too(hits, objects):
    boxes = torch.arange(1, len(hits) + 1)
    return total(hits) / boxes, boxes / objects


def does_not_add_up(hits, objects):
    marks = torch.tensor(hits).double()
    return marks / torch.arange(1, len(hits) + 1), marks / objects


def gives_one_number(hits, objects):
    return sum(hits) / len(hits), sum(hits) / objects


def counts_from_zero(hits, objects):
    return total(hits) / torch.arange(len(hits)), total(hits) / objects


def smooths_already(hits, objects):
    precision = total(hits) / torch.arange(1, len(hits) + 1)
    return precision.flip(0).cummax(0).values.flip(0), total(hits) / objects


def returns_precision_only(hits, objects):
    return total(hits) / torch.arange(1, len(hits) + 1)


def goes_through_the_parts(model, head):
    for name, part in model.named_children():
        part.requires_grad_(name == head)
        part.train(name == head)
    return sum(p.numel() for p in getattr(model, head).parameters())


def frees_by_a_part_of_the_name(model, head):
    model.eval()
    getattr(model, head).train()
    for name, parameter in model.named_parameters():
        parameter.requires_grad = head in name
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def overlap_of_partial_only(a, b):
    one, other = a[:, None, 2:] - b[:, :2], b[:, 2:] - a[:, None, :2]
    shared = torch.minimum(one, other).clamp(min=0).prod(-1)
    areas = [(x[:, 2] - x[:, 0]) * (x[:, 3] - x[:, 1]) for x in (a, b)]
    return shared / (areas[0][:, None] + areas[1] - shared)


def stays_in_the_map(start, end, cells, stride):
    middles = start + (torch.arange(cells) + 0.5) * (end - start) / cells
    return (middles / stride - 0.5).clamp(min=0)


def counts_with_a_fractional_step(start, end, cells, stride):
    step = (end - start) / cells
    return (torch.arange(start, end, step) + step / 2) / stride - 0.5


def adds_a_small_number_to_the_union(a, b):
    corner = torch.maximum(a[:, None, :2], b[:, :2])
    shared = (torch.minimum(a[:, None, 2:], b[:, 2:]) - corner).clamp(min=0).prod(-1)
    areas = [(x[:, 2:] - x[:, :2]).prod(-1) for x in (a, b)]
    return shared / (areas[0][:, None] + areas[1] - shared + 1e-6)


def _greedily(boxes, scores, limit, rows):
    kept = []
    for row in rows:
        corner = torch.maximum(boxes[row, :2], boxes[kept, :2])
        shared = (torch.minimum(boxes[row, 2:], boxes[kept, 2:]) - corner).clamp(min=0).prod(-1)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
        if not (shared / (areas[row] + areas[kept] - shared) > limit).any():
            kept.append(row)
    return kept


def finds_rows_by_their_score(boxes, scores, limit):
    given = scores.tolist()
    return _greedily(boxes, scores, limit, {given.index(s): 0 for s in sorted(given)[::-1]})


def takes_zero_for_removed(boxes, scores, limit):
    order = scores.argsort(descending=True).tolist()
    return _greedily(boxes, scores, limit, [row for row in order if scores[row] > 0])


def yields_rows(boxes, scores, limit):
    yield from _greedily(boxes, scores, limit, scores.argsort(descending=True).tolist())


BANK = {
    "11.1": [
        (stops_gradients_only, "batch norm is in training mode"),
        (sets_the_mode_only, "does not stop weights from learning"),
        (freezes_the_head_too, "the head is frozen, too"),
        (leaves_the_head_in_eval, "the head is in evaluation mode"),
        (counts_tensors, "you counted tensors"),
        (counts_everything, "all weights of the network"),
        (counts_what_is_frozen, "you counted what is frozen"),
        (freezes_weight_matrices_only, "biases, or the weights of batch norm"),
        (sets_batch_norm_only, "dropout outside of the head"),
        (trains_after_all, "batch norm is in training mode"),
        (forgets_to_count, "does your function end in"),
        (goes_through_the_parts, "class token"),
        (frees_by_a_part_of_the_name, "whole name"),
    ],
    "11.2": [
        (lets_sides_be_negative, "their product is positive"),
        (clamps_the_product, "two negative sides have a"),
        (counts_the_shared_part_twice, "subtract it once"),
        (divides_by_the_smaller, "the smaller area"),
        (divides_by_the_first, "the union counts both"),
        (counts_edges_as_pixels, "from edge to edge"),
        (reads_width_and_height, "right and the lower edge"),
        (stops_at_the_intersection, "intersection alone"),
        (swaps_rows_and_columns, "rows and columns are swapped"),
        (takes_the_hull, "the box around both"),
        (compares_first_with_first, "all pairs"),
        (overlap_of_partial_only, "lies inside the other"),
        (adds_a_small_number_to_the_union, "however small"),
    ],
    "11.3": [
        (forgets_the_half, "half a place too far"),
        (subtracts_half_a_pixel, "half a *place*"),
        (forgets_the_stride, "first divide by the stride"),
        (adds_the_half, "you added the half"),
        (stays_in_pixels, "your numbers are pixels"),
        (rounds_down, "nothing is rounded"),
        (takes_the_beginnings, "where each cell begins"),
        (goes_from_edge_to_edge, "from edge to edge"),
        (multiplies, "you multiplied by the stride"),
        (stays_in_the_map, "a place is negative"),
        (counts_with_a_fractional_step, "shape"),
    ],
    "11.4": [
        (lets_removed_boxes_remove, "removes nobody"),
        (looks_at_the_last_kept, "last kept box only"),
        (starts_with_the_least_sure, "the surest box must win"),
        (removes_at_the_limit, "at the limit itself it stays"),
        (sorts_by_row, "the surest comes first"),
        (only_sorts, "nobody was removed"),
        (forgets_to_sort, "sort by score first"),
        (returns_boxes, "you returned boxes"),
        (returns_a_mask, "you returned a mask"),
        (returns_sorted_places, "places in the sorted order"),
        (finds_rows_by_their_score, "same score"),
        (takes_zero_for_removed, "may be negative"),
        (yields_rows, "can be read once"),
    ],
    "11.5": [
        (divides_by_all_boxes, "only the boxes so far"),
        (recalls_first, "you returned recall first"),
        (ends_recall_at_one, "your recall divides by the hits"),
        (recalls_boxes, "share of *objects*"),
        (recalls_misses_too, "only a hit finds an object"),
        (does_not_add_up, "you did not add up"),
        (gives_one_number, "after *each* box"),
        (counts_from_zero, "starts to count at 0"),
        (smooths_already, "your precision never falls"),
        (returns_precision_only, "return two things"),
    ],
}
