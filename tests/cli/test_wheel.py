"""What is built installs one package, with its configurations inside."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this checkout, built without isolation and so without network."""
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [path] = target.glob("cowpool-*.whl")
    return path


@pytest.fixture(scope="module")
def names(wheel):
    """The paths of all files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_only_sim_is_installed_at_top_level(names):
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"sim"}
    assert len(top) == 2


@pytest.mark.parametrize("kind", ["hosts", "scenarios", "studies", "comparisons"])
def test_every_configuration_is_inside(names, kind):
    shipped = {path.name for path in (ROOT / "configs" / kind).glob("*.yaml")}
    inside = {Path(name).name for name in names if name.startswith(f"sim/_configs/{kind}/")}
    assert shipped <= inside


def test_every_file_of_the_package_is_inside(names):
    tracked = subprocess.run(
        ["git", "ls-files", "sim"], cwd=ROOT, check=False, capture_output=True, text=True
    ).stdout.split()
    assert set(tracked) <= set(names) or not tracked
    assert "sim/py.typed" in names


def test_the_command_is_declared(wheel):
    with zipfile.ZipFile(wheel) as archive:
        [entry] = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        text = archive.read(entry).decode()
    assert "cowpool = sim.cli:main" in text


def test_an_unpacked_wheel_finds_its_configurations(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
        "from sim.base.resources import shipped; import sim; "
        "print(sim.__file__, *shipped('hosts'))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout.split()
    assert output[0] == str(tmp_path / "sim" / "__init__.py")
    assert output[1:] == sorted(p.stem for p in (ROOT / "configs" / "hosts").glob("*.yaml"))
