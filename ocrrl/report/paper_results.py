"""The paper's own numbers (arXiv 2606.18953, CC BY 4.0), for orientation, never as ours."""

from dataclasses import dataclass

TRIALS = 20
SOURCE = "Table 1 of arXiv:2606.18953; real = a Franka FR3, one run of 20 trials; sim = mean of 3 seeds"


@dataclass(frozen=True)
class PaperRow:
    """Table 1: successes out of `TRIALS`, in the paper's simulation (mean, standard deviation) and on its robot."""

    sim_base: tuple[float, float]
    sim_residual: tuple[float, float]
    real_base: float
    real_residual: float

    def describe(self, cell: str, variant: str) -> str:
        """The paper's counterpart of `variant` in `cell`: its simulation for `sim`, its robot for any other."""
        return f"{'sim' if cell == 'sim' else 'real robot'} {self.successes(cell, variant)} / {TRIALS}"

    def successes(self, cell: str, variant: str) -> str:
        """As `describe`, without saying where and out of how many."""
        if cell == "sim":
            mean, deviation = self.sim_base if variant == "base" else self.sim_residual
            return f"{mean:.1f} ± {deviation:.1f}"
        return f"{self.real_base if variant == 'base' else self.real_residual:g}"


TABLE_1 = {
    "cube_lift": PaperRow((4.3, 0.6), (20.0, 0.0), 7, 17),
    "pick_and_place": PaperRow((7.0, 2.6), (17.0, 2.0), 9, 16),
    "stack_cube": PaperRow((10.0, 1.0), (14.7, 0.6), 7, 15),
    "close_drawer": PaperRow((11.3, 3.2), (19.7, 0.6), 14, 20),
    "stand_cup_up": PaperRow((5.3, 1.2), (14.7, 1.2), 5, 8),
}
AVERAGE = PaperRow((7.6, 1.7), (17.2, 0.9), 8.4, 15.2)
"""Over the five tabletop tasks, as the paper gives it."""
