"""JSON schemas of the settings, by which an editor completes and checks YAML files: from what the
classes in `_target_` declare, from RULES, and from the comments beside settings.
"""

import inspect
import json
import re
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from digits.commands.settings import RULES, declared_by, is_of_kind, kinds_of
from digits.files import CONFIGS, write_atomically
from digits.text import flat

Schema = dict[str, Any]
At = tuple[str, ...]  # where settings are: ("model", "optimizer")

FLAG, WORD, LIST = ({"type": kind} for kind in ("boolean", "string", "array"))
DEFAULTS = {"$ref": "settings.json#/definitions/defaults"}
HYDRAS: Schema = {"_target_": WORD, "_convert_": WORD, "_partial_": FLAG, "_recursive_": FLAG}
HYDRAS |= {"_args_": LIST, "defaults": DEFAULTS}
DRAFT = "http://json-schema.org/draft-07/schema#"
ELSEWHERE = {"type": "string", "pattern": r"\$\{|^\?\?\?$"}  # ${seed} may be of any type
TYPED = {"if": {"required": ["_target_"]}}
SAMPLES: dict[str, list[Any]] = {  # values that show which types a rule or a class accepts
    "array": [OmegaConf.create(each) for each in (["x"], [0.5, 0.5], ["a://b"])],
    "boolean": [True],
    "integer": [1],
    "null": [None],
    "number": [0.5],
    "object": [OmegaConf.create(each) for each in ({}, {"seconds": 1})],
    "string": ["x", "auto", "00:00:00:01"],
}
# of defaults without annotation; 1 may stand for any number
KINDS: dict[type, Any] = {bool: bool, int: float, float: float, str: str}
MADE_BY = " ".join(f"{name} {version(name)}" for name in ("hydra-core", "lightning", "torch"))


def write(folder: Path) -> None:
    """Write the schemas of the configs in `folder`, and of the project's, into its schemas/."""
    for at, schema in of(folder).items():
        text = json.dumps(schema, indent=0, sort_keys=True) + "\n"
        write_atomically(folder / "schemas" / name_of(at), text.encode())


def name_of(at: At) -> str:
    return f"{'.'.join(at) or 'settings'}.json"


def of(folder: Path) -> dict[At, Schema]:
    known = _Known()
    for configs in dict.fromkeys((CONFIGS.resolve(), folder.resolve())):
        for path in sorted(configs.rglob("*.yaml")):
            known.read(path.relative_to(configs), path.read_text(), configs == CONFIGS.resolve())
    return {at: known.schema(at) for at in sorted(known.packages)}


def package(path: Path, text: str) -> At:
    """Return where the settings of a file of configs/ come."""
    directive = re.match(r"# @package (\S+)", text)
    place = directive[1].replace("_global_", "") if directive else ".".join(path.parts[:-1])
    return tuple(place.split(".")) if place else ()


class _Known:
    """What the files have: `keys` that the project's own give to each group of settings."""

    def __init__(self) -> None:
        self.packages: set[At] = {()}
        self.options: dict[str, set[str | None]] = {}
        self.targets: dict[At, set[str]] = {}
        self.keys: dict[At, set[str]] = {}
        self.said: dict[At, str] = {}

    def read(self, path: Path, text: str, is_ours: bool) -> None:
        at = package(path, text)
        self.packages.add(at)
        if group := "/".join(path.parts[:-1]):
            self.options.setdefault(group, {None}).add(path.stem)
            self.keys.setdefault((), set()).add(path.parts[0])
        for key, said in re.findall(r"^(\w+):[^#\n]* # (.+)$", text, re.MULTILINE):
            self.said.setdefault((*at, key), said)
        self._walk(yaml.safe_load(text) or {}, at, is_ours)

    def _walk(self, node: Schema, at: At, is_ours: bool) -> None:
        keys = self.keys.setdefault(at, set())
        keys |= node.keys() - HYDRAS.keys() if is_ours else set()
        if "_target_" in node:
            self.targets.setdefault(at, set()).add(node["_target_"])
        for key, value in node.items():
            if isinstance(value, dict):
                self._walk(value, (*at, key), is_ours)

    def schema(self, at: At) -> Schema:
        """Return the schema of a file whose settings come at this place."""
        schema: Schema = {"$schema": DRAFT, "$comment": MADE_BY} | self._node(at)
        return schema | ({} if at else {"definitions": {"defaults": self._defaults()}})

    def _defaults(self) -> Schema:
        """Return the schema of a defaults list: groups with their options, or options alone."""
        named: Schema = {}
        for group, options in self.options.items():
            option = {"anyOf": [{"enum": sorted(options, key=str)}, ELSEWHERE]}
            hydras = group.startswith("hydra")  # which has options of its own
            for name in (group.rpartition("/")[2], *([] if hydras else [group, f"/{group}"])):
                named |= {name: option, f"override {name}": option}
        more: Schema = {"patternProperties": {"@|hydra/": {}}}
        groups = {"type": "object", "properties": named, "additionalProperties": False} | more
        alone = sorted({str(each) for group in self.options.values() for each in group})
        return {"type": "array", "items": {"anyOf": [{"enum": ["_self_", *alone]}, groups]}}

    def _node(self, at: At) -> Schema:
        """Return the schema of settings by their `_target_`, if it is one that the files name."""
        own = {key: self._value((*at, key)) for key in sorted(self.keys.get(at, ()))}
        known = {name: self._made_by(name, at, own) for name in sorted(self.targets.get(at, ()))}
        if not known:
            return _group(own, is_closed=not at)
        cases = [
            {"if": TYPED["if"] | {"properties": {"_target_": {"const": name}}}, "then": schema}
            for name, schema in known.items()
        ]
        united = {key: each for one in known.values() for key, each in one["properties"].items()}
        is_closed = not any(one["additionalProperties"] for one in known.values())
        target = {"_target_": {"type": "string", "examples": [*known]}}
        return {
            "properties": target,
            "allOf": [*cases, TYPED | {"else": _group(united, is_closed)}],
        }

    def _made_by(self, target: str, at: At, own: Schema) -> Schema:
        """Return the schema of what a class, or a function, takes."""
        try:
            module, _, name = target.rpartition(".")
            made = getattr(import_module(module), name)
            parameters = inspect.signature(made).parameters
        except Exception:  # it is not installed, or has no signature
            return _group(own, is_closed=False)
        said = f"{inspect.getdoc(made)}\n{inspect.getdoc(getattr(made, '__init__', None))}"
        keys, declared = dict(own), declared_by(made)
        for name, given in parameters.items():
            documented = re.search(rf"^\s*{name}\b[^:\n]*: *(.+)", said, re.MULTILINE)
            self.said.setdefault((*at, name), documented[1] if documented else "")
            keys[name] = self._value(
                (*at, name), declared.get(name, KINDS.get(type(given.default), Any))
            )
        is_open = any(given.kind == given.VAR_KEYWORD for given in parameters.values())
        about = flat(said.partition("\n\n")[0])
        return _group(keys, is_closed=not is_open) | {"description": about}

    def _value(self, at: At, declared: Any = Any) -> Schema:
        about = {"description": said} if (said := self.said.get(at)) else {}
        if at in self.packages:
            return {"anyOf": [{"$ref": name_of(at)}, {"type": "null"}, ELSEWHERE]} | about
        if self.targets.get(at) or self.keys.get(at):
            return {"anyOf": [self._node(at), {"type": "null"}, ELSEWHERE]} | about
        rule = RULES.get(".".join(at))
        kinds = [*kinds_of(declared)]
        accepts = rule[0] if rule else lambda v: any(is_of_kind(kind, v) for kind in kinds)
        return _accepted(accepts, [k for k in kinds if not inspect.isclass(k)]) | about


def _group(keys: Schema, is_closed: bool) -> Schema:
    properties = HYDRAS | keys
    return {"type": "object", "properties": properties, "additionalProperties": not is_closed}


def _accepted(accepts: Callable[[Any], bool], literals: list[Any]) -> Schema:
    types = [name for name, values in SAMPLES.items() if any(map(accepts, values))]
    if len(types) == len(SAMPLES):
        return {}
    bounds: Schema = {}
    if "integer" in types and not accepts(-1):
        bounds = {"minimum": 0} if accepts(0) else {"exclusiveMinimum": 0}
    if "number" in types and not accepts(1):
        bounds["exclusiveMaximum"] = 1
    return {"anyOf": [{"type": types} | bounds, {"enum": literals}, ELSEWHERE]}
