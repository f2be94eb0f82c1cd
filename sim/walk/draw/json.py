"""Memory as plain JSON values, for other programs that draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.walk.tell.state import FREE

if TYPE_CHECKING:
    from sim.walk.tell.names import Names
    from sim.walk.tell.state import Space, State


def state_json(state: State, names: Names) -> dict[str, Any]:
    """Return the memory of a small machine: address spaces, frames in use, free blocks."""
    return {
        "spaces": [_space_json(space, names) for space in state.spaces],
        "frames": [
            {"frame": pfn, "use": f.use, "references": f.refs, "mappings": f.maps, "owner": f.owner}
            for pfn, f in enumerate(state.frames)
            if f.use != FREE
        ],
        "free_frames": state.free,
        "free_blocks": {str(frames): count for frames, count in state.blocks.items()},
    }


def _space_json(space: Space, names: Names) -> dict[str, Any]:
    return {
        "processes": list(space.processes),
        "areas": [
            {
                "first": names.page(area.start),
                "last": names.page(area.end - 1),
                "kind": area.kind,
                "shared": area.shared,
                "access": area.access,
                "flags": list(area.flags),
            }
            for area in space.areas
        ],
        "tables": [{"level": table.level, "frame": table.frame} for table in space.tables],
        "entries": [
            {
                "page": names.page(vpn),
                "frame": entry.pfn,
                "writable": entry.writable,
                "dirty": entry.dirty,
                "zero_page": entry.zero,
                "huge": entry.huge,
            }
            for vpn, entry in sorted(space.entries.items())
        ],
    }
