"""The verifier's modules put together as one file, for whoever does not want to install what they check."""

import ast
from pathlib import Path

_PARTS = ("leaves", "proofs", "promises", "files")
_INTRODUCTION = '''"""Checks an export of consent-proxy's log, or the evidence of one transfer, trusting nobody.

To be read before it is run. It takes Python 3.11 or later and the package `cryptography`, for Ed25519, and no network:

    python verify.py --help

Exit code 0: everything holds. 1: something does not, and the first line says which row. 2: wrong usage.
"""
'''
_END = 'if __name__ == "__main__":\n    sys.exit(main())\n'


def single_file() -> str:
    """The source of the verifier: what its modules import from outside, then each of them in turn."""
    imports: dict[str, set[str]] = {}
    bodies: list[str] = []
    for part in _PARTS:
        source = Path(__file__).with_name(f"{part}.py").read_text("utf-8")
        tree = ast.parse(source)
        heads = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        for node in heads:
            if not (isinstance(node, ast.ImportFrom) and str(node.module).startswith("consent_proxy")):
                imports.setdefault(getattr(node, "module", None) or "", set()).update(map(ast.unparse, node.names))
        after = heads[-1].end_lineno or 0
        bodies.append(f"# {ast.get_docstring(tree)}\n\n" + "\n".join(source.splitlines()[after:]).strip())
    plain = [f"import {name}" for name in sorted(imports.pop(""))]
    head = "\n".join([*plain, *(f"from {name} import {', '.join(sorted(imports[name]))}" for name in sorted(imports))])
    return "\n\n\n".join([f"{_INTRODUCTION}\n{head}", *bodies, _END])
