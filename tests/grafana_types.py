"""The dashboards as TypeScript, to be held against the types of Grafana: `python -m tests.grafana_types`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

DASHBOARDS: Final = Path(__file__).parents[1] / "deploy" / "grafana" / "dashboards"
TYPES: Final = "./node_modules/@grafana/schema/dist/types/raw"
# An enumeration of TypeScript takes no plain text: its values do.
HEAD: Final = (
    "type Plain<T> = T extends string ? `${T}` : T extends (infer U)[] ? Plain<U>[]",
    "  : T extends object ? {[K in keyof T]: Plain<T[K]>} : T;",
    f'import {{Dashboard, Panel}} from "{TYPES}/dashboard/x/types.gen";',
    f'import {{Options as stat}} from "{TYPES}/composable/stat/panelcfg/x/types.gen";',
    *(
        f"import {{Options as {kind}, FieldConfig as {kind}Field}} "
        f'from "{TYPES}/composable/{kind}/panelcfg/x/types.gen";'
        for kind in ("timeseries", "table")
    ),
)


def lines() -> Iterator[str]:
    """Yield a program that compiles where every dashboard, panel, option and field is as Grafana has it."""
    yield from HEAD
    for path in sorted(DASHBOARDS.glob("*.json")):
        dashboard = json.loads(path.read_text("utf-8"))
        yield _typed(path.stem, "Dashboard", dashboard)
        for number, panel in enumerate(dashboard["panels"]):
            name, kind = f"{path.stem}_{number}", panel["type"]
            yield _typed(name, "Panel", panel)
            yield _typed(f"{name}_options", f"Partial<{kind}>", panel["options"])
            if custom := panel["fieldConfig"]["defaults"].get("custom"):
                yield _typed(f"{name}_field", f"Partial<{kind}Field>", custom)


def _typed(name: str, kind: str, value: Any) -> str:
    return f"export const {name}: Plain<{kind}> = {json.dumps(value)};"


if __name__ == "__main__":
    print("\n".join(lines()))
