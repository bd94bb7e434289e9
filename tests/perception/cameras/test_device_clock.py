import numpy as np

from ocrrl.perception.cameras.realsense_reader import DeviceClock


def test_the_smallest_delay_decides_whatever_order_delays_come_in():
    generator = np.random.default_rng(0)
    clock = DeviceClock()
    delays = generator.exponential(0.01, 200) + 0.004
    for k, delay in enumerate(delays):
        timestamp = k / 30
        time = clock.time_of(timestamp, timestamp + 100.0 + delay)
        assert np.isclose(time, timestamp + 100.0 + delays[: k + 1].min())


def test_a_drifting_clock_is_followed():
    clock, drift = DeviceClock(window=30.0), 1 + 50e-6
    for k in range(30 * 600):
        arrival = k / 30
        time = clock.time_of(arrival / drift + 5.0, arrival + 0.004)
    assert abs(time - arrival - 0.004) < 30.0 * 50e-6 + 1e-6


def test_what_is_older_than_the_window_counts_no_more():
    clock = DeviceClock(window=10.0)
    clock.time_of(0.0, 1.0)
    assert clock.time_of(5.0, 6.5) == 6.0
    assert clock.time_of(20.0, 21.5) == 21.5
