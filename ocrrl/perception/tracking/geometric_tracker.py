"""Tracks objects of known shape in RGB-D frames on one CPU core, without learned weights.

A frame registers the objects: regions of an object's colour over the table, poses in which it may lie there, each refined and
held against the image. Then every object is followed from where its motion, or the hand that holds it, brings it;
objects and robot explain each other's pixels; one that is doubtful is looked for again. A sliding part and its holder look alike: they
are fitted together until the part is found.
"""

import numpy as np

from ocrrl.interface import poses, rotations
from ocrrl.interface.frames import Frame
from ocrrl.interface.kinematics import ArmKinematics
from ocrrl.interface.observations import CONFIDENCE_THRESHOLD
from ocrrl.interface.protocols import PoseEstimate, RobotPosture
from ocrrl.interface.tabletop_tasks import TabletopTask, TrackedObject
from ocrrl.perception.tracking.confidence import confidence, features, probability
from ocrrl.perception.tracking.fitting.drawer_slide import (
    Found,
    Range,
    find_in_place,
    open_holder,
    open_place,
    opening_of,
)
from ocrrl.perception.tracking.fitting.gauss_newton import NARROW
from ocrrl.perception.tracking.fitting.hypotheses import between_pads, levelled
from ocrrl.perception.tracking.fitting.pixels import NOMINAL_SPREAD, ColourModel, tint_of
from ocrrl.perception.tracking.fitting.pose_fit import Body, Fit, fit, with_lead
from ocrrl.perception.tracking.fitting.registration import find, learned_colour, plausible
from ocrrl.perception.tracking.fitting.table_plane import TablePlane
from ocrrl.perception.tracking.track_state import Scene, Start, Track, TrackViews, in_hand, near_robot, scene_of
from ocrrl.tabletop.registry import shapes_of

AT_REST = (0.002, 0.02)  # [m], [rad] a frame by which an object moves that nothing touches
CARRIED = (0.004, 0.04)  # in the hand, against the hand
GRIPPED = (0.004, 0.02)  # against the pads that it lies on
MOVED = (0.020, 0.20)  # by something else
HEAVY = (0.004, 0.02)  # what always stands on the table, by whatever touches it
UNTOUCHED = 0.06  # [m] between gripper frame and object
CALM = 0.006  # [m] of spread under which a narrow kernel and fewer iterations do
CALM_WIDTHS = np.array([0.010, NARROW, NARROW])  # [m]
LEAD = 0.02  # of score by which a less likely start must win
PLAIN = 0.93  # inlier and explained shares from which on no other start is tried
CLOSED = 0.003  # [m] of opening
JUMP, JUMP_A_FRAME = 0.03, 0.012  # [m]
RETRY, LOST = 3, 0.25  # frames between searches for what is lost; confidence under which it is no longer followed
SHIFTS = (-0.045, -0.03, -0.015, 0.0, 0.015)  # [m] by which a part that is out may have pulled its holder
PUSHED, SLACK = 0.05, 0.006  # [m] a frame by which a part slides that the robot touches, or that nothing does
LEAST_LEAD_UNTOUCHED = 3000.0  # [pixels] of a part that moved though the robot was not near


class GeometricTracker:
    """Implements `interface.protocols.PoseTracker` for the objects of `task` before an arm with `kinematics`."""

    def __init__(self, task: TabletopTask, kinematics: ArmKinematics):
        self._task, self._kinematics = task, kinematics
        self._bodies = {name: Body(shape) for name, shape in shapes_of(task).items()}
        self.reset()

    def reset(self) -> None:
        self._table: TablePlane | None = None
        self._before: Scene | None = None
        self._tracks = {
            tracked.name: Track(
                self._bodies[tracked.name],
                ColourModel(tint_of(self._bodies[tracked.name].shape.colour), NOMINAL_SPREAD),
                np.array(tracked.reference_quaternion),
            )
            for tracked in self._task.objects
        }

    def close(self) -> None:
        """It works with nothing but this machine."""

    def track(self, frame: Frame, robot: RobotPosture) -> PoseEstimate:
        """The objects in `frame`. ValueError where it is no RGB-D frame, RuntimeError where its table is out of place."""
        scene = scene_of(frame, robot, self._table, self._kinematics)
        self._table = scene.table
        views = TrackViews(scene, self._tracks)
        for track in self._tracks.values():
            if track.body.shape.slide is None:
                self._update(track, views)
        for track in self._tracks.values():
            if (holder := views.holder_of(track)) is not None:
                self._update_part(track, holder, views)
        self._before = scene
        return PoseEstimate(
            captured=frame.captured,
            poses=np.stack([self._canonical(tracked) for tracked in self._task.objects]),
            confidence=np.array([track.confidence for track in self._tracks.values()]),
        )

    @property
    def features(self) -> list[np.ndarray | None]:
        """What each object's confidence was computed from, as `confidence.FEATURES`; None for one that is lost."""
        return [track.features for track in self._tracks.values()]

    def _update(self, track: Track, views: TrackViews) -> None:
        scene, found = views.scene, self._follow(track, views) if track.found else None
        if found is None and track.lost_frames % RETRY == 0:
            found = self._look_for(track, views)
        if found is None:
            self._lose(track, scene)
            return
        dt = scene.frame.captured - self._before.frame.captured if self._before and track.lost_frames == 0 else 0.0
        moved = (found.position - track.position) / dt if track.found and 0.0 < dt < 0.2 else np.zeros(3)
        track.velocity = 0.5 * track.velocity + 0.5 * moved
        self._take(track, views.best_of_neighbours(track, found) if found.lead < 0.0 else found)
        track.held = in_hand(track, scene)

    def _follow(self, track: Track, views: TrackViews) -> Fit | None:
        """The fit from where the object should be by now; None where it is not to be seen there."""
        best: Fit | None = None
        strained = False
        for rotation, position, (spread, turn_spread), on_pads in self._starts(track, views.scene):
            view = views.pixels(track, rotation, position)
            if view is None:
                continue
            prior = track.body.prior(spread, turn_spread)
            widths = CALM_WIDTHS if spread < CALM else track.body.widths()
            candidate = fit(track.body, *view, rotation, position, widths, prior, rests=not track.held)
            candidate = with_lead(track.body, *view, candidate)
            if best is None or candidate.agreement.score > best.agreement.score + (0.0 if strained else LEAD):
                best = candidate
            # A prior that the frame pulls at is wrong: the object was moved after all.
            off, turned = np.linalg.norm(candidate.position - position), candidate.rotation.T @ rotation
            strained = bool(off > spread or np.trace(turned) < 1.0 + 2.0 * np.cos(turn_spread))
            plain = min(best.agreement.inlier, best.agreement.explained) > PLAIN and not strained
            if plain or (on_pads and plausible(best)):
                break
        if best is None or not plausible(best):
            return None
        jump = np.linalg.norm(best.position - track.position)
        if jump > JUMP + JUMP_A_FRAME * track.lost_frames or probability(features(track.body, best)) < LOST:
            return None
        return best

    def _update_part(self, part: Track, holder: Track, views: TrackViews) -> None:
        """A part that slides in its holder, and the holder anew when the part is found first."""
        new, search, found = not part.found, part.lost_frames % RETRY == 0, None
        if holder.seen and new and search and (both := _find_with_holder(part, holder, views)) is not None:
            part.place, fitted = both
            self._take(holder, fitted)
        near = near_robot(part, views.scene)
        part.touched = near if part.seen else part.touched or near
        if holder.seen and part.place is not None:
            found = _find_part(part, holder, views, search)
        if found is None:
            self._lose(part, views.scene)
            if new:
                holder.confidence = 0.0  # an unknown part may have pulled it along
            return
        if new:
            part.colour = learned_colour(part.body, found.pixels, found.code, found.fit, part.colour)
        self._take_part(part, holder, found)
        if new and (fitted := views.refit(holder, holder.position)) is not None:
            self._take(holder, views.best_of_neighbours(holder, fitted))
            if (again := _find_part(part, holder, views, search=False)) is not None:
                self._take_part(part, holder, again)

    def _take_part(self, part: Track, holder: Track, found: Found) -> None:
        slide = part.body.shape.slide
        assert slide is not None
        self._take(part, found.fit)
        part.place, part.confidence = found.place, min(part.confidence, holder.confidence)
        part.closed = opening_of(slide, holder.placed, found.place, part.position) < CLOSED
        # A holder shows a closed part as its own, and a gap where a part is out.
        whole = self._bodies[slide.within]
        holder.body = whole if part.closed else open_holder(whole.shape, slide, found.place)

    def _take(self, track: Track, found: Fit) -> None:
        """Believe a fit."""
        track.rotation, track.position = rotations.to_matrix(rotations.from_matrix(found.rotation)), found.position
        track.spread = found.spread(track.body)
        track.features = features(track.body, found)
        track.confidence = confidence(track.body, found)
        track.found, track.lost_frames = True, 0

    def _starts(self, track: Track, scene: Scene) -> list[Start]:
        """The likeliest first."""
        untouched = np.linalg.norm(scene.tcp - track.position) > UNTOUCHED + track.body.radius and not track.held
        if track.body.shape.stands:
            return [Start(track.rotation, track.position, _wider(track.spread, AT_REST if untouched else HEAVY))]
        starts, last, before = [], (track.rotation, track.position), self._before
        if track.held and before is not None:
            turn = scene.hand @ before.hand.T
            carried = turn @ track.rotation, scene.tcp + turn @ (track.position - before.tcp)
            if squared := between_pads(track.body, *carried, scene.tcp, scene.hand, scene.width):
                starts.append(Start(*squared, GRIPPED, on_pads=True))
            starts.append(Start(*carried, _wider(track.spread, CARRIED)))
            last = carried
        if untouched and not track.body.round:
            starts.append(Start(levelled(track.rotation), track.position, _wider(track.spread, AT_REST)))
        if untouched:
            starts.append(Start(*last, _wider(track.spread, AT_REST)))
        elif track.lost_frames == 0 and before is not None:
            dt = min(scene.frame.captured - before.frame.captured, 0.2)
            starts.append(Start(track.rotation, track.position + track.velocity * dt, MOVED))
        starts.append(Start(track.rotation, track.position, MOVED))
        return starts

    def _look_for(self, track: Track, views: TrackViews) -> Fit | None:
        """The object anywhere in the frame; an object that was lost, only as far away as it can have got."""
        scene = views.scene
        others = [other.placed for other in self._tracks.values() if other is not track and other.found]
        found = find(track.body, scene, track.colour, others, again=track.found)
        if found is None:
            return None
        jump = np.linalg.norm(found.position - track.position)
        if track.found and jump > JUMP + JUMP_A_FRAME * track.lost_frames:
            return None
        # A holder is found together with its part, which pulls it along until then.
        pulled = any(views.holder_of(other) is track and not other.found for other in self._tracks.values())
        if not pulled and probability(features(track.body, found)) < CONFIDENCE_THRESHOLD:
            return None
        if not track.found and (view := views.pixels(track, found.rotation, found.position)):
            track.colour = learned_colour(track.body, *view, found, track.colour)
        return found if pulled else views.best_of_neighbours(track, found)

    def _lose(self, track: Track, scene: Scene) -> None:
        """Not seen: it stays where it was, or goes with the hand that holds it."""
        if track.held and self._before is not None:
            turn = scene.hand @ self._before.hand.T
            track.position = scene.tcp + turn @ (track.position - self._before.tcp)
            track.rotation = turn @ track.rotation
        track.held = track.held and scene.width <= self._before.width + 0.002 if self._before else False
        track.confidence, track.features, track.velocity = 0.0, None, np.zeros(3)
        track.spread = _wider(track.spread, CARRIED if track.held else AT_REST)
        track.lost_frames += 1

    def _canonical(self, tracked: TrackedObject) -> np.ndarray:
        """The object's pose (7,), of its symmetric equivalents the one nearest to its last confident orientation."""
        track = self._tracks[tracked.name]
        quaternion = rotations.from_matrix(track.rotation)
        quaternion = poses.canonical_quaternion(quaternion, tracked.symmetry, track.reference)
        if track.confidence >= CONFIDENCE_THRESHOLD:
            track.reference = quaternion
        return np.concatenate([track.position, quaternion])


def _wider(spread: tuple[float, float], by: tuple[float, float]) -> tuple[float, float]:
    return float(np.hypot(spread[0], by[0])), float(np.hypot(spread[1], by[1]))


def _find_with_holder(part: Track, holder: Track, views: TrackViews) -> tuple[int, Fit] | None:
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


def _find_part(part: Track, holder: Track, views: TrackViews, search: bool) -> Found | None:
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
