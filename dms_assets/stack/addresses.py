"""The addresses of a stack as a block of text."""

from __future__ import annotations

from dms_assets.stack.stack_file import StackFile, State

_URLS = {"ui": "Dagster UI", "ui_read_only": "for analysts, read-only", "local_dms": "AWS DMS API (Local DMS)"}
_PATHS = {"warehouse": "warehouse, read copy", "landing": "landing bucket", "secrets": "passwords", "logs": "logs"}


def address_block(stack: StackFile) -> str:
    """One line for each address and path that a person wants."""
    lines = []
    if "ui" in stack.urls:
        lines.append(("first page", f"{stack.urls['ui']}/platform"))
    lines += [(title, stack.urls[name]) for name, title in _URLS.items() if name in stack.urls]
    lines += [(f"source {name}", address) for name, address in stack.databases.items()]
    lines += [(title, stack.paths[name]) for name, title in _PATHS.items()]
    width = max(len(title) for title, _ in lines)
    return "\n".join(f"  {title:<{width}}  {value}" for title, value in lines)


def process_lines(stack: StackFile) -> str:
    """One line for each process."""
    return "\n".join(
        f"  {name:<12}  {found.state.value}"
        + (f", pid {found.pid}" if found.state is State.UP else "")
        + (f", started again {found.restarts} times" if found.restarts else "")
        for name, found in stack.processes.items()
    )
