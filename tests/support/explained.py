"""Hosts and policies to explain, drawn."""

from typing import Any

from hypothesis import strategies as st

kernels = st.sampled_from(["4.19", "5.1", "5.4", "5.15", "6.1", "6.6", "6.8", "6.12", "6.18"])


@st.composite
def hosts(draw: st.DrawFn) -> dict[str, Any]:
    kernel = draw(kernels)
    host: dict[str, Any] = {
        "memory": "1 GiB",
        "cpus": draw(st.sampled_from([1, 2, 2, 4])),
        "kernel": kernel,
        "thp": draw(st.sampled_from(["never", "never", "madvise", "always"])),
        "overcommit": {"mode": draw(st.sampled_from([0, 0, 1]))},
        "profile": draw(st.sampled_from(["generic", "ec2_hvm", "xeon_4210r"])),
    }
    if kernel in ("6.8", "6.12", "6.18") and draw(st.booleans()):
        host["thp_sizes"] = {draw(st.sampled_from(["32 KiB", "64 KiB", "1 MiB"])): "always"}
    return host


policies = st.fixed_dictionaries(
    {
        "fork": st.sampled_from(["cow", "cow", "eager", "on_demand", "async"]),
        "zeroing": st.sampled_from(["demand", "demand", "eager"]),
        "memory": st.sampled_from(["oom", "oom", "wait"]),
    }
)
