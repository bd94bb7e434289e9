"""A part that slides in another tracked object, from frame to frame: found together with its holder once, then followed.

Part and holder look alike, so that each explains the other's pixels. Until the part is found, the two are fitted together.
"""

import numpy as np

from ocrrl.perception.tracking.fitting.drawer_slide import Found, Range, find_in_place, open_place, opening_of
from ocrrl.perception.tracking.fitting.pose_fit import Fit
from ocrrl.perception.tracking.track_state import Track
from ocrrl.perception.tracking.track_views import TrackViews

SHIFTS = (-0.045, -0.03, -0.015, 0.0, 0.015)  # [m] by which a part that is out may have pulled its holder
PUSHED, SLACK = 0.05, 0.006  # [m] a frame by which a part slides that the robot touches, or that nothing does
LEAST_LEAD_UNTOUCHED = 3000.0  # [pixels] of a part that moved though the robot was not near


def find_with_holder(part: Track, holder: Track, views: TrackViews) -> tuple[int, Fit] | None:
    """The place of a part that is out, and the pose of its holder, that together have the most evidence; None without either.

    Before the part is known, its pixels pull the holder along the slide.
    """
    slide = part.body.shape.slide
    assert slide is not None
    candidates = []
    for shift in SHIFTS:
        moved = views.refit(holder, holder.position + shift * (holder.rotation @ np.asarray(slide.axis)))
        if moved is None:
            continue
        view = views.along_slide(part, (holder.body, moved.rotation, moved.position))
        if (out := open_place(part.body, slide, part.colour, view, None)) is not None:
            candidates.append((moved.agreement.evidence + out.evidence, out.place, moved))
    if not candidates:
        return None
    _, place, moved = max(candidates, key=lambda candidate: candidate[0])
    return place, moved


def find_part(part: Track, holder: Track, views: TrackViews, search: bool) -> Found | None:
    """The part where it was, or where what touches it can have moved it, or else anywhere on its slide.

    `search`: a part that is lost is also looked for in other places.
    """
    slide, place = part.body.shape.slide, part.place
    assert slide is not None and place is not None
    view, ranges = views.along_slide(part, holder.placed), [Range(0.0, slide.travel)]
    if part.found:
        opening = opening_of(slide, holder.placed, place, part.position)
        if not part.touched:
            anywhere = Range(0.0, slide.travel, LEAST_LEAD_UNTOUCHED)
            ranges = [Range(opening - SLACK, opening + SLACK), anywhere]
        elif part.seen:
            ranges.insert(0, Range(opening - PUSHED, opening + PUSHED))
    if not part.seen and search and (other := open_place(part.body, slide, part.colour, view, place)) is not None:
        place = other.place
    return find_in_place(part.body, slide, part.colour, view, place, ranges)
