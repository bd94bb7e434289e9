"""What a frame shows of each tracked object, as the other tracked objects leave it: they explain their own pixels."""

from dataclasses import dataclass

import numpy as np

from ocrrl.perception.tracking.fitting.drawer_slide import SlideView, where_it_may_be
from ocrrl.perception.tracking.fitting.gauss_newton import NARROW
from ocrrl.perception.tracking.fitting.object_pixels import Placed, pixels_about
from ocrrl.perception.tracking.fitting.pixels import Pixels
from ocrrl.perception.tracking.fitting.pose_fit import APART, Fit, fit, with_lead
from ocrrl.perception.tracking.track_state import Scene, Track

REFIT_WIDTHS = np.geomspace(0.025, NARROW, 6)  # [m]
REFIT_SPREAD = (0.02, 0.10)  # [m], [rad]


@dataclass(frozen=True)
class TrackViews:
    """One frame and the tracks in it, by name."""

    scene: Scene
    tracks: dict[str, Track]

    def holder_of(self, track: Track) -> Track | None:
        """The track of the object that this one slides in."""
        slide = track.body.shape.slide
        return None if slide is None else self.tracks[slide.within]

    def pixels(self, track: Track, rotation: np.ndarray, position: np.ndarray) -> tuple[Pixels, np.ndarray] | None:
        """The pixels about the object at a pose, and what each shows; None where the camera does not see it.

        Pixels that show a part of the object are not its own, and as long as that part is not seen, none are that it may take up.
        """
        placed, others, parts = (track.body, rotation, position), [], []
        for other in self.tracks.values():
            if self.holder_of(other) is track:
                if not other.closed:
                    possible = where_it_may_be(other.body.shape, placed, other.place)
                    parts += [other.placed] if other.seen else possible
            elif other is not track and other.seen:
                others.append(other.placed)
        scene = self.scene
        return pixels_about(scene.frame, scene.table, scene.capsules, placed, track.colour, others, parts)

    def along_slide(self, track: Track, holder: Placed) -> SlideView:
        """What the search for a part needs, with its holder placed so."""
        scene = self.scene
        others = [o.placed for o in self.tracks.values() if o is not track and o.body is not holder[0] and o.seen]
        return SlideView(scene.frame, scene.table, scene.capsules, holder, others)

    def refit(self, track: Track, position: np.ndarray) -> Fit | None:
        """The pose fitted anew from `position` [m] and the orientation so far."""
        view = self.pixels(track, track.rotation, position)
        if view is None:
            return None
        prior = track.body.prior(*REFIT_SPREAD)
        return fit(track.body, *view, track.rotation, position, REFIT_WIDTHS, prior, rests=True)

    def best_of_neighbours(self, track: Track, found: Fit) -> Fit:
        """Of a pose and those `APART` from it, each refined, the one that explains the frame best, with its lead."""
        if len(track.body.ways) == 0:
            return found
        shifts = [sign * APART * (found.rotation @ way) for way in track.body.ways for sign in (-1.0, 1.0)]
        refits = [self.refit(track, found.position + shift) for shift in shifts]
        best = max([found, *filter(None, refits)], key=lambda candidate: candidate.agreement.evidence)
        view = self.pixels(track, best.rotation, best.position)
        return best if view is None else with_lead(track.body, *view, best)
