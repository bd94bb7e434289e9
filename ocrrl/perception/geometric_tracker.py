"""Objects of known shape followed in RGB-D frames on one CPU core, without any learned weights.

A frame registers the objects: regions of an object's colour over the table, poses in which it may lie there, each refined and
held against the picture. Then every object is followed from where its motion, or the hand that holds it, brings it;
objects and robot explain each other's pixels; one that is doubtful is looked for again.
"""

import numpy as np

from ocrrl.interface import poses, rotations
from ocrrl.interface.kinematics import ArmKinematics
from ocrrl.interface.observations import CONFIDENCE_THRESHOLD
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.perception.confidence import features, probability
from ocrrl.perception.drawer_slide import (
    FACE_RADIUS,
    find_open_part,
    follow_slide,
    opening_of,
    rough_opening,
    slide_pose,
)
from ocrrl.perception.frame_checks import require_frame
from ocrrl.perception.frames import Frame
from ocrrl.perception.gauss_newton import NARROW
from ocrrl.perception.hypotheses import between_pads, levelled
from ocrrl.perception.object_pixels import pixels_about
from ocrrl.perception.object_shapes import Slide, shapes_of
from ocrrl.perception.object_tracker import PoseEstimate, RobotPosture
from ocrrl.perception.pixels import NOMINAL_SPREAD, ColourModel, Pixels, tint_of
from ocrrl.perception.pose_fit import Body, Fit, fit
from ocrrl.perception.registration import find, learned_colour, plausible
from ocrrl.perception.table_plane import TablePlane, find_table
from ocrrl.perception.track_state import Scene, Start, Track, in_hand, scene_of

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
LEAST_SLIDE_PIXELS = 250.0  # of the picture in which a part that slides must be seen
WRONG_PLACE = 0.3  # score under which another place that looks open is believed
PLAIN_SLIDE = 0.6  # score from which on a part that slides is not looked for elsewhere
JUMP, JUMP_A_FRAME = 0.03, 0.012  # [m]
SETTLING_WIDTHS = np.geomspace(0.025, NARROW, 6)  # [m]
SETTLING_SHIFTS = (-0.045, -0.03, -0.015, 0.0, 0.015)  # [m] along the slide
ASTRAY = (0.02, 0.10)  # [m], [rad] by which a part that is out may pull at what holds it before it is found
RETRY, LOST = 3, 0.25  # frames between searches for what is lost; confidence under which it is no longer followed


class GeometricTracker:
    """Implements `object_tracker.ObjectTracker` for the objects of `task` before an arm with `kinematics`."""

    def __init__(self, task: TabletopTask, kinematics: ArmKinematics):
        self._task, self._kinematics = task, kinematics
        self._bodies = [Body(shape) for shape in shapes_of(task)]
        self.reset()

    def reset(self) -> None:
        self._table: TablePlane | None = None
        self._before: Scene | None = None
        self._tracks = [
            Track(body, ColourModel(tint_of(body.shape.colour), NOMINAL_SPREAD), np.array(tracked.reference_quaternion))
            for body, tracked in zip(self._bodies, self._task.objects, strict=True)
        ]

    def close(self) -> None:
        """It works with nothing but this machine."""

    def track(self, frame: Frame, robot: RobotPosture) -> PoseEstimate:
        """The objects in `frame`. ValueError where it is no RGB-D frame, RuntimeError where its table is out of place."""
        require_frame(frame, robot)
        if self._table is None:
            self._table = find_table(frame)
        scene = scene_of(frame, robot, self._table, self._kinematics)
        for track in self._tracks:
            if track.body.shape.slide is None:
                self._update(track, scene)
        for track in self._tracks:
            slide = track.body.shape.slide
            if slide is not None:
                new, holder = not track.found, self._holder(slide)
                self._update_slide(track, slide, scene)
                if new and track.found:
                    self._settle(holder, slide, scene)
                    self._update_slide(track, slide, scene)
                elif new:
                    holder.confidence = 0.0  # an unknown part may have pulled it along
        self._before = scene
        return PoseEstimate(
            captured=frame.captured,
            poses=np.stack([self._canonical(index) for index in range(len(self._tracks))]),
            confidence=np.array([track.confidence for track in self._tracks]),
        )

    @property
    def features(self) -> list[np.ndarray | None]:
        """What each object's confidence was computed from, as `confidence.FEATURES`; None for one that is lost."""
        return [track.features for track in self._tracks]

    def _update(self, track: Track, scene: Scene) -> None:
        found = self._follow(track, scene) if track.found else None
        if found is None and track.lost_frames % RETRY == 0:
            found = self._look_for(track, scene)
        if found is None:
            self._lose(track, scene)
            return
        dt = scene.frame.captured - self._before.frame.captured if self._before and track.lost_frames == 0 else 0.0
        moved = (found.position - track.position) / dt if track.found and 0.0 < dt < 0.2 else np.zeros(3)
        track.velocity = 0.5 * track.velocity + 0.5 * moved
        self._take(track, found)
        track.held = in_hand(track, scene)

    def _follow(self, track: Track, scene: Scene) -> Fit | None:
        """The fit from where the object should be by now; None where it is not to be seen there."""
        best: Fit | None = None
        strained = False
        for rotation, position, (spread, turn_spread), on_pads in self._starts(track, scene):
            view = self._view(track, scene, rotation, position)
            if view is None:
                continue
            prior = track.body.prior(spread, turn_spread)
            widths = CALM_WIDTHS if spread < CALM else track.body.widths()
            candidate = fit(track.body, *view, rotation, position, widths, prior, rests=not track.held)
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

    def _update_slide(self, track: Track, slide: Slide, scene: Scene) -> None:
        """The part that slides: which of its places it is in, once, and how far it is out."""
        holder = self._holder(slide)
        within = holder.rotation, holder.position
        if not holder.found or holder.lost_frames > 0:
            self._lose(track, scene)
            return
        found = None
        if track.place is not None and track.lost_frames == 0:
            opening = opening_of(slide, within, track.place, track.position)
            found = self._slide_near(track, slide, within, track.place, opening, scene)
        again = track.lost_frames % RETRY == 0
        if (
            again
            and (found is None or found.agreement.score < PLAIN_SLIDE)
            and (view := self._view(holder, scene, *within))
        ):
            if found is None or found.agreement.score < WRONG_PLACE:
                open_place = find_open_part(track.body, slide, holder.placed, *view)
                track.place = track.place if open_place is None else open_place
            if track.place is not None:
                opening = rough_opening(track.body, slide, within, track.place, *view)
                other = self._slide_near(track, slide, within, track.place, opening, scene)
                if other is not None and (found is None or other.agreement.score > found.agreement.score):
                    found = other
        if found is None or not plausible(found) or found.agreement.agree < LEAST_SLIDE_PIXELS:
            self._lose(track, scene)
            return
        if not track.found:
            self._learn_colour(track, scene, found)
        self._take(track, found)
        track.confidence = min(track.confidence, holder.confidence)

    def _settle(self, holder: Track, slide: Slide, scene: Scene) -> None:
        """Fit what holds a part anew, now that the part's pixels are known: they had pulled it along the slide."""
        along = holder.rotation @ np.asarray(slide.axis)
        fits = []
        for shift in SETTLING_SHIFTS:
            position = holder.position + shift * along
            view = self._view(holder, scene, holder.rotation, position)
            if view is not None:
                prior = holder.body.prior(*ASTRAY)
                fits.append(fit(holder.body, *view, holder.rotation, position, SETTLING_WIDTHS, prior, rests=True))
        if fits:
            self._take(holder, max(fits, key=lambda candidate: candidate.agreement.score))

    def _take(self, track: Track, found: Fit) -> None:
        """Believe a fit."""
        track.rotation, track.position = rotations.to_matrix(rotations.from_matrix(found.rotation)), found.position
        track.spread = found.spread(track.body)
        track.features = features(track.body, found)
        track.confidence = probability(track.features)
        track.found, track.lost_frames = True, 0

    def _slide_near(
        self,
        track: Track,
        slide: Slide,
        within: tuple[np.ndarray, np.ndarray],
        place: int,
        opening: float,
        scene: Scene,
    ) -> Fit | None:
        position = slide_pose(slide, within, place, opening)[1]
        view = self._view(track, scene, within[0], position)
        return None if view is None else follow_slide(track.body, slide, within, place, position, *view)

    def _holder(self, slide: Slide) -> Track:
        return self._tracks[[tracked.name for tracked in self._task.objects].index(slide.within)]

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

    def _look_for(self, track: Track, scene: Scene) -> Fit | None:
        """The object anywhere in the frame; an object that was lost, only as far away as it can have got."""
        others = [other.placed for other in self._tracks if other is not track and other.found]
        found = find(track.body, scene.frame, scene.table, track.colour, scene.capsules, others, again=track.found)
        if found is None:
            return None
        jump = np.linalg.norm(found.position - track.position)
        if track.found and jump > JUMP + JUMP_A_FRAME * track.lost_frames:
            return None
        if probability(features(track.body, found)) < CONFIDENCE_THRESHOLD:
            return None
        if not track.found:
            self._learn_colour(track, scene, found)
        return found

    def _learn_colour(self, track: Track, scene: Scene, found: Fit) -> None:
        if view := self._view(track, scene, found.rotation, found.position):
            track.colour = learned_colour(track.body, *view, found, track.colour)

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

    def _view(
        self, track: Track, scene: Scene, rotation: np.ndarray, position: np.ndarray
    ) -> tuple[Pixels, np.ndarray] | None:
        """The pixels about a pose, and what each shows."""
        slides = track.body.shape.slide is not None
        others = []
        for other in self._tracks:
            if other is not track and other.found and other.lost_frames == 0:
                slide = other.body.shape.slide
                others.append((other.placed, slide is not None and self._holder(slide) is track))
        return pixels_about(
            scene.frame,
            scene.table,
            scene.capsules,
            (track.body, rotation, position),
            track.colour,
            others,
            (position, min(track.body.radius, FACE_RADIUS)) if slides else None,
        )

    def _canonical(self, index: int) -> np.ndarray:
        """The object's pose (7,), of its symmetric equivalents the one nearest to its last confident orientation."""
        track, tracked = self._tracks[index], self._task.objects[index]
        quaternion = rotations.from_matrix(track.rotation)
        quaternion = poses.canonical_quaternion(quaternion, tracked.symmetry, track.reference)
        if track.confidence >= CONFIDENCE_THRESHOLD:
            track.reference = quaternion
        return np.concatenate([track.position, quaternion])


def _wider(spread: tuple[float, float], by: tuple[float, float]) -> tuple[float, float]:
    return float(np.hypot(spread[0], by[0])), float(np.hypot(spread[1], by[1]))
