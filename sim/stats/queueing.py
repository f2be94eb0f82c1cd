"""Closed forms that simulated waiting must agree with, and Little's law, which every run obeys.

Times are in whatever unit the caller uses, rates in one over that unit.  Waiting time is the time
before service begins; time in system includes the service.  First come, first served, unless
said otherwise.  Source of all: Kleinrock (1975), Queueing Systems, vol. 1, unless named.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest


def mm1_mean_wait(arrival_rate: float, mean_service: float) -> float:
    """Return the mean waiting time for Poisson arrivals and exponential service.

    >>> mm1_mean_wait(0.5, 1.0)
    1.0
    """
    return mg1_mean_wait(arrival_rate, mean_service, 2 * mean_service**2)


def md1_mean_wait(arrival_rate: float, service: float) -> float:
    """Return the mean waiting time for Poisson arrivals and constant service: half of M/M/1's.

    >>> md1_mean_wait(0.5, 1.0)
    0.5
    """
    return mg1_mean_wait(arrival_rate, service, service**2)


def mg1_mean_wait(arrival_rate: float, mean_service: float, second_moment: float) -> float:
    """Return the mean waiting time for Poisson arrivals and any service (Pollaczek-Khinchine).

    `second_moment` is the mean of the square of the service time, in the time unit squared.

    Raises `ValueError` if the server is offered as much as it can do, or more: then there is no
    mean; or if the second moment is below the square of the mean.
    """
    load = offered_load(arrival_rate, mean_service)
    if second_moment < mean_service**2 * (1 - 1e-12):
        raise ValueError(
            f"second_moment must be at least mean_service squared, {mean_service**2}, "
            f"got {second_moment}"
        )
    return arrival_rate * second_moment / (2 * (1 - load))


def mm1_wait_beyond(wait: float, arrival_rate: float, mean_service: float) -> float:
    """Return the probability that a customer of M/M/1 waits longer than `wait`.

    >>> mm1_wait_beyond(0.0, 0.5, 1.0)
    0.5
    """
    load = offered_load(arrival_rate, mean_service)
    if wait < 0:
        return 1.0
    return load * math.exp(-(1 - load) * wait / mean_service)


def mm1_wait_quantile(share: float, arrival_rate: float, mean_service: float) -> float:
    """Return the waiting time that a `share` of the customers of M/M/1 does not exceed.

    Nought while the share is no more than that of customers who need not wait at all.
    """
    if not 0 <= share < 1:
        raise ValueError(f"share must be in [0, 1), got {share}")
    load = offered_load(arrival_rate, mean_service)
    if share <= 1 - load:
        return 0.0
    return mean_service * math.log(load / (1 - share)) / (1 - load)


def mg1_shared_time(arrival_rate: float, mean_service: float) -> float:
    """Return the mean time in system of M/G/1 under processor sharing.

    The limit of round robin for a vanishing quantum; depends on the service time only through
    its mean.
    """
    return mean_service / (1 - offered_load(arrival_rate, mean_service))


def mmc_mean_wait(arrival_rate: float, mean_service: float, servers: int) -> float:
    """Return the mean waiting time for Poisson arrivals at several exponential servers.

    The probability of waiting is Erlang's C formula, computed from his B by its recursion.

    >>> round(mmc_mean_wait(1.5, 1.0, servers=2), 4)
    1.2857
    """
    if servers < 1:
        raise ValueError(f"servers must be >= 1, got {servers}")
    load = offered_load(arrival_rate, mean_service / servers)
    offered = load * servers
    blocked = 1.0
    for server in range(1, servers + 1):
        blocked = offered * blocked / (server + offered * blocked)
    waits = blocked / (1 - load * (1 - blocked))
    return waits * mean_service / (servers * (1 - load))


def offered_load(arrival_rate: float, mean_service: float) -> float:
    """Return the share of time a server is busy; raises `ValueError` unless it is below 1."""
    if not (math.isfinite(arrival_rate) and arrival_rate >= 0):
        raise ValueError(f"arrival_rate must be >= 0, got {arrival_rate}")
    if not (math.isfinite(mean_service) and mean_service > 0):
        raise ValueError(f"mean_service must be > 0, got {mean_service}")
    load = arrival_rate * mean_service
    if load >= 1:
        raise ValueError(f"offered load is {load:.3g}, and must be below 1 for a steady state")
    return load


@dataclass(frozen=True, slots=True)
class ClosedSystem:
    """Steady state of a fixed population that thinks, queues and is served."""

    throughput: float
    """Services completed per unit of time."""
    mean_present: float
    """Mean number waiting or in service."""
    mean_wait: float
    """Mean waiting time."""
    busy_fraction: float
    """Share of the servers that is busy."""


def machine_repair(
    population: int, servers: int, mean_think: float, mean_service: float
) -> ClosedSystem:
    """Return the steady state of the machine-repair model M/M/c//N.

    Each of `population` customers thinks for an exponential time, then queues for one of
    `servers` exponential servers; see Allen (1990), Probability, Statistics and Queueing Theory,
    section 5.2.7.

    >>> round(machine_repair(1, 1, mean_think=3.0, mean_service=1.0).busy_fraction, 9)
    0.25
    """
    for name, count in (("population", population), ("servers", servers)):
        if count < 1:
            raise ValueError(f"{name} must be >= 1, got {count}")
    for name, time in (("mean_think", mean_think), ("mean_service", mean_service)):
        if not (math.isfinite(time) and time > 0):
            raise ValueError(f"{name} must be > 0, got {time}")
    weights = [0.0]  # logarithms: thousands of customers would overflow
    for present in range(population):
        birth = (population - present) / mean_think
        death = min(present + 1, servers) / mean_service
        weights.append(weights[-1] + math.log(birth / death))
    largest = max(weights)
    chances = [math.exp(weight - largest) for weight in weights]
    total = math.fsum(chances)
    present_mean = math.fsum(n * p for n, p in enumerate(chances)) / total
    busy = math.fsum(min(n, servers) * p for n, p in enumerate(chances)) / total
    throughput = busy / mean_service
    wait = (present_mean - busy) / throughput
    return ClosedSystem(throughput, present_mean, wait, busy / servers)


def little_residual(
    area: int, arrivals: Sequence[int], departures: Sequence[int], start: int, end: int
) -> int:
    """Return by how much Little's law fails in one run: nought, or the books are wrong.

    `area` is the integral of the number in the system from `start` to `end`, as counted by the
    run.  `arrivals` holds when each customer arrived and `departures` when it left, in the same
    order; those still present have no departure and come last.  All in ns, exact.  The integral
    must equal the sum of the customers' times in the system, each cut at `start` and `end`.
    Little (1961), Operations Research 9(3), 383-387.
    """
    if len(departures) > len(arrivals):
        raise ValueError(f"{len(departures)} departures of only {len(arrivals)} arrivals")
    if end < start:
        raise ValueError(f"the end, {end}, lies before the start, {start}")
    spent = 0
    for arrived, left in zip_longest(arrivals, departures):
        if left is not None and left < arrived:
            raise ValueError(f"a customer leaves at {left}, before it arrives at {arrived}")
        until = end if left is None else min(left, end)
        spent += max(0, until - max(arrived, start))
    return area - spent
