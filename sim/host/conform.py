"""The command `cowpool conform`: predict scripts, and hold the predictions against the kernel.

Where predictions come from is the caller's affair: a `Predictor` turns a script into records.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from sim.base.errors import ScenarioError
from sim.base.files import write_file
from sim.host.compare import EQUAL, Band, Comparison, compare, count_differences
from sim.host.conditions import (
    assumed_release,
    cannot_run,
    host_conditions,
    objections,
    rules_condition,
)
from sim.host.groups import no_group
from sim.host.huge_pages import huge_page_settings
from sim.host.kernel import KB_PER_PAGE, HostError, KernelRunner
from sim.host.session import (
    DIFFERENT,
    DONE,
    RUNS_UNTIL_BELIEVED,
    UNCHECKED,
    Session,
    require_work,
    verdict,
    worst,
)
from sim.machine.releases import NEWEST, release_name
from sim.script.grammar import Operation, Verb, format_script
from sim.script.random import CONTRACT_VERBS, random_script, script_generator
from sim.script.record import OpRecord, format_records
from sim.script.shrink import shrink
from sim.script.validity import load_script

if TYPE_CHECKING:
    from sim.host.conditions import Condition

Predictor = Callable[[Sequence[Operation]], Iterable[OpRecord]]


def run_conform(
    paths: Sequence[str | Path],
    *,
    predictor: Predictor | None = None,
    prepare: Callable[[Sequence[Sequence[Operation]]], object] | None = None,
    kernel: bool = False,
    random: int | None = None,
    seed: int | None = None,
    verbs: Collection[Verb] = CONTRACT_VERBS,
    release: str | None = None,
    folios: Collection[int] = (),
    possible: Callable[[list[Operation]], list[Operation]] | None = None,
    time: bool = False,
    as_json: bool = False,
    large: bool = False,
    group_pages: int | None = None,
    band: Band = EQUAL,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> int:
    """Predict scripts, compare them with the kernel if asked, and return the exit status.

    Parameters
    ----------
    paths
        Scripts to predict, in order.
    predictor
        Turns a valid script into one record an operation; by default, the simulated machine does.
    prepare
        Is shown the scripts before the first is predicted, if they are all that is to be done.
    kernel
        Also run each script for real; print both sides, differences marked.
    random
        How many random scripts to draw as well; needs `seed`.
    verbs
        What random scripts are made of.
    release
        Whose rules the default predictor follows; by default those of the kernel that runs here if
        it is asked, else the newest known.
    folios
        Sizes of folios, in pages, that advised regions get: set in the kernel while it is asked.
    possible
        Leaves out of a random script what cannot be where the pool of huge pages runs out.
    time
        Print ` ns=N` as well, where the predictor gives it.
    group_pages
        Scripts are run in a control group of their own, which may have so many pages: ` usage=N`
        is printed as well.
    band
        What is claimed of random scripts.
    large
        Scripts may have more pages than `sim.script.validity.MOST_STATE_BYTES`.

    Returns
    -------
    int
        0 done; 1 prediction and kernel differ; 3 predicted, but not checked, because this host
        cannot run the scripts or its answers could not be relied upon: the reason is on `err`.

    Raises
    ------
    ScenarioError
        A script cannot be read or is not valid.
    """
    if predictor is None:
        predictor = partial(
            _predict,
            kernel=predicted_release(release, kernel),
            folios=dict.fromkeys(folios, "madvise"),
        )
    session = _Session(predictor, tuple(folios), time, as_json, out, err, possible)
    require_work(paths, random, seed)
    scripts = [(str(path), load_script(path, large=large)) for path in paths]
    if prepare is not None and not random:
        prepare([script for _, script in scripts])
    session.group_pages, session.band = group_pages, band
    session.state_rules(release, kernel)
    with ExitStack() as settings:
        if kernel:
            session.find_kernel(settings)
        statuses = [session.script(name, script) for name, script in scripts]
        if random is not None and seed is not None:
            statuses.append(session.random(random, seed, verbs))
    status = worst(statuses)
    session.finish(status)
    return status


def predicted_release(release: str | None, kernel: bool) -> str:
    """Return the release whose rules are followed: that asked for, the running one's, the newest.

    The running kernel counts if it is asked (`kernel`).
    """
    return release or (assumed_release(platform.release()) if kernel else release_name(NEWEST))


def _predict(script: Sequence[Operation], kernel: str, folios: Mapping[int, str]) -> list[OpRecord]:
    from sim.script.predict import predict

    return predict(script, kernel=kernel, folios=folios)


class _Session(Session):
    """One invocation of the command."""

    def __init__(
        self,
        predictor: Predictor,
        folios: tuple[int, ...],
        time: bool,
        as_json: bool,
        out: TextIO | None,
        err: TextIO | None,
        possible: Callable[[list[Operation]], list[Operation]] | None = None,
    ) -> None:
        super().__init__(as_json, out, err)
        self._predictor = predictor
        self._possible = possible
        self._folios = folios
        self._time = time
        self._runner: KernelRunner | None = None
        self._asked_kernel = False
        self._unsteady = 0
        self.group_pages: int | None = None
        self.band = EQUAL

    def state_rules(self, release: str | None, kernel: bool) -> None:
        """Say whose rules are followed, if there is anything to say about it."""
        if kernel or release is not None:
            running = platform.release() if kernel else None
            self._say(str(rules_condition(predicted_release(release, kernel), running)))

    def find_kernel(self, settings: ExitStack) -> None:
        """Print what the kernel is like, and get ready to run scripts on it.

        What has to be set in it for that is set until `settings` ends.
        """
        self._asked_kernel = True
        reason = cannot_run() or (no_group() if self.group_pages is not None else "")
        if reason:
            self._say(f"unchecked: {reason}")
            return
        try:
            settings.enter_context(huge_page_settings(dict.fromkeys(self._folios, "madvise")))
        except HostError as error:
            self._say(f"unchecked: {error}")
            return
        self._conditions = host_conditions(self._folios)
        for condition in self._conditions:
            self._say(str(condition))
        try:
            self._runner = KernelRunner()
        except HostError as error:
            self._say(f"unchecked: {error}")

    def script(self, name: str, script: list[Operation]) -> int:
        """Predict one script, and check it if there is a kernel; return its status."""
        predicted = self._predict(script)
        usable = self._runner is not None
        if usable:
            for objection in objections(self._conditions, script):
                self._say(f"{name}: unchecked: {objection}")
                usable = False
        if not usable:
            self._write(format_records(predicted))
            self._keep(name, operations=_both(script, predicted))
            return UNCHECKED if self._asked_kernel else DONE
        comparisons = self._compare(script, predicted)
        self._write("".join(f"{line}\n" for c in comparisons for line in c.lines()))
        self._keep(name, operations=[c.to_json() for c in comparisons])
        differences = count_differences(comparisons)
        self._say(f"{name}: {verdict(differences)}")
        return DIFFERENT if differences else DONE

    def random(self, count: int, seed: int, verbs: Collection[Verb]) -> int:
        """Draw, predict and check `count` scripts; stop at the first that differs too much.

        Verbs whose figures could not be relied upon here are left out, and said to be.
        """
        spoilt = {verb for c in self._conditions for verb in c.spoils & set(verbs)}
        if spoilt and spoilt < set(verbs):
            self._say(f"random scripts are drawn without {', '.join(sorted(spoilt))}")
            verbs = [verb for verb in verbs if verb not in spoilt]
        operations = unchecked = 0
        checked: list[int] = []
        status = DONE
        for index in range(count):
            script = random_script(script_generator(seed, index), verbs=verbs, folios=self._folios)
            if self._possible is not None:
                script = self._possible(script)
            name = f"script {index} of seed {seed}"
            try:
                predicted = self._predict(script)
            except ScenarioError as error:
                self._say(f"{name}: unchecked: {error}")
                unchecked += 1
                continue
            operations += len(script)
            if self._runner is None:
                continue
            if self._spoilt(name, self._conditions, script):
                unchecked += 1
                continue
            differences = count_differences(self._compare(script, predicted))
            if differences > self.band.close:
                now = host_conditions(self._folios)
                if self._spoilt(name, now, script):  # somebody changed a setting
                    unchecked += 1
                    continue
                self._report_failure(script, seed, index)
                return DIFFERENT
            if differences:
                self._say(f"{name}: {verdict(differences)}")
            checked.append(differences)
            self._progress(index + 1, count)
        told = _found(checked) if self._runner is not None else "predicted, unchecked"
        if unchecked:
            told += f", but {unchecked} scripts unchecked"
        if not self.band.holds(checked):
            status = DIFFERENT
        elif self._asked_kernel and (unchecked or self._runner is None):
            status = UNCHECKED
        self._write(f"{count} scripts of seed {seed}, {operations} operations: {told}\n")
        self._keep(f"random, seed {seed}", scripts=count, operations_checked=operations)
        if self._unsteady:
            self._say(f"{self._unsteady} scripts ran more than once: the kernel was not quiet")
        return status

    def _spoilt(
        self, name: str, conditions: Sequence[Condition], script: Sequence[Operation]
    ) -> bool:
        """Say why the kernel's answer to a script could not be relied upon, if it could not."""
        found = objections(conditions, script)
        if found:
            self._say(f"{name}: unchecked: {found[0]}")
        return bool(found)

    def _progress(self, done: int, count: int) -> None:
        if self._err.isatty() and (done % 10 == 0 or done == count):
            self._err.write(f"\r{done}/{count} scripts" + ("\n" if done == count else ""))
            self._err.flush()

    def _predict(self, script: Sequence[Operation]) -> list[OpRecord]:
        records = list(self._predictor(script))
        return records if self._time else [replace(record, ns=None) for record in records]

    def _compare(self, script: list[Operation], predicted: Sequence[OpRecord]) -> list[Comparison]:
        """Run the script for real; again while it differs, until the difference is believed."""
        comparisons: list[Comparison] = []
        for run in range(RUNS_UNTIL_BELIEVED):
            comparisons = compare(predicted, self._run(script))
            if not count_differences(comparisons):
                self._unsteady += run > 0
                break
        return comparisons

    def _run(self, script: list[Operation]) -> list[OpRecord]:
        assert self._runner is not None
        if self.group_pages is None:
            return self._runner.run(script)
        return self._runner.run_in_group(script, self.group_pages).records

    def _report_failure(self, script: list[Operation], seed: int, index: int) -> None:
        self._say(f"script {index} of seed {seed} differs; looking for its shortest form")
        shortest = shrink(script, self._differs)
        path = Path(f"conform-{seed}-{index}.txt")
        write_file(path, format_script(shortest))
        self.script(str(path), shortest)
        group = "" if self.group_pages is None else f" --group {self.group_pages * KB_PER_PAGE}K"
        self._write(f"repeat it with: cowpool conform {path}{group} --kernel\n")

    def _differs(self, script: list[Operation]) -> bool:
        try:
            predicted = self._predict(script)
        except ScenarioError:
            return False
        return count_differences(self._compare(script, predicted)) > self.band.close


def _found(differences: Sequence[int]) -> str:
    """Return what is said of random scripts that were checked, of so many differences each.

    >>> _found([0, 0, 1])
    'checked, 2 of 3 without a difference, at most 1 in the others'
    >>> _found([])
    'none checked'
    """
    if not differences:
        return "none checked"
    if not any(differences):
        return "checked, no difference"
    told = f"{differences.count(0)} of {len(differences)} without a difference"
    return f"checked, {told}, at most {max(differences)} in the others"


def _both(script: Sequence[Operation], predicted: Sequence[OpRecord]) -> list[dict[str, Any]]:
    return [
        {"operation": str(operation), "predicted": record.to_json()}
        for operation, record in zip(script, predicted, strict=True)
    ]
